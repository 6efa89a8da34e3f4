"""The modules: equal to torch.nn's over their options, same state_dict, and the whole models."""

from __future__ import annotations

import copy
import io
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastfm_torch as ft
from fastfm_core.errors import InputError

FLAT = torch.tensor([4, 4, 1, 0, 10, 3, 3, 8, 2, 5, 7, 7, 9])
OFFSETS = torch.tensor([0, 3, 3, 8, 9, 12])


def same(own: nn.Module, theirs: nn.Module, *inputs: Any, **named: Any) -> None:
    """Equal outputs and gradients by the table and by the weights of samples."""
    theirs.load_state_dict(own.state_dict())
    weights = [n["per_sample_weights"] for n in (named,) if n.get("per_sample_weights") is not None]
    found = own(*inputs, **named), theirs(*inputs, **named)
    torch.testing.assert_close(*found)
    upper = torch.randn_like(found[0])
    grads = [torch.autograd.grad(o, [m.weight, *weights], upper) for o, m in zip(found, (own, theirs), strict=True)]
    for one, other in zip(*grads, strict=True):
        assert one.is_sparse == other.is_sparse
        torch.testing.assert_close(*(g.to_dense() if g.is_sparse else g for g in (one, other)))


@pytest.mark.parametrize(
    ("mode", "padding", "closed", "sparse"),
    [c for c in itertools.product(["sum", "mean", "max"], [None, 3, -1], [False, True], [False, True])
     if not (c[0] == "max" and c[3])],
)  # fmt: skip
def test_bags_are_those_of_torch(mode: str, padding: int | None, closed: bool, sparse: bool) -> None:
    options = {"mode": mode, "padding_idx": padding, "include_last_offset": closed, "sparse": sparse}
    own, theirs = (m(11, 4, dtype=torch.float64, **options) for m in (ft.EmbeddingBag, nn.EmbeddingBag))
    offsets = torch.cat([OFFSETS, torch.tensor([13])]) if closed else OFFSETS
    same(own, theirs, FLAT, offsets)
    same(own, theirs, FLAT.int(), offsets.int())
    theirs.include_last_offset = False  # torch 2.4 drops the last of bags [B, L] with it
    same(own, theirs, FLAT[:12].view(4, 3))
    same(own, theirs, FLAT[:12].view(12, 1))
    theirs.include_last_offset = closed
    if mode == "sum":
        values = torch.rand(13, dtype=torch.float64, requires_grad=True)
        same(own, theirs, FLAT, offsets, per_sample_weights=values)
        if not closed:
            same(own, theirs, FLAT[:12].view(4, 3), per_sample_weights=torch.rand(4, 3).double().requires_grad_())


@pytest.mark.parametrize("padding", [None, 3, -1])
@pytest.mark.parametrize("sparse", [False, True])
def test_embedding_is_that_of_torch(padding: int | None, sparse: bool) -> None:
    own, theirs = (m(11, 4, padding_idx=padding, sparse=sparse) for m in (ft.Embedding, nn.Embedding))
    for ids in (FLAT, FLAT[:12].view(2, 3, 2), FLAT[:0], FLAT.view(13, 1).expand(13, 2)):
        same(own, theirs, ids)
    if not sparse:  # torch fails in the backward pass
        same(own, theirs, FLAT[0])


def test_seeds_and_constructors_are_those_of_torch() -> None:
    for own, theirs in ((ft.Embedding, nn.Embedding), (ft.EmbeddingBag, nn.EmbeddingBag)):
        torch.manual_seed(3)
        left = own(5, 4, padding_idx=1)
        torch.manual_seed(3)
        torch.testing.assert_close(left.weight, theirs(5, 4, padding_idx=1).weight, rtol=0, atol=0)
        weight = torch.randn(5, 4)
        assert own.from_pretrained(weight).weight.data_ptr() == weight.data_ptr()
        assert own(5, 4, _weight=weight).weight.shape == (5, 4)
        assert list(left.state_dict()) == ["weight"] and isinstance(left, theirs)
        assert repr(left) == repr(theirs(5, 4, padding_idx=1))
        assert own(5, 4, dtype=torch.float64, device="meta").weight.is_meta
        for name, value in (("max_norm", 1.0), ("scale_grad_by_freq", True)):
            with pytest.raises(InputError, match=f"{own.__name__} has no {name}"):
                own(5, 4, **{name: value})


def test_what_bags_have_beyond_torch() -> None:
    bag = ft.EmbeddingBag(11, 4, mode="sqrtn", dtype=torch.float64)
    counts = torch.tensor([3, 1, 5, 1, 3, 1]).sqrt()[:, None]
    sums = nn.functional.embedding_bag(FLAT, bag.weight, OFFSETS, mode="sum")
    torch.testing.assert_close(bag(FLAT, OFFSETS), sums / counts)
    with pytest.raises(InputError, match="mode must be"):
        ft.EmbeddingBag(11, 4, mode="median")
    with pytest.raises(InputError, match="per_sample_weights must have the shape"):
        bag(FLAT, OFFSETS, torch.ones(2))
    with pytest.raises(InputError, match="give no offsets"):
        bag(FLAT.view(13, 1), OFFSETS)
    with pytest.raises(InputError, match=r"with offsets \[B\]"):
        bag(FLAT)


def fm(rows: Tensor) -> Tensor:
    return ((rows.sum(1) ** 2).sum(1) - (rows**2).sum((1, 2))) / 2


def test_fields_with_ids_of_their_own_lie_in_one_table() -> None:
    sizes, ids = [3, 5, 2], torch.tensor([[0, 4, 1], [2, 0, 0]])
    module = ft.EmbeddingFM(sizes, 4, dtype=torch.float64)
    nn.init.normal_(module.linear)
    assert {k: v.shape for k, v in module.state_dict().items()} == {"weight": (10, 4), "linear": (10,)}
    rows = ids + torch.tensor([0, 3, 8])
    dense = torch.randn(2, 2, dtype=torch.float64)
    out = module(ids, dense=dense)
    torch.testing.assert_close(out.first, module.linear[rows].sum(1))
    torch.testing.assert_close(out.pair, fm(module.weight[rows]))
    torch.testing.assert_close(out.deep, torch.cat([module.weight[rows].flatten(1), dense], 1))
    bags = module(ids.reshape(-1), torch.arange(6), dense)
    plain = ft.EmbeddingFM(10, 4, include_last_offset=True, dtype=torch.float64)
    plain.load_state_dict(module.state_dict())
    for other in (bags, plain(rows, dense=dense), plain(rows.reshape(-1), torch.arange(7), dense, fields=3)):
        for one, two in zip(out, other, strict=True):
            torch.testing.assert_close(one, two)
    with pytest.raises(InputError, match=r"ids\[4\] is 5, outside its field's rows 0..4"):
        module(torch.tensor([[0, 4, 1], [2, 5, 0]]))
    with pytest.raises(InputError, match="give fields="):
        plain(rows.reshape(-1), torch.arange(7))
    with pytest.raises(InputError, match="2 fields, not 3"):
        module(ids[:, :2])


def test_offsets_of_one_field_are_not_mistaken() -> None:
    for closed in (False, True):
        module = ft.EmbeddingFM([9], 4, include_last_offset=closed, dtype=torch.float64)
        out = module(torch.tensor([1, 2, 8]), torch.tensor([0, 2, 3]))  # the last bag is empty, or there is none
        assert len(out.pair) == (2 if closed else 3)
        torch.testing.assert_close(out.deep[:2], torch.stack([module.weight[[1, 2]].sum(0), module.weight[8]]))
        assert not out.deep[2:].any()


def test_options_of_the_fused_lookup() -> None:
    module = ft.EmbeddingFM(10, 4, first_order=False, deep=False, sparse=True)
    out = module(torch.tensor([[1, 2], [3, 3]]))
    assert out.deep is None and not out.first.any() and list(module.state_dict()) == ["weight"]
    out.pair.sum().backward()
    assert module.weight.grad is not None and module.weight.grad.is_sparse
    assert "first_order=False" in repr(module)
    torch.manual_seed(1)
    left = ft.EmbeddingFM([4, 6], 4)
    torch.manual_seed(1)
    assert torch.equal(left.weight, ft.EmbeddingFM(10, 4).weight) and not left.linear.any()
    assert left.double().weight.dtype == torch.float64 and left.to("meta").starts.is_meta


def test_interactions_of_given_vectors() -> None:
    vectors = torch.randn(3, 5, 4)
    torch.testing.assert_close(ft.FMInteraction()(vectors), fm(vectors))
    torch.testing.assert_close(ft.FMInteraction(per_dim=True)(vectors).sum(1), fm(vectors))


@pytest.mark.parametrize("compiled", [False, True])
def test_deepfm(compiled: bool) -> None:
    model = ft.DeepFM([3, 5, 2], 4, (8, 6), dropout=0.5, numbers=2).eval()
    nn.init.normal_(model.embedding.linear)
    ids, dense = torch.tensor([[0, 4, 1], [2, 0, 0]]), torch.randn(2, 2)
    rows = ids + torch.tensor([0, 3, 8])
    vectors = model.embedding.weight[rows]
    expected = model.embedding.linear[rows].sum(1) + fm(vectors)
    expected = expected + model.mlp(torch.cat([vectors.flatten(1), dense], 1)).squeeze(1) + model.bias
    call = torch.compile(model, fullgraph=True, backend="aot_eager") if compiled else model
    torch.testing.assert_close(call(ids, dense=dense), expected)
    names = {"bias", "embedding.weight", "embedding.linear", "mlp.0.weight", "mlp.6.bias"}
    assert names <= set(model.state_dict())
    assert any(isinstance(layer, nn.Dropout) for layer in model.mlp)
    with pytest.raises(InputError, match="needs fields="):
        ft.DeepFM(10, 4)


def test_models_are_copied_saved_and_loaded() -> None:
    model = ft.DeepFM([3, 5], 4, (8,))
    optimizer = ft.optim.Adam(model.parameters(), in_backward=True)
    ids = torch.tensor([[0, 4], [2, 0]])
    model(ids).sum().backward()
    optimizer.step()
    twin = copy.deepcopy(model)
    torch.testing.assert_close(twin(ids), model(ids), rtol=0, atol=0)
    file = io.BytesIO()
    torch.save(model, file)
    torch.save(model.state_dict(), state := io.BytesIO())
    for stream in (file, state):
        stream.seek(0)
    loaded = torch.load(file, weights_only=False)
    torch.testing.assert_close(loaded(ids), model(ids), rtol=0, atol=0)
    fresh = ft.DeepFM([3, 5], 4, (8,))
    fresh.load_state_dict(torch.load(state, weights_only=True))
    torch.testing.assert_close(fresh(ids), model(ids), rtol=0, atol=0)
