"""Products on the native pool: right for every layout, the same bits on any threads, BLAS left as it was."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastfm_core import threads
from fastfm_core.backends import blas, openblas

pytestmark = pytest.mark.usefixtures("threads_restored", "native")

SHAPES = [(1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0), (5, 7, 3), (777, 173, 90), (64, 1500, 40), (400, 600, 1)]
CUT_SHAPES = [(777, 173, 90), (2048, 160, 128), (429, 2048, 64), (64, 4096, 64), (100, 1111, 37)]


def layouts(array: np.ndarray) -> Iterator[np.ndarray]:
    """The same matrix as BLAS can take it: plain, transposed, rows apart, columns apart."""
    yield array
    yield np.asfortranarray(array)
    wide = np.full((array.shape[0], array.shape[1] + 3), np.nan, array.dtype)
    wide[:, 1:-2] = array
    yield wide[:, 1:-2]
    tall = np.full((array.shape[1], array.shape[0] + 5), np.nan, array.dtype)
    tall[:, 2:-3] = array.T
    yield tall[:, 2:-3].T


def odd_layouts(array: np.ndarray) -> Iterator[np.ndarray]:
    """The same matrix as BLAS cannot take it."""
    doubled = np.repeat(np.repeat(array, 2, axis=0), 2, axis=1)
    yield doubled[::2, ::2]
    yield array[::-1].copy()[::-1]
    yield array[:, ::-1].copy()[:, ::-1]
    yield array.astype(array.dtype.newbyteorder())
    unaligned = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    yield unaligned


def operands(dtype: Any, rows: int, inner: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    left, right = random.standard_normal((rows, inner)), random.standard_normal((inner, columns))
    return left.astype(dtype), right.astype(dtype)


def check(left: np.ndarray, right: np.ndarray, out: np.ndarray, product: Any = None) -> None:
    assert (product or blas.native_matmul)(left, right, out) is out
    exact = np.einsum("mk,kn->mn", left.astype(np.longdouble), right.astype(np.longdouble))
    scale = np.einsum("mk,kn->mn", np.abs(left), np.abs(right))
    assert (np.abs(out - exact) <= np.finfo(out.dtype).eps * left.shape[1] * scale).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_right_for_every_layout(dtype: Any, shape: tuple[int, int, int]) -> None:
    threads.set_num_threads(2)
    left, right = operands(dtype, *shape)
    for a in layouts(left):
        for b in layouts(right):
            check(a, b, np.full((shape[0], shape[2]), np.nan, dtype))
    apart = np.full((shape[0], shape[2] + 4), np.nan, dtype)
    check(left, right, apart[:, 1:-3])
    assert np.isnan(apart[:, 0]).all() and np.isnan(apart[:, -3:]).all()  # nothing is written beside it


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_blas_cannot_take_goes_to_numpy(native: ModuleType, dtype: Any) -> None:
    left, right = operands(dtype, 6, 5, 4)
    if openblas.product() is None:
        pytest.skip("no OpenBLAS, so NumPy multiplies everything")
    for a in odd_layouts(left):
        assert not native.matmul(a, right, np.empty((6, 4), dtype), 1, 1)
        check(a, right, np.empty((6, 4), dtype))
    for b in odd_layouts(right):
        assert not native.matmul(left, b, np.empty((6, 4), dtype), 1, 1)
        check(left, b, np.empty((6, 4), dtype))
    check(left, right, np.empty((6, 4), dtype, order="F"))
    check(left, right[:, :1].repeat(4, axis=1), np.empty((6, 4), dtype))
    check(np.broadcast_to(left[:1], (6, 5)), right, np.empty((6, 4), dtype))
    assert native.matmul(left, right, np.empty((6, 4), dtype), 1, 1)


def test_without_a_blas_nothing_is_multiplied() -> None:
    script = (
        "import numpy as np; from fastfm_core import _native; a = np.ones((4, 4)); print(_native.matmul(a, a, a, 1, 1))"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert finished.stdout == "False\n"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", CUT_SHAPES)
def test_bits_do_not_depend_on_threads(dtype: Any, shape: tuple[int, int, int]) -> None:
    assert max(blas.native_cut(*shape)) > 1
    left, right = operands(dtype, *shape)
    for a in layouts(left):
        for b in layouts(right):
            products = set()
            for count in (1, 2, 4, 8):
                threads.set_num_threads(count)
                for _ in range(3):
                    products.add(blas.native_matmul(a, b, np.empty((shape[0], shape[2]), dtype)).tobytes())
            assert len(products) == 1


def test_concurrent_products_are_the_same_bits() -> None:
    threads.set_num_threads(2)
    cases = [(operands(np.float32, *shape), shape) for shape in CUT_SHAPES]

    def all_products() -> list[bytes]:
        outs = (np.empty((shape[0], shape[2]), np.float32) for _, shape in cases)
        return [blas.native_matmul(*pair, out).tobytes() for (pair, _), out in zip(cases, outs, strict=True)]

    alone = all_products()
    together: list[list[bytes]] = []
    callers = [threading.Thread(target=lambda: together.extend(all_products() for _ in range(5))) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(120)
    assert together == [alone] * 15


def test_limits_are_restored_after_calls_and_exceptions(native: ModuleType) -> None:
    def limits() -> list[int]:
        return [library.get_threads() for library in openblas.libraries()]

    before = limits()
    for library in openblas.libraries():
        library.set_threads(2)
    try:
        two = [2] * len(before)
        for shape in [(4, 4, 4), *CUT_SHAPES]:
            blas.native_matmul(*operands(np.float32, *shape), np.empty((shape[0], shape[2]), np.float32))
            assert limits() == two
        for rows in (4, 2048):
            with pytest.raises(ValueError, match="matmul"):
                blas.native_matmul(np.ones((rows, 64)), np.ones((63, 64)), np.empty((rows, 64)))
            assert limits() == two
        native.hold_blas()
        with blas.one_blas_thread():
            blas.native_matmul(np.ones((4, 4)), np.ones((4, 4)), np.empty((4, 4)))
            assert limits() == [1] * len(two)
        assert limits() == [1] * len(two)
        native.release_blas()
        assert limits() == two
        native.release_blas()  # one too many changes nothing
        with blas.one_blas_thread():
            assert limits() == [1] * len(two)
    finally:
        for library, count in zip(openblas.libraries(), before, strict=True):
            library.set_threads(count)


def test_cuts_follow_the_shape() -> None:
    for rows in [*range(1, 2000, 13), 10_000, 100_000]:
        for inner, columns in [(1, 1), (64, 64), (255, 400), (256, 400), (4096, 64), (100_000, 10)]:
            row_blocks, partials = blas.native_cut(rows, inner, columns)
            assert min(row_blocks, partials) == 1
            assert row_blocks in (1, 2, 4, 8, 16) and partials in (1, 2, 4, 8)
            assert row_blocks == 1 or rows // row_blocks >= 96
            assert partials == 1 or inner // partials >= 128
    assert blas.native_cut(256, 64, 64) == (2, 1)
    assert blas.native_cut(255, 64, 64) == (1, 1)
    assert blas.native_cut(64, 256, 64) == (1, 2)
    assert blas.native_cut(64, 4096, 64) == (1, 4)
    assert blas.native_cut(429, 4096, 400) == (1, 4)
    assert blas.native_cut(429, 256, 400) == (2, 1)
    assert blas.native_cut(4096, 429, 400) == (8, 1)
    assert blas.native_cut(4096, 100_000, 400) == (8, 1)
    assert blas.native_cut(100_000, 400, 400) == (16, 1)


def test_the_description_names_who_multiplies() -> None:
    if openblas.product() is None:
        assert "native" not in blas.description()
    else:
        assert "from the native pool" in blas.description()
        assert openblas.libraries()[0].path.name in blas.description()
