"""Two gloo ranks: replicas stay equal to the last bit, and are what one process makes of both ranks' data.

Two processes are started once; they run every case and leave files, which the tests read. Ranks have batches of
different sizes, some of them empty, and a table that a rank looks up in some steps only.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

import fastfm_core
import fastfm_torch
from fastfm_torch import optim

RANKS, STEPS, SIZES = 2, 100, [40, 7, 300]
RULES: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1},
    "Adagrad": {"lr": 0.05},
    "RowwiseAdagrad": {"lr": 0.05, "weight_decay": 0.01},
    "Adam": {"lr": 0.01},
}
# The largest difference of a weight, all of which are below 3, to that of one process, which sums in another order.
BOUNDS = {torch.float64: 1e-13, torch.float32: 5e-6}


class Clicks(nn.Module):
    """DeepFM, and bags of tags that only some steps have, from a model of torch's own modules."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.deepfm = fastfm_torch.DeepFM(SIZES, 8, (16,), sparse=True, dtype=dtype)
        self.tags = nn.EmbeddingBag(50, 4, dtype=dtype)
        fastfm_torch.convert(self.tags)

    def forward(self, ids: Tensor, tags: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.deepfm(ids), None if tags is None else self.tags(tags)


def data(step: int, rank: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """ids [B, F], labels [B], tags [2, 3] or None. B is 0 on rank 1 in every fourth step."""
    generator = torch.Generator().manual_seed(2 * step + rank)
    samples = (13 + 5 * (step % 3)) if rank == 0 else 8 * (step % 4)
    shares = torch.rand((samples, len(SIZES)), generator=generator) ** 2
    ids = (shares * torch.tensor(SIZES)).long()
    tags = torch.randint(50, (2, 3), generator=generator) if step % (3 + 2 * rank) == 0 else None
    return ids, (ids.sum(1) % 3 == 0).double(), tags


def loss_of(model: nn.Module, parts: list[tuple[Tensor, Tensor, Tensor | None]], samples: int) -> Tensor:
    """The sum over these parts, RANKS times their share of the mean, as DistributedDataParallel takes the mean."""
    ids, labels = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    tags = [part[2] for part in parts if part[2] is not None]
    logits, bags = model(ids, torch.cat(tags) if tags else None)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="sum")
    loss = loss * RANKS / samples
    return loss if bags is None else loss + bags.square().sum()


def trained(rule: str, dtype: torch.dtype, rank: int | None) -> dict[str, Any]:
    """Weights, states and losses after all steps; rank None: of one process with the data of all."""
    torch.manual_seed(rank or 0)
    model: nn.Module = Clicks(dtype)
    optimizer = getattr(optim, rule)(model.parameters(), **RULES[rule])
    if rank is not None:
        model = fastfm_torch.ddp(model, optimizer)
    losses = []
    for step in range(STEPS):
        parts = [data(step, each) for each in range(RANKS)]
        samples = sum(len(part[1]) for part in parts)
        optimizer.zero_grad()
        loss = loss_of(model, parts if rank is None else [parts[rank]], samples) / (RANKS if rank is None else 1)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"model": unwrapped(model).state_dict(), "optimizer": optimizer.state_dict()["state"], "losses": losses}


def unwrapped(model: nn.Module) -> nn.Module:
    return getattr(model, "module", model)


def clipped(rank: int | None) -> dict[str, Any]:
    """The norms of all gradients, and the weights after steps clipped to a tenth of them."""
    torch.manual_seed(0)
    model: nn.Module = Clicks(torch.float64)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    if rank is not None:
        model = fastfm_torch.ddp(model, optimizer, process_group=dist.new_group(list(range(RANKS))))
    norms = []
    for step in range(3):
        parts = [data(step, each) for each in range(RANKS)]
        optimizer.zero_grad()
        (loss_of(model, parts if rank is None else [parts[rank]], 100) / (RANKS if rank is None else 1)).backward()
        if rank is not None:
            fastfm_torch.exchange(optimizer)
        grads = [p.grad._values() if p.grad.is_sparse else p.grad for p in model.parameters() if p.grad is not None]
        norms.append(math.sqrt(sum(grad.square().sum().item() for grad in grads)))
        for grad in grads:
            grad.mul_(0.1)
        optimizer.step()
    return {"norms": norms, "model": unwrapped(model).state_dict()}


def accumulated(rank: int | None) -> dict[str, Any]:
    """Weights after steps of two batches each, the table's gradient made dense by a penalty in the second step."""
    torch.manual_seed(0)
    model: nn.Module = Clicks(torch.float64)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    if rank is not None:
        model = fastfm_torch.ddp(model, optimizer)
    for step in range(0, 6, 2):
        optimizer.zero_grad()
        for half in range(2):
            parts = [data(step + half, each) for each in range(RANKS)]
            optimizer.catch_up()  # the penalty reads rows that no lookup does
            loss = loss_of(model, parts if rank is None else [parts[rank]], 100) / (RANKS if rank is None else 1)
            if step == 2:
                loss = loss + unwrapped(model).deepfm.embedding.weight.square().sum()
            if rank is not None and half == 0:
                with model.no_sync():
                    loss.backward()
            else:
                loss.backward()
        optimizer.step()
    return {"model": unwrapped(model).state_dict()}


def refusals(rank: int, early: tuple[nn.Module, torch.optim.Optimizer]) -> dict[str, str]:
    """The message of each mistake; both ranks make it. early: made with in_backward=True before there were ranks."""
    model = Clicks(torch.float32)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    others = optim.SGD(model.tags.parameters(), lr=0.1)
    wrapped = fastfm_torch.ddp(model, optimizer)
    part = data(1, 0)
    mistakes = {
        "in backward": lambda: optim.SGD(Clicks(torch.float32).parameters(), lr=0.1, in_backward=True),
        "in backward, made before": lambda: fastfm_torch.ddp(*early),
        "in backward, not wrapped": lambda: loss_of(early[0], [part], 10).backward(),
        "without the tables": lambda: fastfm_torch.ddp(model, others),
        "wrapped before": lambda: fastfm_torch.ddp(wrapped, optimizer),
        "a closure": lambda: optimizer.step(lambda: loss_of(wrapped, [part], 10)),
        "not exchanged": lambda: fastfm_torch.exchange(others),
        "other models": lambda: other_models(rank),
    }
    return {name: message(mistake) for name, mistake in mistakes.items()}


def other_models(rank: int) -> None:
    model = fastfm_torch.DeepFM([40 + rank], 8, (16,), sparse=True)
    fastfm_torch.ddp(model, optim.SGD(model.parameters(), lr=0.1))


def message(mistake: Any) -> str:
    try:
        mistake()
    except fastfm_core.errors.InputError as error:
        return str(error)
    return "nothing was refused"


CASES = [(rule, dtype) for rule in RULES for dtype in BOUNDS if dtype == torch.float64 or rule in ("Adagrad", "Adam")]


def work(rank: int, folder: str) -> None:
    """Everything a rank does, into its file."""
    torch.set_num_threads(1)
    fastfm_core.set_num_threads(1)
    early = Clicks(torch.float32)
    early_optimizer = optim.SGD(early.parameters(), lr=0.1, in_backward=True)
    store = dist.FileStore(f"{folder}/store", RANKS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    found: dict[str, Any] = {f"{rule} {dtype}": trained(rule, dtype, rank) for rule, dtype in CASES}
    found |= {"clipped": clipped(rank), "accumulated": accumulated(rank)}
    found |= {"refusals": refusals(rank, (early, early_optimizer))}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rank found."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(work, (str(folder),), RANKS)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(RANKS)]


def assert_equal(first: Any, second: Any) -> None:
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for name in first:
            assert_equal(first[name], second[name])
    else:
        assert torch.equal(first, second)


def furthest(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    assert found.keys() == wanted.keys()
    return max((found[name] - wanted[name]).abs().max().item() for name in wanted)


@pytest.mark.parametrize(("rule", "dtype"), CASES)
def test_replicas_are_equal_and_those_of_one_process(rule: str, dtype: torch.dtype, ranks: list[dict]) -> None:
    first, second = (rank[f"{rule} {dtype}"] for rank in ranks)
    assert first["losses"] != second["losses"]
    assert_equal(first["model"], second["model"])
    assert_equal(first["optimizer"], second["optimizer"])

    alone = trained(rule, dtype, None)
    assert furthest(first["model"], alone["model"]) <= BOUNDS[dtype]
    both = [sum(losses) / RANKS for losses in zip(first["losses"], second["losses"], strict=True)]
    assert both == pytest.approx(alone["losses"], rel=1e-5)
    assert furthest(alone["model"], Clicks(dtype).state_dict()) > 0.05  # it has learnt


def test_rows_exchanged_before_the_step_can_be_clipped(ranks: list[dict]) -> None:
    first, second = (rank["clipped"] for rank in ranks)
    assert first["norms"] == second["norms"]
    assert_equal(first["model"], second["model"])
    alone = clipped(None)
    assert first["norms"] == pytest.approx(alone["norms"], rel=1e-12)
    assert furthest(first["model"], alone["model"]) <= BOUNDS[torch.float64]


def test_accumulated_and_dense_gradients(ranks: list[dict]) -> None:
    first, second = (rank["accumulated"] for rank in ranks)
    assert_equal(first["model"], second["model"])
    assert furthest(first["model"], accumulated(None)["model"]) <= BOUNDS[torch.float64]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("in backward", "in_backward=True moves rows before DistributedDataParallel can exchange their gradients"),
        ("in backward, made before", "in_backward=True moves rows before their gradients can be exchanged"),
        ("in backward, not wrapped", "in_backward=True moves rows before DistributedDataParallel can exchange"),
        ("without the tables", "no optimizer given to fastfm_torch.ddp has deepfm.embedding.weight"),
        ("wrapped before", "the model is in DistributedDataParallel already"),
        ("a closure", "step(closure) makes gradients that no rank exchanges"),
        ("not exchanged", "this optimizer exchanges no rows"),
        ("other models", "the tables of ranks 0 and 1 differ"),
    ],
)
def test_refusals(name: str, words: str, ranks: list[dict]) -> None:
    for rank in ranks:
        assert words in rank["refusals"][name]


def test_without_ranks() -> None:
    model = fastfm_torch.DeepFM([9], 4, (8,), sparse=True)
    with pytest.raises(ValueError, match=r"call torch\.distributed\.init_process_group before"):
        fastfm_torch.ddp(model, optim.SGD(model.parameters(), lr=0.1))


def test_the_page(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "hosts" / "pytorch.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^## Several processes\n.*?^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "example.py").write_text(example)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"]
    done = subprocess.run([*torchrun, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    first, second = re.findall(r"-?\d+\.\d{15}", done.stdout)  # the processes share a line, now and then
    assert first == second and float(first) != 0
