"""``convert``: what it swaps, keeps, passes over and refuses, and that a swapped model computes as before."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import fastfm_torch
from fastfm_core.errors import InputError


class Model(nn.Module):
    """Words, and bags of tags, into one logit."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 4, **options)
        self.sides = nn.ModuleDict({"tags": nn.EmbeddingBag(30, 4, mode="mean", include_last_offset=True)})
        self.head = nn.Linear(4, 1)

    def forward(self, ids: Tensor, tags: Tensor, offsets: Tensor) -> Tensor:
        return self.head(self.words(ids) + self.sides["tags"](tags, offsets))[:, 0]


class Named(nn.Embedding):
    """Another name and other arguments, nothing else."""

    def __init__(self, rows: int) -> None:
        super().__init__(rows, 4, padding_idx=0)


class Scaled(nn.Embedding):
    """Computes something else."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


def batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.tensor([0, 2, 2, 5, 6, 9, 12, 12, 16])
    return torch.randint(50, (8,), generator=generator), torch.randint(30, (16,), generator=generator), offsets


def trained(model: nn.Module, rule: Any, steps: int = 5) -> tuple[list[float], dict[str, Tensor]]:
    optimizer = rule(model.parameters(), lr=0.1)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = model(*batch(step)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model.state_dict()


def test_the_report_says_what_was_swapped() -> None:
    model = Model()
    report = fastfm_torch.convert(model)
    assert str(report) == "swapped 2 of 2 embeddings\n  words  50 x 4\n  sides.tags  30 x 4  mean"
    assert isinstance(model.words, fastfm_torch.Embedding)
    assert isinstance(model.sides["tags"], fastfm_torch.EmbeddingBag)
    assert [(swap.path, swap.rows, swap.dim, swap.mode) for swap in report.swapped] == [
        ("words", 50, 4, ""), ("sides.tags", 30, 4, "mean"),
    ]  # fmt: skip
    assert not report.left and not report.refused and not report.dry_run


@pytest.mark.parametrize("sparse", [True, False])
def test_training_is_the_same(sparse: bool) -> None:
    torch.manual_seed(0)
    plain = Model()
    swapped = copy.deepcopy(plain)
    fastfm_torch.convert(swapped, sparse=sparse)
    losses, weights = trained(plain, torch.optim.Adagrad)
    own_losses, own_weights = trained(swapped, fastfm_torch.optim.Adagrad)
    assert losses == pytest.approx(own_losses, rel=1e-6)
    assert list(weights) == list(own_weights)
    for name, weight in weights.items():
        torch.testing.assert_close(own_weights[name], weight, rtol=1e-5, atol=1e-7)


def test_the_parameters_are_the_same_objects_under_the_same_names() -> None:
    model = Model()
    before, module = dict(model.named_parameters()), model.words
    fastfm_torch.convert(model)
    after = dict(model.named_parameters())
    assert list(before) == list(after) and all(before[name] is after[name] for name in before)
    assert model.words is module


@pytest.mark.parametrize("sparse", [True, False])
def test_a_state_dict_goes_both_ways(sparse: bool) -> None:
    plain, swapped = Model(), Model()
    fastfm_torch.convert(swapped, sparse=sparse)
    swapped.load_state_dict(plain.state_dict())
    torch.testing.assert_close(swapped(*batch()), plain(*batch()))
    Model().load_state_dict(swapped.state_dict())


def test_flags_are_kept() -> None:
    model = nn.ModuleList([
        nn.Embedding(9, 4, padding_idx=3), nn.Embedding(9, 4, sparse=True, dtype=torch.float64),
        *(nn.EmbeddingBag(9, 4, mode=mode, include_last_offset=last, padding_idx=2)
          for mode in ("sum", "mean", "max") for last in (True, False)),
    ])  # fmt: skip
    names = ("num_embeddings", "embedding_dim", "padding_idx", "mode", "include_last_offset", "sparse", "training")
    model[0].eval()
    before = [{name: getattr(each, name, None) for name in names} for each in model]
    plain = copy.deepcopy(model)
    fastfm_torch.convert(model, sparse=None)
    assert [{name: getattr(each, name, None) for name in names} for each in model] == before
    assert model[1].weight.dtype == torch.float64
    ids, offsets = torch.tensor([2, 3, 4, 2, 8]), torch.tensor([0, 3, 5])
    for own, torchs in zip(model, plain, strict=True):
        arguments = (ids,) if isinstance(torchs, nn.Embedding) else (ids, offsets)
        torch.testing.assert_close(own(*arguments), torchs(*arguments))
        own(*arguments).square().sum().backward(), torchs(*arguments).square().sum().backward()
        torch.testing.assert_close(own.weight.grad.to_dense(), torchs.weight.grad.to_dense())


def test_sparse_is_set_or_kept() -> None:
    model = nn.ModuleList([nn.Embedding(9, 4), nn.Embedding(9, 4, sparse=True)])
    for sparse, expected in ((None, [False, True]), (True, [True, True]), (False, [False, False])):
        swapped = copy.deepcopy(model)
        fastfm_torch.convert(swapped, sparse=sparse)
        assert [each.sparse for each in swapped] == expected
        for each, is_sparse in zip(swapped, expected, strict=True):
            each(torch.tensor([1, 1])).sum().backward()
            assert each.weight.grad.is_sparse == is_sparse


def test_hooks_and_attributes_are_kept() -> None:
    model, seen = Model(), []
    model.words.register_forward_hook(lambda *_: seen.append("hook"))
    model.words.note = "kept"
    fastfm_torch.convert(model)
    model(*batch())
    assert seen == ["hook"] and model.words.note == "kept"


def test_one_module_in_two_places_stays_one() -> None:
    shared = nn.Embedding(9, 4)
    model = nn.ModuleDict({"query": shared, "item": shared})
    report = fastfm_torch.convert(model)
    assert [swap.path for swap in report.swapped] == ["query"]
    assert model["query"] is model["item"] and isinstance(model["item"], fastfm_torch.Embedding)


def test_an_embedding_itself() -> None:
    module = nn.Embedding(9, 4)
    assert str(fastfm_torch.convert(module)) == "swapped 1 of 1 embeddings\n  (itself)  9 x 4"
    assert type(module) is fastfm_torch.Embedding


def test_what_is_passed_over_is_named() -> None:
    model = nn.ModuleDict({
        "named": Named(9), "scaled": Scaled(9, 4), "normed": nn.utils.parametrizations.weight_norm(nn.Embedding(9, 4)),
        "small": nn.Embedding(2, 4), "own": fastfm_torch.Embedding(9, 4),
    })  # fmt: skip
    report = fastfm_torch.convert(model, min_rows=3)
    assert [swap.path for swap in report.swapped] == ["named"]
    assert dict(report.left) == {
        "scaled": "Scaled has forward of its own",
        "normed": "its weight is made from other parameters",
        "small": "it has 2 rows, fewer than min_rows=3",
        "own": "it is fastfm_torch's already",
    }
    assert "left as they are: 4\n  scaled: Scaled has forward of its own\n" in str(report)
    assert type(model["named"]) is fastfm_torch.Embedding and model["named"].padding_idx == 0
    assert type(model["scaled"]) is Scaled and type(model["small"]) is nn.Embedding


class Tied(nn.Module):
    """A language model's head has the table's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
        self.head.weight = self.words.weight


class UsedElsewhere(nn.Module):
    """The weight is used in a function, and so registered a second time."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 4)
        self.table = self.words.weight


def transposed() -> nn.Embedding:
    module = nn.Embedding(9, 4)
    module.weight = nn.Parameter(torch.randn(4, 9).T)
    return module


REFUSED = {
    "max_norm": (lambda: nn.ModuleDict({"words": nn.Embedding(9, 4, max_norm=1.0)}), "max_norm=1.0"),
    "max_norm of bags": (lambda: nn.ModuleDict({"words": nn.EmbeddingBag(9, 4, max_norm=1.0)}), "max_norm=1.0"),
    "scaled gradients": (
        lambda: nn.ModuleDict({"words": nn.Embedding(9, 4, scale_grad_by_freq=True)}), "scale_grad_by_freq=True"
    ),
    "tied": (Tied, "its weight is tied, it stands in words.weight and head.weight"),
    "used elsewhere": (UsedElsewhere, "its weight is tied, it stands in table and words.weight"),
    "halves": (lambda: nn.ModuleDict({"words": nn.Embedding(9, 4, dtype=torch.bfloat16)}), "torch.bfloat16"),
    "complex": (lambda: nn.ModuleDict({"words": nn.Embedding(9, 4, dtype=torch.complex64)}), "torch.complex64"),
    "transposed": (lambda: nn.ModuleDict({"words": transposed()}), "not contiguous"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_module_and_change_nothing(name: str) -> None:
    make, reason = REFUSED[name]
    model = nn.ModuleDict({"good": nn.Embedding(9, 4), "bad": make()})
    with pytest.raises(InputError, match=r"bad\.words: .*nothing was changed") as error:
        fastfm_torch.convert(model)
    assert reason.replace("words.weight", "bad.words.weight").replace(" head", " bad.head").replace(
        "in table", "in bad.table"
    ) in str(error.value)
    assert type(model["good"]) is nn.Embedding and not model["good"].sparse

    report = fastfm_torch.convert(model, dry_run=True)
    assert [path for path, _ in report.refused] == ["bad.words"] and [swap.path for swap in report.swapped] == ["good"]


def test_several_refusals_are_counted() -> None:
    model = nn.ModuleList([nn.Embedding(9, 4, max_norm=1.0) for _ in range(3)])
    with pytest.raises(InputError, match=r"^0: max_norm=1\.0 .*\(and 2 more: see dry_run=True\)$"):
        fastfm_torch.convert(model)


def test_frozen_halves_are_read() -> None:
    model = nn.ModuleDict({"words": nn.Embedding(9, 4, dtype=torch.bfloat16)})
    model["words"].weight.requires_grad_(False)
    expected = model["words"](torch.tensor([1, 8]))
    fastfm_torch.convert(model)
    assert torch.equal(model["words"](torch.tensor([1, 8])), expected)


def test_a_dry_run_changes_nothing() -> None:
    model = Model()
    report = fastfm_torch.convert(model, dry_run=True)
    assert str(report).startswith("would swap 2 of 2 embeddings\n") and report.dry_run
    assert type(model.words) is nn.Embedding and not model.words.sparse


def test_a_wrapped_model_is_refused() -> None:
    model = nn.DataParallel(Model())
    with pytest.raises(InputError, match="wrapped in DataParallel already; convert first, then wrap"):
        fastfm_torch.convert(model)
    assert type(model.module.words) is nn.Embedding


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "hosts" / "pytorch.md").read_text(encoding="utf-8")


def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    (section,) = re.findall(r"^## Models that exist\n(.*?)(?=^## )", PAGE, re.DOTALL | re.MULTILINE)
    (printed,) = re.findall(r"^```text\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    for example in re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE):
        exec(example, names)
    shown = capsys.readouterr().out
    assert printed in shown and "country: it has 200 rows, fewer than min_rows=10000" in shown
    ids = np.stack([np.arange(512) * 97 % 50_000, np.arange(512) % 200], 1)
    history = names["model"].fit(list(ids.T), (ids[:, 1] % 2).astype(float), 32, epochs=10, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
