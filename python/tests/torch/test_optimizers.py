"""The optimizers in ``step``: equal to torch.optim's on dense gradients, whatever the form of ours."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from training import batches, furthest, loss_of, model, train, trained

import fastfm_torch as ft
from fastfm_core import kernels
from fastfm_core.contract import RowSource
from fastfm_core.errors import InputError

BOUND = 1e-12  # of float64 weights of about 1 after twelve steps; sums are added in another order
RULES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, ft.optim.SGD, {"lr": 0.3}),
    "adagrad": (torch.optim.Adagrad, ft.optim.Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.1}),
    "adam": (torch.optim.Adam, ft.optim.Adam, {"lr": 0.05, "betas": (0.8, 0.95)}),
}
FORMS: dict[str, tuple[bool, dict[str, Any]]] = {
    "dense": (False, {}), "sparse": (True, {}), "in_backward": (False, {"in_backward": True}),
}  # fmt: skip
OWN = {**{name: (own, options) for name, (_, own, options) in RULES.items()},
       "rowwise": (ft.optim.RowwiseAdagrad, {"lr": 0.1})}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("decay", [0.0, 0.02])
@pytest.mark.parametrize("rule", RULES)
def test_equal_to_torch(rule: str, decay: float, form: str) -> None:
    theirs, own, options = RULES[rule]
    sparse, more = FORMS[form]
    options = {**options, "weight_decay": decay}
    expected, other, losses = trained(model(), lambda p: theirs(p, **options))
    found, optimizer, own_losses = trained(model(), lambda p: own(p, **options, **more), sparse=sparse)
    np.testing.assert_allclose(own_losses, losses, rtol=1e-12)
    assert furthest(found, expected) < BOUND
    states = optimizer.state_dict()["state"]
    for place, state in other.state_dict()["state"].items():
        for name, value in state.items():
            if name != "momentum_buffer":
                torch.testing.assert_close(torch.as_tensor(states[place][name], dtype=value.dtype), value)


@pytest.mark.parametrize("form", ["sparse", "in_backward"])
@pytest.mark.parametrize("decay", [0.0, 0.02])
@pytest.mark.parametrize("rule", OWN)
def test_every_form_of_a_rule_makes_the_same(rule: str, decay: float, form: str) -> None:
    own, options = OWN[rule]
    sparse, more = FORMS[form]
    expected, _, _ = trained(model(), lambda p: own(p, **options, weight_decay=decay))
    found, _, _ = trained(model(), lambda p: own(p, **options, weight_decay=decay, **more), sparse=sparse)
    assert furthest(found, expected) < BOUND


def test_rows_lazy_is_torchs_sparse_adam() -> None:
    ids = torch.randint(0, 30, (4, 5))
    own, theirs = ft.Embedding(30, 4, sparse=True), nn.Embedding(30, 4, sparse=True)
    theirs.load_state_dict(own.state_dict())
    pairs = (
        (own, ft.optim.Adam(own.parameters(), 0.1, rows="lazy")),
        (theirs, torch.optim.SparseAdam(theirs.parameters(), 0.1)),
    )
    for step in range(6):
        for module, optimizer in pairs:
            optimizer.zero_grad()
            (module(ids[step % 4]) ** 2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(own.weight, theirs.weight)


def test_sparse_gradients_of_torchs_own_lookup() -> None:
    ids = torch.tensor([5, 1, 5, 0])
    for coalesced in (False, True):
        own, theirs = (nn.Embedding(9, 4, sparse=True) for _ in range(2))
        theirs.load_state_dict(own.state_dict())
        for module, optimizer in (
            (own, ft.optim.Adagrad(own.parameters(), 0.1)),
            (theirs, torch.optim.Adagrad(theirs.parameters(), 0.1)),
        ):
            (module(ids) ** 2).sum().backward()
            if coalesced:
                module.weight.grad = module.weight.grad.coalesce()
            optimizer.step()
        torch.testing.assert_close(own.weight, theirs.weight)
    refused = nn.Embedding(9, 4, sparse=True)
    optimizer = ft.optim.Adam(refused.parameters())
    before = refused.weight.detach().clone()
    refused(ids).sum().backward()
    with pytest.raises(InputError, match=r"use fastfm_torch's modules, or rows='lazy'"):
        optimizer.step()
    assert torch.equal(refused.weight, before)


def test_rows_catch_up_before_they_are_read() -> None:
    made = model(sparse=True)
    optimizer = ft.optim.Adam(made.parameters(), 0.05)
    weight = made.embedding.weight
    train(made, optimizer, 5)
    late = weight.detach().clone()
    ids = torch.arange(30)[:, None].repeat(1, 2)
    vectors = made.eval().embedding(ids).deep.view(30, 2, 4)
    assert not torch.equal(late, weight), "no row was behind"
    version = weight._version
    optimizer.catch_up()
    assert weight._version > version
    torch.testing.assert_close(vectors[:, 0], weight[:30], rtol=0, atol=0)
    torch.testing.assert_close(vectors[:, 1], weight[40:], rtol=0, atol=0)
    optimizer.catch_up()
    assert weight._version == version + 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rule", OWN)
def test_a_training_goes_on_from_what_was_saved(rule: str, form: str) -> None:
    own, options = OWN[rule]
    sparse, more = FORMS[form]
    first, optimizer, _ = trained(model(), lambda p: own(p, **options, **more, weight_decay=0.01), sparse=sparse)
    states = copy.deepcopy((first.state_dict(), optimizer.state_dict()))
    second = model(sparse=sparse)
    other = own(second.parameters(), lr=1.0, **more)
    train(second, other, 2, seed=9)
    second.load_state_dict(states[0])
    other.load_state_dict(states[1])
    assert train(first, optimizer, 4, seed=1, schedule=False) == train(second, other, 4, seed=1, schedule=False)
    assert furthest(first, second) == 0


def test_the_states_of_torchs_optimizers_are_taken() -> None:
    theirs, own, options = RULES["adam"]
    expected, optimizer, _ = trained(model(), lambda p: theirs(p, **options))
    found = copy.deepcopy(expected)
    other = own(found.parameters(), in_backward=True)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(expected, optimizer, 4, seed=1, schedule=False)
    train(found, other, 4, seed=1, schedule=False)
    assert furthest(found, expected) < BOUND


def test_dense_and_sparse_gradients_by_turns() -> None:
    expected, found = model(), model()
    for made, rule in ((expected, torch.optim.Adam), (found, ft.optim.Adam)):
        optimizer = rule(made.parameters(), 0.05)
        for step, batch in enumerate(batches(12)):
            made.embedding.sparse = made is found and step % 4 != 2
            optimizer.zero_grad()
            loss_of(made, batch).backward()
            if step == 7:
                made.embedding.weight.grad = None  # torch passes such a parameter by, and so does its step count
            optimizer.step()
    assert furthest(found, expected) < BOUND


def test_a_grad_scaler_works_in_step() -> None:
    expected, found = model(), model(sparse=True)
    train(expected, ft.optim.Adagrad(expected.parameters(), 0.1), 4, schedule=False)
    optimizer, scaler = ft.optim.Adagrad(found.parameters(), 0.1), torch.amp.GradScaler("cpu")
    for batch in batches(4):
        optimizer.zero_grad()
        scaler.scale(loss_of(found, batch)).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    assert furthest(found, expected) < BOUND


def test_groups_have_numbers_of_their_own() -> None:
    def groups(made: Any) -> list[dict[str, Any]]:
        tables = list(made.embedding.parameters())
        rest = [p for p in made.parameters() if not any(p is t for t in tables)]
        return [{"params": tables, "lr": 0.2, "weight_decay": 0.01}, {"params": rest}]

    expected, found = model(), model(sparse=True)
    train(expected, torch.optim.Adagrad(groups(expected), lr=0.05))
    train(found, ft.optim.Adagrad(groups(found), lr=0.05))
    assert furthest(found, expected) < BOUND


def test_parameters_of_any_shape_and_without_gradient() -> None:
    shapes = ((), (3,), (2, 3), (2, 3, 4), (0, 4), (5, 1))
    own, theirs = ([nn.Parameter(torch.ones(shape)) for shape in shapes] for _ in range(2))
    for parameters, rule in ((own, ft.optim.Adam), (theirs, torch.optim.Adam)):
        optimizer = rule([*parameters, nn.Parameter(torch.ones(2))])
        for _ in range(3):
            optimizer.zero_grad(set_to_none=False)
            optimizer.step(lambda p=parameters: sum((x**2).sum() for x in p).backward())
    for one, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_one_update_is_the_kernel_s_bit_for_bit() -> None:
    table, ids = torch.randn(50, 8), torch.randint(0, 50, (12, 3))
    module = ft.EmbeddingFM(50, 8, first_order=False)
    module.weight.data.copy_(table)
    optimizer = ft.optim.Adagrad(module.parameters(), 0.1, in_backward=True)
    pair = module(ids).pair
    (pair**2).sum().backward()
    optimizer.step()
    expected, sums = table.numpy().copy(), np.zeros((50, 8), np.float32)
    entries = kernels.plan_rows(ids.reshape(-1).numpy(), 50)
    upper = 2 * pair.detach().numpy()
    source = RowSource(3, pair_grad=upper, sums=table[ids].numpy().sum(1))
    out = kernels.embedding_fm(
        table.numpy(), None, ft.ops.lookups.Entries(ids.reshape(-1).numpy(), 3), None, deep=False
    )
    kernels.update_rows_adagrad_(expected, sums, entries, source._replace(sums=out.sums), lr=0.1)
    np.testing.assert_array_equal(module.weight.detach().numpy(), expected)


def test_what_is_refused() -> None:
    made = model()
    for dtype in (torch.bfloat16, torch.float16):
        with pytest.raises(InputError, match=rf"\[70, 4\] is {dtype}.*train in float32 and convert for serving"):
            ft.optim.SGD([nn.Parameter(torch.ones(70, 4, dtype=dtype))])
    with pytest.raises(InputError, match="rows must be 'exact' or 'lazy'"):
        ft.optim.Adam(made.parameters(), rows="dense")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="lr must be 0 or more"):
        ft.optim.SGD(made.parameters(), -1.0)
    with pytest.raises(InputError, match="betas"):
        ft.optim.Adam(made.parameters(), betas=(0.9, 1.0))


def test_a_new_optimizer_takes_over() -> None:
    expected, found = model(), model(sparse=True)
    for made, rules in ((expected, (torch.optim.Adam, torch.optim.SGD)), (found, (ft.optim.Adam, ft.optim.SGD))):
        for rule in rules:
            train(made, rule(made.parameters(), lr=0.05), 4)
    assert furthest(found, expected) < BOUND


def test_same_seed_same_weights_at_any_number_of_threads() -> None:
    from fastfm_core import threads

    before, ends = threads.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            threads.set_num_threads(count)
            torch.manual_seed(7)
            made = ft.EmbeddingFM(5000, 16)
            optimizer = ft.optim.Adagrad(made.parameters(), 0.1, in_backward=True)
            for step in range(3):
                ids = torch.randint(0, 5000, (2048, 8), generator=torch.Generator().manual_seed(step))
                out = made(ids)
                (out.first + out.pair + out.deep.pow(2).mean(1)).sum().backward()
                optimizer.step()
            ends.append(made.weight.detach().clone())
    finally:
        threads.set_num_threads(before)
    assert torch.equal(ends[0], ends[1]) and torch.equal(ends[0], ends[2])
