"""What the backend cuda needs of the machine: CuPy, a driver that is new enough, a device, NVRTC and cuBLAS."""

from __future__ import annotations

import importlib
import importlib.util

INSTALL = "pip install 'fastfm-core[cuda]'"


def why_absent() -> str | None:
    """None where all of it is there, else one line that names the first missing piece and the mend."""
    if importlib.util.find_spec("cupy") is None:
        return f"CuPy is not installed: {INSTALL}"
    try:
        cupy = importlib.import_module("cupy")
        return _missing(cupy)
    except Exception as error:
        return f"CuPy is broken, install it anew: {INSTALL} ({' '.join(str(error).split())})"


def _missing(cupy: object) -> str | None:
    cuda = cupy.cuda  # type: ignore[attr-defined]
    built, runs = cuda.runtime.runtimeGetVersion() // 1000, cuda.runtime.driverGetVersion() // 1000
    if runs == 0:
        return "there is no NVIDIA driver: install the one of your graphics card"
    if built > runs:
        return f"CuPy is built for CUDA {built}, the driver runs {runs}: update it, or pip install cupy-cuda{runs}x"
    try:
        count = cuda.runtime.getDeviceCount()
    except cuda.runtime.CUDARuntimeError as error:
        return f"the driver finds no device: see nvidia-smi ({error})"
    if count == 0:
        return "the driver finds no device: see nvidia-smi and CUDA_VISIBLE_DEVICES"
    try:
        cuda.nvrtc.getVersion()
    except Exception:
        return f"NVRTC, which compiles the kernels, is not installed: {INSTALL}"
    try:
        _ = cuda.cublas  # CuPy loads it when it is named
    except Exception:
        return f"cuBLAS, which multiplies matrices, is not installed: {INSTALL}"
    return None
