"""libfastfm's handlers, registered with XLA.

They are plain C functions, written against the layout of XLA's FFI structs (csrc/library/xla_abi.hpp), so nothing is
compiled here and one build serves every jaxlib whose FFI version is known.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any

from fastfm_core import backends, linking

OLDEST = (0, 5, 0)
VERSIONS = range(1, 4)  # minor versions of XLA's FFI 0 that csrc/library/xla_abi.hpp is the layout of
TARGETS = (
    "gather", "bag", "embedding_fm", "interact", "interact_backward", "table_gradient", "update",
)  # fmt: skip
_DEVICES = ("CUDA", "ROCM")


def require() -> None:
    """Register the handlers; ImportError, one line, where something is missing or of an unknown version."""
    jax = _jax()
    version = _known_version(jax)
    if why := backends.why_unavailable("native"):
        raise ImportError(f"fastfm_jax needs fastfm_core's C++ kernels: {why}")
    backends.get("native")  # whose pool follows fastfm_core.threads
    library = ctypes.CDLL(str(linking.library()))
    library.fastfm_xla_version(version)
    for target in TARGETS:
        _register(jax, target, library[f"fastfm_xla_{target}"], "cpu")
        for device in _DEVICES:
            _register(jax, target, library.fastfm_xla_refuse, device)


def _known_version(jax: Any) -> int:
    """The minor version of jaxlib's FFI. The handlers refuse calls of an unknown one, too; this says it with a mend."""
    header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    found = re.findall(r"^#define XLA_FFI_API_(?:MAJOR|MINOR) (\d+)$", header.read_text(), re.MULTILINE)
    if found not in [["0", str(minor)] for minor in VERSIONS]:
        raise ImportError(
            f"fastfm_jax knows XLA's FFI 0.{VERSIONS[0]} to 0.{VERSIONS[-1]}, that of jax {jax.__version__} is "
            f"{'.'.join(found)}: pip install -U fastfm-core, or an older jax"
        )
    return int(found[1])


def _jax() -> Any:
    needed = f"fastfm_jax needs jax >= {'.'.join(map(str, OLDEST[:2]))}: pip install 'fastfm-core[jax]'"
    try:
        import jax
    except ImportError:
        raise ImportError(needed) from None
    if jax.__version_info__ < OLDEST:
        raise ImportError(f"{needed}; this is jax {jax.__version__}")
    import jax.ffi

    return jax


def _register(jax: Any, target: str, function: Any, platform: str) -> None:
    jax.ffi.register_ffi_target(f"fastfm_{target}", jax.ffi.pycapsule(function), platform=platform)
