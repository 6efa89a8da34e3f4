"""The arrays of a safetensors file are mapped one by one: right in every dtype, bound to the file, small in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from fastfm_core import checkpoint
from fastfm_core.saved_arrays import DTYPES, SavedArrays


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "arrays.safetensors"


def test_every_dtype_and_shape_comes_back(path: Path) -> None:
    random = np.random.default_rng(0)
    state = {}
    for dtype in DTYPES.values():
        for shape in [(), (1,), (0, 4), (3, 0), (7, 5), (2, 3, 4)]:
            state[f"{dtype} {shape}"] = np.asarray(random.integers(0, 2, shape)).astype(dtype)
    checkpoint.write_weights(path, state)
    arrays = SavedArrays(path)
    assert dict(arrays).keys() == state.keys() == arrays.keys() and len(arrays) == len(state)
    for name, array in state.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)
    with pytest.raises(KeyError):
        arrays["absent"]


def test_a_prefix_chooses_and_is_taken_off(path: Path) -> None:
    checkpoint.write_weights(path, {"a/x": np.ones(2), "a/a/y": np.zeros(3), "b/x": np.full(2, 5.0)})
    part = checkpoint.read_weights(path).under("a/")  # the whole is gone, its file must stay open
    assert set(part) == {"x", "a/y"} and len(part) == 2
    np.testing.assert_array_equal(part["x"], np.ones(2))
    np.testing.assert_array_equal(part["a/y"], np.zeros(3))


def test_another_file_renamed_over_it_changes_nothing(path: Path) -> None:
    checkpoint.write_weights(path, {"x": np.ones(1000)})
    arrays = SavedArrays(path)
    checkpoint.write_weights(path, {"x": np.zeros(1000)})
    np.testing.assert_array_equal(arrays["x"], np.ones(1000))


def test_nobody_writes_to_the_file_through_them(path: Path) -> None:
    checkpoint.write_weights(path, {"x": np.ones(10)})
    with pytest.raises(ValueError, match="read-only"):
        SavedArrays(path)["x"][0] = 2


def test_a_cut_file_is_refused(path: Path) -> None:
    checkpoint.write_weights(path, {"x": np.ones(10)})
    whole = path.read_bytes()
    for length in (0, 7, 20, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(SafetensorError):
            SavedArrays(path)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loading_takes_little_memory(path: Path) -> None:
    """Eight tables of 16 MiB are copied into a module that has room for them: 16 MiB more would be one at a time."""
    code = """
import sys
import numpy as np
from fastfm_core import backends, checkpoint
from fastfm_core.autograd import Tensor
from fastfm_core.nn import Module
from fastfm_core.report import peak_memory_mb as peak
module = Module()
for n in range(8):
    setattr(module, f"t{n}", Tensor(np.full((1 << 20, 4), n, np.float32), backends.get("reference")))
if sys.argv[2] == "write":
    checkpoint.write_weights(sys.argv[1], module.state_dict())
before = peak()
if sys.argv[2] == "read":
    module.load_state_dict(checkpoint.read_weights(sys.argv[1]))
print(peak() - before)
"""
    for work in ("write", "read"):
        command = [sys.executable, "-c", code, str(path), work]
        grown = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 12
