"""The operators: registered as PyTorch wants them, differentiable, compiled without a break, and refusing by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fastfm_torch as ft
from fastfm_core import kernels
from fastfm_core.contract import Entries
from fastfm_core.errors import InputError
from fastfm_torch import interaction, ops

V, D, B, F = 11, 4, 3, 5
POOLED = ("sum", "mean", "sqrtn", "max")
IDS = torch.tensor([[0, 10, 3, 3, 7], [1, 2, 3, 4, 5], [9, 9, 9, 0, 10]])
FLAT = torch.tensor([4, 4, 1, 0, 10, 3, 3, 8, 2, 5, 7, 7, 9])
OFFSETS = torch.tensor([0, 3, 3, 8, 9, 12, 13])  # six bags, one of them empty


def weights(dtype: torch.dtype = torch.float64, *, grad: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """table, linear, values of FLAT, dense of three samples"""
    made = torch.randn(V, D, dtype=dtype), torch.randn(V, dtype=dtype), torch.rand(13, dtype=dtype) + 0.5
    return tuple(t.requires_grad_(grad) for t in (*made, torch.randn(3, 2, dtype=dtype)))  # type: ignore


def passes(operator: Any, *arguments: Any) -> None:
    assert set(torch.library.opcheck(operator, arguments).values()) == {"SUCCESS"}


def test_opcheck_of_lookups() -> None:
    table, linear, values, dense = weights(torch.float32)
    passes(ops._gather, table, IDS, -1, False, True)
    passes(ops._gather, table, IDS.int(), 3, False, True)
    passes(ops._global, IDS[:, :2] % 2, torch.tensor([0, 2, 4]), None, True)
    for pooling in POOLED:
        passes(ops._bag, table, FLAT, OFFSETS, values, pooling, 3, False, True)
        passes(ops._bag, table, FLAT, None, None, pooling, -1, False, True)
        passes(ops._fm, table, linear, FLAT, OFFSETS, values, dense, 2, pooling, True, False, True)
        passes(ops._fm, table, None, FLAT, OFFSETS, None, None, 2, pooling, False, False, True)
    passes(ops._fm, table, linear, IDS, None, None, dense, F, "sum", True, False, True)
    passes(ops._fm, table, linear, FLAT, OFFSETS, values, None, 1, "none", False, False, True)


def test_opcheck_of_interactions() -> None:
    fields = torch.randn(B, F, D, requires_grad=True)
    passes(interaction._fm, fields)
    passes(interaction._bi, fields)


@pytest.mark.parametrize("pooling", POOLED)
def test_gradcheck_of_bags(pooling: str) -> None:
    table, linear, values, dense = weights()
    check = torch.autograd.gradcheck
    assert check(lambda w, x: ft.embedding_bag(w, FLAT, OFFSETS, x, pooling=pooling, padding_idx=3), (table, values))
    options = {"fields": 2, "pooling": pooling, "deep": True}
    assert check(lambda w, b, x, d: tuple(ft.embedding_fm(w, b, FLAT, OFFSETS, x, d, **options)),
                 (table, linear, values, dense))  # fmt: skip


def test_gradcheck_of_single_ids_terms_and_interactions() -> None:
    table, linear, values, dense = weights()
    check = torch.autograd.gradcheck
    assert check(lambda w: ft.embedding_gather(w, IDS, padding_idx=None), (table,))
    assert check(lambda w, b, d: tuple(ft.embedding_fm(w, b, IDS, dense=d, deep=True)), (table, linear, dense))
    assert check(lambda w, b, x: ft.embedding_fm(w, b, FLAT, OFFSETS, x, fields=1, pooling="none")[:2],
                 (table, linear, values))  # fmt: skip
    fields = torch.randn(B, F, D, dtype=torch.float64, requires_grad=True)
    assert check(ft.fm_interaction, (fields,)) and check(ft.bi_interaction, (fields,))


def whole(table: Tensor, linear: Tensor, dense: Tensor, values: Tensor) -> Tensor:
    first, pair, deep = ft.embedding_fm(table, linear, IDS, dense=dense, deep=True)
    assert deep is not None
    bags = ft.embedding_bag(table, FLAT, OFFSETS, values, pooling="mean", padding_idx=3)
    rows = ft.embedding_gather(table, IDS)
    total = torch.sigmoid(first + pair).sum() + deep.pow(2).sum() + bags.sin().sum()
    return total + ft.fm_interaction(rows).sum() + ft.bi_interaction(rows).cos().sum()


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_whole_they_give_the_same(dynamic: bool) -> None:
    table, linear, values, dense = weights()
    own, compiled = ([t.detach().clone().requires_grad_() for t in (table, linear, dense, values)] for _ in range(2))
    backend = "aot_eager" if dynamic else "inductor"
    left, right = whole(*own), torch.compile(whole, fullgraph=True, dynamic=dynamic, backend=backend)(*compiled)
    left.backward()
    right.backward()
    torch.testing.assert_close(left, right)
    for one, other in zip(own, compiled, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_the_numbers_are_the_kernels_bit_for_bit() -> None:
    table, linear, values, dense = weights(torch.float32, grad=False)
    entries = Entries(FLAT.numpy(), 2, OFFSETS.numpy(), values.numpy(), "mean")
    expected = kernels.embedding_fm(table.numpy(), linear.numpy(), entries, dense.numpy(), deep=True)
    found = ft.embedding_fm(table, linear, FLAT, OFFSETS, values, dense, fields=2, pooling="mean", deep=True)
    assert expected.deep is not None and found.deep is not None
    for one, other in ((found.first, expected.first), (found.pair, expected.pair), (found.deep, expected.deep)):
        np.testing.assert_array_equal(one.numpy(), other)


@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_are_those_of_eager_torch(sparse: bool) -> None:
    table, linear, _, dense = weights()
    first, pair, deep = ft.embedding_fm(table, linear, IDS, dense=dense, deep=True, sparse=sparse)
    rows = table[IDS]
    total = rows.sum(1)
    expected = linear[IDS].sum(1), ((total**2).sum(1) - (rows**2).sum((1, 2))) / 2
    wide = torch.cat([rows.flatten(1), dense], 1)
    upper = [torch.randn_like(t) for t in (first, pair, wide)]
    found = torch.autograd.grad((first, pair, deep), (table, linear, dense), upper, allow_unused=True)
    for one, other in zip(found, torch.autograd.grad((*expected, wide), (table, linear, dense), upper), strict=True):
        if one.is_sparse:
            assert one.is_coalesced() and bool((one.indices()[0].diff() > 0).all())
            one = one.to_dense()
        torch.testing.assert_close(one, other)


def test_tables_with_outer_strides_are_read_as_they_lie() -> None:
    arena = torch.randn(V, D + 1, dtype=torch.float64)
    table, linear = (t.detach().requires_grad_() for t in (arena[:, :D], arena[:, D]))
    first, pair, _ = ft.embedding_fm(table, linear, IDS.t().contiguous().t())
    torch.testing.assert_close(first, arena[:, D][IDS].sum(1))
    (first.sum() + pair.sum()).backward()
    assert table.grad is not None and table.grad.shape == (V, D)
    with pytest.raises(InputError, match="inner stride"):
        ft.embedding_gather(torch.randn(D, V).t(), IDS)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda w: ft.embedding_gather(w, torch.tensor([0, V])), r"ids\[1\] is 11, outside the table's rows 0..10"),
        (lambda w: ft.embedding_gather(w, torch.tensor([-1])), r"ids\[0\] is -1"),
        (lambda w: ft.embedding_gather(w, torch.tensor([1.0])), "ids must be int32 or int64"),
        (lambda w: ft.embedding_gather(w.to(torch.complex64), IDS), "weight must be float32"),
        (lambda w: ft.embedding_bag(w, FLAT, OFFSETS + 1), "offsets must rise from 0"),
        (lambda w: ft.embedding_bag(w, FLAT, OFFSETS, torch.ones(3)), "3 values for 13 ids"),
        (lambda w: ft.embedding_bag(w, FLAT, OFFSETS, pooling="median"), "unknown pooling 'median'"),
        (lambda w: ft.embedding_fm(w, torch.zeros(3), IDS), "linear must be"),
        (lambda w: ft.embedding_fm(w, None, IDS, dense=torch.zeros(2, 2), deep=True), r"dense must be \[3, I\]"),
        (lambda w: ft.embedding_fm(w, None, FLAT, OFFSETS, fields=4), "6 slots cannot be 4 fields"),
        (lambda w: ft.embedding_fm(w, None, FLAT, OFFSETS), "need fields="),
        (lambda w: ft.fm_interaction(w), r"vectors \[B, F, D\]"),
    ],
)
def test_mistakes_are_named(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(torch.randn(V, D))


def test_empty_batches_and_dims() -> None:
    table = torch.randn(V, D, requires_grad=True)
    first, pair, deep = ft.embedding_fm(table, None, IDS[:0], deep=True)
    assert first.shape == pair.shape == (0,) and deep is not None and deep.shape == (0, F * D)
    (pair.sum() + deep.sum()).backward()
    assert table.grad is not None and not table.grad.any()
    assert ft.embedding_gather(torch.randn(V, 0), IDS).shape == (B, F, 0)
    assert ft.embedding_fm(torch.randn(V, 0), torch.ones(V), IDS).first.tolist() == [F] * B
