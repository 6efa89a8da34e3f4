"""Whether the C++ kernels were built, from which sources, and if not, why.

Every build writes ``_build_info``: the mode it was asked for (auto, require, off), the error when it failed, and a hash
of the sources. Without it this is a source tree that nobody has built.
"""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from types import ModuleType

FOLDERS = ("bindings", "include", "isa", "library")  # of csrc: what the native module and libfastfm are built from

MEND = "pip install -e . builds it, where a C++17 compiler is installed"


def why_absent() -> str:
    """One line that says why there is no ``fastfm_core._native``."""
    info = _info()
    if info is None:
        return f"this source tree was not built; {MEND}"
    if info.MODE == "off":
        return "it was installed without its C++ kernels, as FASTFM_CORE_BUILD=off asks for"
    if info.ERROR:
        return f"its C++ kernels could not be built: {info.ERROR}"
    return f"its C++ kernels were built, but the built module is gone; {MEND}"


def why_stale() -> str | None:
    """One line when the source tree has other C++ sources than the ones that were built; None: it has not."""
    info, sources = _info(), Path(__file__).parent.parent / "csrc"
    if info is None or not sources.is_dir() or source_hash(sources) == info.SOURCES:
        return None
    return f"built from other sources than the ones in {sources}; {MEND}"


def source_hash(sources: Path) -> str:
    """A hash of the native module's C++ files below the folder csrc, names and contents."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in FOLDERS for path in (sources / folder).rglob("*.[ch]*")):
        digest.update(f"{path.relative_to(sources).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _info() -> ModuleType | None:
    try:
        return importlib.import_module("fastfm_core._build_info")
    except ModuleNotFoundError:
        return None
