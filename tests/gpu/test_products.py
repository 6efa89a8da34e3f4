"""Products by cuBLASLt: it is told how matrices lie, products are captured, and TF32 is given whole vectors.

Where there is no device, its place is taken by a library that computes with NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from devices import DEVICE, cupy_module, import_with_cupy

from fastfm_core.contract import Entries

from .fake_cublaslt import FakeLibrary

cuda: Any = import_with_cupy("fastfm_core.backends.cuda")
products: Any = import_with_cupy("fastfm_core.backends.cuda.products")
memory: Any = import_with_cupy("fastfm_core.backends.cuda.memory")
Graph: Any = import_with_cupy("fastfm_core.backends.cuda.graph").Graph
xp = cuda.xp
M, K, N = 6, 5, 7
draw = np.random.default_rng(0)


@pytest.fixture
def tf32(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether products are of TF32, to be changed by a test."""
    chosen = [False]
    monkeypatch.setattr(products, "uses_tf32", lambda: chosen[0])
    yield chosen


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tf32: list[bool]) -> Iterator[FakeLibrary]:
    """The library, if there is none."""
    if DEVICE:
        pytest.skip("a device has the library itself")
    library = FakeLibrary()
    monkeypatch.setattr(products, "library", lambda: library)
    for cached in (products._plan, products._handle):
        cached.cache_clear()
    yield library
    for cached in (products._plan, products._handle):
        cached.cache_clear()
    assert set(library.objects.values()) == {"library"}  # all else was destroyed


@pytest.fixture
def some_library(request: pytest.FixtureRequest, tf32: list[bool]) -> None:
    """The device's, or the fake."""
    if not DEVICE:
        request.getfixturevalue("fake")


def numbers(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    """Small integers, whose products are exact in every order."""
    return draw.integers(-8, 9, shape).astype(dtype)


def laid(host: np.ndarray, how: str) -> Any:
    """The matrix on the device: by rows, by columns, with its rows or columns apart, or with gaps everywhere."""
    rows, columns = host.shape
    if how in ("columns", "columns apart"):
        return laid(host.T, how.replace("columns", "rows")).T
    if how == "gaps":
        device = xp.full((rows, 2 * columns), np.nan, host.dtype)[:, ::2]
    else:
        device = xp.full((rows, columns + 3 * (how == "rows apart")), np.nan, host.dtype)[:, :columns]
    device[...] = xp.asarray(host)
    return device


LAYOUTS = ("rows", "columns", "rows apart", "columns apart", "gaps")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("right", LAYOUTS)
@pytest.mark.parametrize("left", LAYOUTS)
def test_matrices_of_every_layout_are_multiplied_as_they_lie(
    fake: FakeLibrary, left: str, right: str, dtype: Any
) -> None:
    a, b = numbers(M, K, dtype=dtype), numbers(K, N, dtype=dtype)
    x, y = laid(a, left), laid(b, right)
    out = cuda.matmul(x, y)
    np.testing.assert_array_equal(out.get(), a @ b)
    (call,) = fake.calls
    given = [None if how == "gaps" else array.data.ptr for how, array in ((right, y), (left, x))]
    assert all(place in (None, found) for place, found in zip((*given, out.data.ptr), call["pointers"], strict=True))
    assert call["compute"] == {np.float32: products.COMPUTE_32F, np.float64: products.COMPUTE_64F}[dtype]
    assert (call[products.TRANSPOSE_A], call[products.TRANSPOSE_B]) == (int(right[0] == "c"), int(left[0] == "c"))


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (1, 5, 7), (6, 1, 7), (6, 5, 1), (1, 5, 1), (6, 1, 1)])
def test_sides_of_one(some_library: None, m: int, k: int, n: int) -> None:
    a, b = numbers(m, k), numbers(k, n)
    for left in LAYOUTS:
        for right in LAYOUTS:
            np.testing.assert_array_equal(cuda.matmul(laid(a, left), laid(b, right)).get(), a @ b)


def test_results_are_spaced_or_go_where_they_are_asked_for(some_library: None) -> None:
    a, b = numbers(M, K), numbers(K, N)
    spaced = cuda.matmul(xp.asarray(a), xp.asarray(b), spacing=N + 9)
    assert spaced.strides == (4 * (N + 9), 4)
    np.testing.assert_array_equal(spaced.get(), a @ b)
    around = xp.full((M, N + 2), -1.0, np.float32)
    assert cuda.matmul(xp.asarray(a), xp.asarray(b), around[:, 1:-1]).data.ptr == around.data.ptr + 4
    np.testing.assert_array_equal(around.get(), np.pad(a @ b, ((0, 0), (1, 1)), constant_values=-1))
    for how in LAYOUTS:
        out = laid(np.zeros((M, N), np.float32), how)
        assert cuda.matmul(xp.asarray(a), xp.asarray(b), out) is not None
        np.testing.assert_array_equal(out.get(), a @ b)


def test_products_of_one_kind_have_one_algorithm_that_adds_out_of_place(fake: FakeLibrary) -> None:
    x, y = xp.asarray(numbers(M, K)), xp.asarray(numbers(K, N))
    for _ in range(3):
        cuda.matmul(x, y)
    (preference,) = fake.heuristics
    assert preference == {1: products.WORKSPACE, 3: 6, 5: 256, 6: 256, 7: 256, 8: 256}
    cuda.matmul(xp.asarray(numbers(M, K + 1))[:, 1:], y)  # starts at 4 bytes
    assert fake.heuristics[1][6] == 4


def test_an_error_of_the_library_is_told(fake: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    def cublasLtMatmul(*_: Any) -> int:  # noqa: N802
        return 13

    monkeypatch.setattr(fake, "cublasLtMatmul", cublasLtMatmul)
    with pytest.raises(RuntimeError, match="cublasLtMatmul failed with cuBLAS status 13"):
        cuda.matmul(xp.ones((2, 2), np.float32), xp.ones((2, 2), np.float32))


def looked_up(samples: int = M) -> Any:
    """The deep part [samples, 11] of a lookup: two vectors of 4, three numbers."""
    entries = Entries(xp.asarray(np.arange(2 * samples, dtype=np.int32) % 9), 2)
    table, dense = xp.asarray(numbers(9, 4)), xp.asarray(numbers(samples, 3))
    with cupy_module():
        return cuda.embedding_fm(table, None, entries, dense, deep=True).deep


def products_of_a_lookup() -> None:
    """Forward and backward are right; small integers are exact in TF32 too."""
    x, weight, grad = looked_up(), numbers(11, N), numbers(M, N)
    on_device = xp.asarray(weight), xp.asarray(grad)
    np.testing.assert_array_equal(cuda.matmul(x, on_device[0]).get(), x.get() @ weight)
    by_x = cuda.matmul(on_device[1], on_device[0].T, spacing=12)
    assert by_x.strides == x.strides
    np.testing.assert_array_equal(by_x.get(), grad @ weight.T)
    np.testing.assert_array_equal(cuda.matmul(x.T, on_device[1]).get(), x.get().T @ grad)


@pytest.mark.parametrize("whole_vectors", [False, True])
def test_products_of_a_lookup_and_their_gradients(some_library: None, tf32: list[bool], whole_vectors: bool) -> None:
    tf32[0] = whole_vectors
    products_of_a_lookup()


def test_tf32_has_whole_vectors_of_a_lookup_and_of_its_gradient(fake: FakeLibrary, tf32: list[bool]) -> None:
    """And the right matrix by columns."""
    for tf32[0] in (False, True):
        fake.calls.clear()
        products_of_a_lookup()
        forward, by_x, by_weight = ([layout[:2] for layout in call["layouts"]] for call in fake.calls)
        if tf32[0]:
            assert forward == [(12, N), (12, M), (N, M)] and by_x == [(N, 12), (N, M), (12, M)]
        else:
            assert forward == [(N, 11), (11, M), (N, M)] and by_x == [(N, 11), (N, M), (11, M)]
        assert by_weight == [(N, M), (11, M), (N, 11)]
        assert {call["compute"] for call in fake.calls} == {77 if tf32[0] else 68}


def test_tf32_reads_nothing_behind_rows_but_zeros(fake: FakeLibrary, tf32: list[bool]) -> None:
    """Not the columns that a caller has cut off, also of a lookup's own result."""
    tf32[0] = True
    other = xp.full((M, 12), np.nan, np.float32)
    other[:, :11] = xp.asarray(numbers(M, 11))
    looked = looked_up()
    looked[:, 10] = np.nan
    for x in (other[:, :11], looked[:, :10], looked[:, 1:10]):
        weight = numbers(x.shape[1], N)
        np.testing.assert_array_equal(cuda.matmul(x, xp.asarray(weight)).get(), x.get() @ weight)
    few = looked_up()[1:3]
    assert memory.with_zeros(few) is few


def test_widths_are_forgotten_with_their_matrices() -> None:
    before = len(memory._widths)
    made = memory.rows_before_zeros(3, 5, np.float32)
    assert len(memory._widths) == before + 1 and memory.with_zeros(made).shape == (3, 8)
    del made
    assert len(memory._widths) == before


@pytest.mark.parametrize("precise", [True, False] if DEVICE else [True])  # the stand-in captures kernels alone
def test_a_captured_mlp_replays_with_the_bits_of_an_eager_one(
    some_library: None, tf32: list[bool], precise: bool
) -> None:
    """Forward and backward of two layers, on inputs that change between replays."""
    tf32[0] = not precise
    x, grad = looked_up(64), xp.asarray(draw.standard_normal((64, 1)).astype(np.float32))
    shapes = (11, 40), (40, 1)
    weights = [xp.asarray(draw.standard_normal(shape).astype(np.float32)) for shape in shapes]
    bias = xp.asarray(draw.standard_normal(40).astype(np.float32))

    def step() -> list[Any]:
        hidden = cuda.matmul(x, weights[0])
        cuda.bias_relu_dropout_(hidden, bias, 0.0, None)
        out = cuda.matmul(hidden, weights[1])
        by_hidden = cuda.matmul(grad, weights[1].T)
        by_sum, by_bias = cuda.bias_relu_dropout_backward(by_hidden, hidden, 0.0)
        by_x = cuda.matmul(by_sum, weights[0].T, spacing=12)
        return [out, by_bias, by_x, cuda.matmul(hidden.T, grad), cuda.matmul(x.T, by_sum)]

    with cupy_module():
        graph = Graph(step)
        for _ in range(3):
            x[...] = xp.asarray(draw.standard_normal(x.shape).astype(np.float32))
            expected = [array.get() for array in step()]
            graph.replay()
            for right, found in zip(expected, graph.outputs, strict=True):
                np.testing.assert_array_equal(found.get(), right)


@pytest.mark.skipif(not DEVICE, reason="there is no library without a device")
def test_a_device_has_the_library() -> None:
    assert products.library() is not None
    a, b = numbers(300, 200), numbers(200, 100)
    np.testing.assert_array_equal(cuda.matmul(xp.asarray(a), xp.asarray(b)).get(), a @ b)
