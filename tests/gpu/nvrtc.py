"""Compiles kernels exactly as cupy.RawModule does, for architectures that need not be here; neither does a device.

A process of its own with the real CuPy: a job as JSON comes on the standard input, cubins are written to its folder,
and the symbol of each instance goes to the standard output. CuPy's functions below are private: its version is pinned.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cupy._core.core import assemble_cupy_compiler_options
from cupy.cuda.compiler import _NVRTCProgram
from cupy_backends.cuda.libs import nvrtc

RAW_MODULE = ("-ftz=true", "--device-as-default-execution-space")  # what RawModule adds to its options


def compile_all(job: dict[str, Any]) -> dict[str, str]:
    """job: file and its text, RawModule's options, instances, architectures (0: the newest) and a folder -> symbols.

    Each architecture's cubin is written as ``<file>-sm_<architecture>.cubin``.
    """
    symbols: dict[str, str] = {}
    options = (*assemble_cupy_compiler_options(tuple(job["options"])), *RAW_MODULE)
    for architecture in job["architectures"]:
        target = f"sm_{architecture or max(nvrtc.getSupportedArchs())}"
        program = _NVRTCProgram(job["text"], job["file"], name_expressions=tuple(job["instances"]), method="cubin")
        cubin, symbols = program.compile((*options, f"-arch={target}"))
        # NVRTC's last byte is cut off by CuPy
        (Path(job["folder"]) / f"{job['file']}-{target}.cubin").write_bytes(cubin + b"\0")
    return symbols


if __name__ == "__main__":
    json.dump(compile_all(json.load(sys.stdin)), sys.stdout)
