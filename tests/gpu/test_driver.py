"""Why the backend cuda cannot run: the first missing piece, with its mend, in one line."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import emulated_cupy
import pytest

from fastfm_core import backends, info
from fastfm_core.errors import BackendUnavailable

CUDA = emulated_cupy.cuda


def fails(error: Exception) -> Any:
    def function(*_: Any) -> None:
        raise error

    return function


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", emulated_cupy)


def reason() -> str:
    """What ``info`` shows, too."""
    found = backends.why_unavailable("cuda")
    assert found is not None and "\n" not in found
    assert dict(info.installation())["backend cuda"] == f"cannot run: {found}"
    with pytest.raises(BackendUnavailable, match="backend 'cuda' cannot run: "):
        backends.get("cuda")
    return found


def test_with_all_pieces_it_can_run() -> None:
    assert backends.why_unavailable("cuda") is None
    assert dict(info.installation())["backend cuda"].startswith("available")


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert reason() == "CuPy is not installed: pip install 'fastfm-core[cuda]'"


def test_with_a_cupy_that_does_not_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text("raise ImportError('libcudart.so.13:\\n no such file')")
    monkeypatch.delitem(sys.modules, "cupy")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert reason().endswith("install it anew: pip install 'fastfm-core[cuda]' (libcudart.so.13: no such file)")


@pytest.mark.parametrize(
    ("module", "name", "function", "expected"),
    [
        (CUDA.runtime, "driverGetVersion", lambda: 0, "there is no NVIDIA driver"),
        (CUDA.runtime, "driverGetVersion", lambda: 12080, "built for CUDA 13, the driver runs 12:.*cupy-cuda12x"),
        (CUDA.runtime, "driverGetVersion", fails(OSError("libcuda")), r"CuPy is broken.*\(libcuda\)"),
        (CUDA.runtime, "getDeviceCount", fails(CUDA.runtime.CUDARuntimeError(100)), "no device.*CUDA error 100"),
        (CUDA.runtime, "getDeviceCount", lambda: 0, "no device: .*CUDA_VISIBLE_DEVICES"),
        (CUDA.nvrtc, "getVersion", fails(RuntimeError("no library")), "NVRTC.*pip install"),
    ],
)
def test_without_a_piece(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, function: Any, expected: str) -> None:
    monkeypatch.setattr(module, name, function)
    assert re.search(expected, reason())


def test_without_cublas(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy loads it when it is named."""
    monkeypatch.delattr(CUDA, "cublas")
    assert reason() == "cuBLAS, which multiplies matrices, is not installed: pip install 'fastfm-core[cuda]'"
