"""Products on the package's pool: right for every layout, the same bits on any threads, BLAS left as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfm_core import threads
from fastfm_core.backends import blas, openblas
from fastfm_core.backends.memory import Workspace

pytestmark = pytest.mark.usefixtures("threads_restored")


needs_openblas = pytest.mark.skipif(
    not openblas.libraries() and not (Path(np.__file__).parents[1] / "numpy.libs").exists(),
    reason="this NumPy is no wheel with OpenBLAS in it, and has another BLAS",
)


def limits() -> list[int]:
    """How many threads each BLAS of this process would use now."""
    return [library.get_threads() for library in openblas.libraries()]


@pytest.fixture
def two_blas_threads() -> Iterator[list[int]]:
    """Every BLAS set to two threads, as a host application might have; put back after the test."""
    before = limits()
    for library in openblas.libraries():
        library.set_threads(2)
    yield [2] * len(before)
    for library, count in zip(openblas.libraries(), before, strict=True):
        library.set_threads(count)


@needs_openblas
def test_numpys_blas_is_found() -> None:
    assert len(limits()) >= 1
    assert "one thread a call" in blas.description()
    assert openblas.product() is not None
    assert len({library.thread_functions for library in openblas.libraries()}) == len(limits())  # each one once


def test_limits_hold_within_and_are_restored_after(two_blas_threads: list[int]) -> None:
    with blas.one_blas_thread():
        assert limits() == [1] * len(two_blas_threads)
        with blas.one_blas_thread():
            assert limits() == [1] * len(two_blas_threads)
        assert limits() == [1] * len(two_blas_threads)
    assert limits() == two_blas_threads


def test_limits_are_restored_after_an_exception(two_blas_threads: list[int]) -> None:
    with pytest.raises(ZeroDivisionError), blas.one_blas_thread(), blas.one_blas_thread():
        raise ZeroDivisionError
    assert limits() == two_blas_threads
    for rows in (4, 2048):  # in one piece and in several
        with pytest.raises(ValueError, match="matmul"):
            blas.matmul(np.ones((rows, 64)), np.ones((63, 64)), np.empty((rows, 64)))
        assert limits() == two_blas_threads


def test_the_last_of_several_threads_restores(two_blas_threads: list[int]) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with blas.one_blas_thread():
            inside.set()
            assert leave.wait(30)

    holder = threading.Thread(target=hold)
    with blas.one_blas_thread():
        holder.start()
        assert inside.wait(30)
    assert limits() == [1] * len(two_blas_threads)
    leave.set()
    holder.join(30)
    assert limits() == two_blas_threads


def operands(dtype: Any, rows: int, inner: int, columns: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same product with its operands as they come: plain, transposed, and with padded rows."""
    random = np.random.default_rng(1)
    left, right = (
        random.standard_normal((rows, inner)).astype(dtype),
        random.standard_normal((inner, columns)).astype(dtype),
    )
    padded = Workspace().empty_rows(rows, inner, dtype)
    padded[...] = left
    for a in (left, np.asfortranarray(left), padded):
        for b in (right, np.asfortranarray(right)):
            yield a, b


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "inner", "columns"), [(1, 1, 1), (0, 3, 2), (3, 0, 2), (5, 7, 3), (777, 173, 90)])
def test_products_are_right_for_every_layout(dtype: Any, rows: int, inner: int, columns: int) -> None:
    threads.set_num_threads(2)
    for left, right in operands(dtype, rows, inner, columns):
        out = np.full((rows, columns), np.nan, dtype)
        assert blas.matmul(left, right, out) is out
        exact = np.einsum("mk,kn->mn", left.astype(np.longdouble), right.astype(np.longdouble))
        scale = np.einsum("mk,kn->mn", np.abs(left), np.abs(right))
        assert (np.abs(out - exact) <= np.finfo(dtype).eps * inner * scale).all()


@needs_openblas
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(777, 173, 90), (2048, 160, 128), (429, 2048, 64)])
def test_bits_and_pieces_do_not_depend_on_threads(
    dtype: Any, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some BLAS kernels give the same bits wherever a product is cut, so the cuts are looked at as well."""
    cuts: list[int] = []
    run = threads.run
    monkeypatch.setattr(threads, "run", lambda pieces, work: (cuts.append(pieces), run(pieces, work)))
    for left, right in operands(dtype, *shape):
        products = []
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            products.append(blas.matmul(left, right, np.empty((shape[0], shape[2]), dtype)).tobytes())
        assert len(set(products)) == 1
    assert cuts == [blas.row_pieces(*shape)] * 18
    assert cuts[0] > 1


def test_pieces_follow_the_shape() -> None:
    for rows in [*range(1, 2000, 13), 10_000, 100_000]:
        for inner, columns in [(1, 1), (64, 64), (429, 400)]:
            pieces = blas.row_pieces(rows, inner, columns)
            assert pieces in (1, 2, 4, 8, 16)
            assert pieces == 1 or rows // pieces >= 96
            size = -(-rows // pieces)
            assert (pieces - 1) * size < rows
    assert blas.row_pieces(100_000, 1, 1) == 1
    assert blas.row_pieces(100_000, 400, 400) == 16
