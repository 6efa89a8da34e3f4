"""The stand-in for CuPy is as strict as CuPy: nothing crosses to NumPy unasked, and every read is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import emulated_cupy as cupy
import numpy as np
import pytest


@pytest.fixture
def x() -> Any:
    cupy.reads.clear()
    return cupy.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))


def test_numpys_functions_give_device_arrays_back(x: Any) -> None:
    made = [x + 1, 2 * x, -x, x @ x.T, np.exp(x), np.sum(x), x.sum(), x[0, 0], np.concatenate([x, x]), x > 1, x.max()]
    made += [np.zeros_like(x), np.square(x, dtype=np.float64), np.add.reduce(x), x[1], cupy.where(x > 1, x, 0), x.T]
    assert all(isinstance(array, cupy.ndarray) for array in made)
    assert made[0].dtype == np.float32 and made[5].shape == () and made[7].shape == ()
    np.testing.assert_array_equal(cupy.peek(made[3]), [[5, 14], [14, 50]])
    assert not cupy.reads


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: x + np.ones(3),
        lambda x: np.ones(3) * x,
        lambda x: np.concatenate([x, np.ones((2, 3))]),
        lambda x: cupy.maximum(x, np.ones(3)),
        lambda x: np.add(x, 1, out=np.ones((2, 3))),
        lambda x: x[np.array([0, 1])],
        lambda x: x.__setitem__(..., np.ones((2, 3))),
        lambda x: np.ones((2, 3)).__setitem__(..., x),
        lambda x: np.asarray(x),
        lambda x: np.ascontiguousarray(x),
        lambda x: np.float32(x[0, 0]),
        lambda x: memoryview(x),
    ],
)
def test_host_and_device_do_not_mix(x: Any, mix: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        mix(x)
    assert not isinstance(x, np.ndarray) and not cupy.reads


def test_reads_are_counted(x: Any) -> None:
    one = x[1, 2]
    assert (float(one), int(one), one.item(), bool(one), [10, 11, 12, 13, 14, 15][x.argmax()]) == (5, 5, 5, True, 15)
    assert one.get() == 5 and cupy.asnumpy(x).tolist() == x.tolist()
    x[x > 1], cupy.unique(x), x.nonzero()
    cupy.cuda.get_current_stream().synchronize()
    once = dict.fromkeys(["float", "int", "item", "bool", "index", "tolist", "mask", "unique", "nonzero"], 1)
    assert cupy.reads == {**once, "get": 2, "synchronize": 1}


def test_memory_is_the_devices_own(x: Any) -> None:
    host = np.ones(3)
    device = cupy.asarray(host)
    device += 1
    device[0] = 7
    assert host.tolist() == [1, 1, 1] and cupy.peek(device).tolist() == [7, 2, 2]
    host[:] = device.get()
    device[1:].fill(0)
    assert host.tolist() == [7, 2, 2] and cupy.peek(device).tolist() == [7, 0, 0]
    assert all(array.data.ptr % 512 == 0 for array in (x, x + 1, cupy.zeros(3), x.copy(), cupy.arange(5)))
    assert np.isnan(cupy.peek(cupy.empty((2, 2), np.float32))).all() and (cupy.peek(cupy.empty(3, np.int32)) < 0).all()


def test_there_is_no_more_than_is_used() -> None:
    with pytest.raises(AttributeError):
        cupy.polyfit  # noqa: B018
    with cupy.installed():
        import cupy as found  # pyright: ignore[reportMissingImports]

        assert found.zeros(3).shape == (3,)
