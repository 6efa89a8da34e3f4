"""cupy.cuda.runtime: what the backend asks of the driver."""

from __future__ import annotations

from typing import Any


class CUDARuntimeError(RuntimeError):
    """A call has failed; ``status`` is CUDA's number for why."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message or f"CUDA error {status}")
        self.status = status


def getDeviceCount() -> int:  # noqa: N802
    """One."""
    return 1


def driverGetVersion() -> int:  # noqa: N802
    """The newest CUDA that the driver can run, 1000 major + 10 minor."""
    return 13000


def runtimeGetVersion() -> int:  # noqa: N802
    """The CUDA that CuPy was built for."""
    return 13000


def deviceSynchronize() -> None:  # noqa: N802
    """Counted."""
    from emulated_cupy.array import reads

    reads["synchronize"] += 1


def getDeviceProperties(device: int) -> dict[str, Any]:  # noqa: N802
    """Of an H100, as far as they are asked for."""
    return {"name": b"emulated device", "multiProcessorCount": 132, "major": 9, "minor": 0, "totalGlobalMem": 80 << 30}
