"""Tables of float16 and bfloat16: read as they are, computed with in float32, gradients in their dtype."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import fastfm_torch as ft
from fastfm_core.errors import InputError

V, D = 11, 8
IDS = torch.tensor([[0, 10, 3], [3, 7, 7]])
FLAT, OFFSETS = torch.tensor([4, 4, 1, 0, 10, 3, 3, 8]), torch.tensor([0, 3, 4, 6, 8])
HALVES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])


def arguments(dtype: torch.dtype) -> tuple[Tensor, ...]:
    """table, linear, values, dense"""
    made = torch.randn(V, D), torch.randn(V), torch.rand(8) + 0.5, torch.randn(2, 3)
    return tuple(t.to(dtype).requires_grad_() for t in made)


def several(table: Tensor, linear: Tensor, values: Tensor, dense: Tensor, sparse: bool = False) -> list[Tensor]:
    first, pair, deep = ft.embedding_fm(table, linear, IDS, dense=dense, deep=True, sparse=sparse)
    options: dict[str, Any] = {"fields": 2, "deep": True, "pooling": "mean", "sparse": sparse}
    more = ft.embedding_fm(table, linear, FLAT, OFFSETS, values, dense, **options)
    bags = ft.embedding_bag(table, FLAT, OFFSETS, values, sparse=sparse)
    found = [first, pair, deep, *more, bags, ft.embedding_gather(table, IDS, sparse=sparse)]
    assert all(t is not None for t in found)
    return found  # type: ignore[return-value]


@HALVES
def test_results_are_those_of_float32_rounded_once(dtype: torch.dtype) -> None:
    given = arguments(dtype)
    for one, other in zip(several(*given), several(*(t.float() for t in given)), strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one, other.to(dtype), rtol=0, atol=0)


@HALVES
@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_are_near_those_of_float32(dtype: torch.dtype, sparse: bool) -> None:
    given = arguments(dtype)
    wide = [t.detach().float().requires_grad_() for t in given]
    for one, other in zip(several(*given, sparse=sparse), several(*wide), strict=True):
        upper = torch.rand_like(one)
        found = torch.autograd.grad(one, given, upper, retain_graph=True, allow_unused=True)
        expected = torch.autograd.grad(other, wide, upper.float(), retain_graph=True, allow_unused=True)
        for left, right in zip(found, expected, strict=True):
            assert (left is None) == (right is None)
            if left is not None and right is not None:
                assert left.dtype == dtype and right.abs().max() > 0
                error = (left.to_dense().float() - right).abs().max()
                assert error <= 4 * torch.finfo(dtype).eps * right.abs().max()


@HALVES
def test_what_halves_cannot(dtype: torch.dtype) -> None:
    table, linear, *_ = arguments(dtype)
    with pytest.raises(InputError, match="max pooling needs a float32 or float64 table"):
        ft.embedding_bag(table, FLAT, OFFSETS, pooling="max")
    with pytest.raises(InputError, match="linear must be"):
        ft.embedding_fm(table, linear.float(), IDS)
    with pytest.raises(InputError, match="train in float32"):
        ft.optim.Adagrad(ft.EmbeddingFM(V, D, dtype=dtype).parameters(), in_backward=True)


@HALVES
def test_interactions(dtype: torch.dtype) -> None:
    vectors = torch.randn(4, 3, D).to(dtype).requires_grad_()
    for function in (ft.fm_interaction, ft.bi_interaction):
        found = function(vectors)
        torch.testing.assert_close(found, function(vectors.detach().float()).to(dtype), rtol=0, atol=0)
        found.sum().backward()
        assert vectors.grad is not None and vectors.grad.dtype == dtype


@HALVES
def test_a_model_is_converted_for_serving(dtype: torch.dtype) -> None:
    model = ft.DeepFM([5, 6], 8, (4,)).eval()
    torch.nn.init.normal_(model.embedding.weight)
    ids = torch.tensor([[0, 5], [4, 1]])
    expected = model(ids)
    torch.testing.assert_close(model.to(dtype)(ids).float(), expected, rtol=0.05, atol=0.05)
    torch.testing.assert_close(torch.compile(model, backend="aot_eager", fullgraph=True)(ids), model(ids))


def test_compiled_gradients_of_halves() -> None:
    given = arguments(torch.bfloat16)
    call = torch.compile(lambda *a: sum(t.float().sum() for t in several(*a)), fullgraph=True, backend="aot_eager")
    call(*given).backward()
    own = [t.grad for t in given]
    for tensor in given:
        tensor.grad = None
    sum(t.float().sum() for t in several(*given)).backward()  # type: ignore[union-attr]
    for one, tensor in zip(own, given, strict=True):
        torch.testing.assert_close(one, tensor.grad)
