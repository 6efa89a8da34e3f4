"""in_backward: nothing is built, one update a row and step; what it does not go with is refused before rows move."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training import BATCH, batches, furthest, loss_of, model, train

import fastfm_torch as ft
from fastfm_core.errors import InputError
from fastfm_torch.guard import MovedInBackward

BOUND = 1e-12


def fused(made: Any, rule: Any = ft.optim.Adagrad, **options: Any) -> Any:
    return rule(made.parameters(), lr=0.1, in_backward=True, **options)


def test_no_gradient_is_built_and_rows_move_in_the_backward_pass() -> None:
    made = model()
    optimizer, (first, second, *_) = fused(made), batches(3)
    weight = made.embedding.weight
    before = weight.detach().clone()
    loss_of(made, first).backward()
    assert isinstance(weight.grad, MovedInBackward) and weight.grad.shape == weight.shape
    assert isinstance(made.mlp[0].weight.grad, Tensor) and torch.equal(weight, before)  # the first update waits
    optimizer.step()
    after = weight.detach().clone()
    assert not torch.equal(after, before)
    optimizer.zero_grad()
    loss_of(made, second).backward()
    moved = weight.detach().clone()
    assert not torch.equal(moved, after)
    optimizer.step()
    assert torch.equal(weight, moved)


def test_a_table_looked_up_twice_is_updated_once() -> None:
    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = ft.Embedding(30, 4, dtype=torch.float64)
            self.bags = ft.EmbeddingBag(30, 4, mode="max", dtype=torch.float64, _weight=self.table.weight.detach())
            self.bags.weight = self.table.weight

        def forward(self, ids: Tensor) -> Tensor:
            return (self.table(ids[:, 0]) * self.bags(ids)).sum(1)

    expected, found = Towers(), Towers()
    found.load_state_dict(expected.state_dict())
    for made, optimizer in (
        (expected, torch.optim.Adam(expected.parameters(), 0.1)),
        (found, fused(found, ft.optim.Adam)),
    ):
        for step in range(6):
            ids = torch.randint(0, 30, (4, 3), generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            (made(ids) ** 2).sum().backward()
            optimizer.step()
    assert furthest(found, expected) < BOUND


def test_lookups_of_every_kind() -> None:
    class Kinds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plain = ft.Embedding(9, 4, padding_idx=2, dtype=torch.float64)
            self.bag = ft.EmbeddingBag(9, 4, mode="mean", padding_idx=1, dtype=torch.float64)
            self.fm = ft.EmbeddingFM(9, 4, mode="max", dtype=torch.float64)
            nn.init.normal_(self.fm.linear)

        def forward(self, ids: Tensor, offsets: Tensor, values: Tensor, dense: Tensor) -> Tensor:
            out = self.fm(ids, offsets, dense, values, fields=2)
            sums = self.plain(ids).pow(2).sum() + self.bag(ids, offsets, values).sin().sum()
            return sums + (out.first * out.pair).sum() + out.deep.cos().sum()

    expected, found = Kinds(), Kinds()
    found.load_state_dict(expected.state_dict())
    ids, offsets = torch.tensor([2, 1, 0, 8, 8, 2, 1]), torch.tensor([0, 2, 2, 5])
    given = []
    for made, optimizer in ((expected, ft.optim.Adagrad(expected.parameters(), 0.1)), (found, fused(found))):
        torch.manual_seed(2)
        for _ in range(4):
            values, dense = torch.rand(7).double().requires_grad_(), torch.rand(2, 3).double().requires_grad_()
            optimizer.zero_grad()
            made(ids, offsets, values, dense).backward()
            optimizer.step()
            given.append((values.grad, dense.grad))
    assert furthest(found, expected) < BOUND
    for one, other in zip(given[:4], given[4:], strict=True):
        torch.testing.assert_close(one, other)


def test_frozen_and_unknown_tables_are_as_ever() -> None:
    made = model()
    made.embedding.weight.requires_grad_(False)
    optimizer = fused(made)
    before = made.embedding.weight.detach().clone()
    linear = made.embedding.linear.detach().clone()
    train(made, optimizer, 3)
    assert torch.equal(made.embedding.weight, before) and not torch.equal(made.embedding.linear, linear)
    other = model()
    optimizer = ft.optim.Adagrad([other.embedding.weight], 0.1, in_backward=True)
    loss_of(other, batches(1)[0]).backward()
    assert isinstance(other.embedding.weight.grad, MovedInBackward)
    assert type(other.embedding.linear.grad) is Tensor and other.embedding.linear.grad.any()


def scaled(made: Any, optimizer: Any, batch: Any) -> None:
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss_of(made, batch)).backward()
    scaler.step(optimizer)


def unscaled(made: Any, optimizer: Any, batch: Any) -> None:
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss_of(made, batch)).backward()
    scaler.unscale_(optimizer)


def tables_alone(made: Any, optimizer: Any, batch: Any) -> None:
    """GradScaler with an optimizer whose parameters have no gradient yet."""
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss_of(copy.deepcopy(made), batch))
    optimizer.grad_scale = optimizer.found_inf = torch.ones(())
    optimizer.step()


def accumulated(made: Any, optimizer: Any, batch: Any) -> None:
    loss_of(made, batch).backward()
    loss_of(made, batch).backward()


def clipped(made: Any, optimizer: Any, batch: Any) -> None:
    loss_of(made, batch).backward()
    nn.utils.clip_grad_norm_(made.parameters(), 1.0)


def clipped_by_value(made: Any, optimizer: Any, batch: Any) -> None:
    loss_of(made, batch).backward()
    nn.utils.clip_grad_value_(made.parameters(), 1.0)


def penalised(made: Any, optimizer: Any, batch: Any) -> None:
    (loss_of(made, batch) + made.embedding.weight.pow(2).sum()).backward()
    optimizer.step()


REFUSED: list[tuple[Callable[..., None], str]] = [
    (scaled, "GradScaler"), (unscaled, "GradScaler"), (tables_alone, "GradScaler"), (accumulated, "accumulated"),
    (clipped, r"clip_grad_norm_"), (clipped_by_value, r"clip_grad_value_"),
    (penalised, "besides that of its lookups|second gradient"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "words"), REFUSED)
def test_what_it_does_not_go_with_is_refused_before_anything_moved(mistake: Any, words: str) -> None:
    made = model()
    before = copy.deepcopy(made.state_dict())
    with pytest.raises(InputError, match=words) as caught:
        mistake(made, fused(made), batches(1)[0])
    assert "in_backward=True" in str(caught.value) and "\n" not in str(caught.value)
    for name, weight in made.state_dict().items():
        assert torch.equal(weight, before[name]), name


@pytest.mark.parametrize(("mistake", "words"), REFUSED)
def test_and_after_a_step_too(mistake: Any, words: str) -> None:
    made = model()
    optimizer = fused(made)
    train(made, optimizer, 1)
    optimizer.zero_grad()
    with pytest.raises(InputError, match=words):
        mistake(made, optimizer, batches(1)[0])


def test_several_ranks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model()
    optimizer = fused(made)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda *_: 2)
    with pytest.raises(InputError, match="DistributedDataParallel"):
        loss_of(made, batches(1)[0])
    with pytest.raises(InputError, match="DistributedDataParallel"):
        fused(model())
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda *_: 1)
    train(made, optimizer, 1)


def test_gradients_are_dropped_as_ever() -> None:
    made, plain = model(), model()
    optimizer, other = fused(made), torch.optim.Adagrad(plain.parameters(), 0.1)
    one, two, *_ = batches(2)
    for current, rule, drop in ((made, optimizer, optimizer.zero_grad), (plain, other, other.zero_grad)):
        loss_of(current, one).backward()
        drop()
        loss_of(current, two).backward()
        rule.step()
        current.zero_grad(set_to_none=False)
        rule.zero_grad(set_to_none=False)
    assert furthest(made, plain) < BOUND


def test_an_evaluation_between_is_harmless() -> None:
    made, plain = model(), model()
    one, two, *_ = batches(2)
    for current, rule in ((made, fused(made)), (plain, torch.optim.Adagrad(plain.parameters(), 0.1))):
        for batch in (one, two):
            loss_of(current, two)  # differentiable, and forgotten
            rule.zero_grad()
            loss_of(current, batch).backward()
            with torch.no_grad():
                loss_of(current, one)
            rule.step()
    assert furthest(made, plain) < BOUND


@pytest.mark.parametrize("in_backward", [False, True])
def test_a_stale_graph_raises(in_backward: bool) -> None:
    made = model()
    optimizer = ft.optim.Adagrad(made.parameters(), 0.1, in_backward=in_backward)
    weight, (one, two, *_) = made.embedding.weight, batches(2)
    old = loss_of(made, one)
    versions = [weight._version]
    for _ in range(2):
        optimizer.zero_grad()
        loss_of(made, two).backward()
        optimizer.step()
        versions.append(weight._version)
    assert versions == sorted(set(versions))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        old.backward()


def test_the_guard_has_no_memory_and_reads_as_a_gradient() -> None:
    guard = MovedInBackward(nn.Parameter(torch.empty(1 << 40, 16, device="meta")))
    assert guard.shape == (1 << 40, 16) and repr(guard) == "MovedInBackward([1099511627776, 16])"
    with pytest.raises(InputError, match="no gradient to give"):
        guard + 1


def test_compiled_models_break_their_graph_and_train_the_same() -> None:
    expected = model()
    losses = train(expected, fused(expected), 5)
    for compiled_before in (False, True):
        made = model()
        call = torch.compile(made, backend="aot_eager")
        if compiled_before:
            loss_of(call, batches(1)[0])
        optimizer = fused(made)
        own = []
        for step, batch in enumerate(batches(5)):
            optimizer.zero_grad()
            loss = loss_of(call, batch)
            loss.backward()
            assert isinstance(made.embedding.weight.grad, MovedInBackward)
            optimizer.param_groups[0]["lr"] = 0.1 * 0.7 ** (step // 3)
            optimizer.step()
            optimizer.param_groups[0]["lr"] = 0.1 * 0.7 ** ((step + 1) // 3)
            own.append(loss.item())
        torch.testing.assert_close(own, losses, rtol=1e-12, atol=0)
    torch._dynamo.reset()
    with pytest.raises(Exception, match="disable"):
        torch.compile(made, fullgraph=True, backend="aot_eager")(batches(1)[0][0], dense=torch.rand(BATCH, 1).double())


def test_autocast_in_bfloat16() -> None:
    made = model().float()
    optimizer = fused(made)
    for ids, dense, labels in batches(3):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            logits = made(ids, dense=dense.float())
        nn.functional.binary_cross_entropy_with_logits(logits.float(), labels.float()).backward()
        optimizer.step()
    assert made.embedding.weight.dtype == torch.float32 and bool(made.embedding.weight.isfinite().all())
