"""A PyTorch training step: fastfm_torch beside what PyTorch itself and FBGEMM offer for large tables.

    python -m benchmarks.hosts.torch_step [--models fm 64-64] [--ids uniform zipf] [--rounds 7] [--python PYTHON]

A million rows, 26 fields, D = 16 and the first order, batches of 4,096 that are given; logits, loss, backward pass and
update of everything. Adagrad from 0.1 on the tables, fused Adam on the MLP where there is one. PYTHON has torch,
fbgemm-gpu-cpu and NumPy (docs/peers.md); the interpreter itself unless given. Each side is a process of its own, they
take turns, and every peer is tried with threads that wait passively and by default: the faster counts.

    in backward   EmbeddingFM, Adagrad with in_backward=True        sparse   nn.Embedding(sparse=True), torch's Adagrad
    in step       EmbeddingFM(sparse=True), Adagrad                 dense    nn.Embedding, torch's Adagrad
    FBGEMM        its tables with Adagrad in the backward pass

Before anything is timed, the first three losses of all sides must agree within 1e-5. The second table is the cost of a
call at a batch of one sample of two fields.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import ROOT, Side, interleave, ratios, serve, spread, timed
from fastfm_core.bench.machine import Others, print_header, print_table, write_json
from fastfm_core.bench.workload import (
    BATCH,
    DIM,
    FIELDS,
    ROWS,
    Workload,
    click_log,
    hidden_widths,
    initial_layers,
    initial_rows,
)

SIDES = ("in backward", "in step", "sparse", "dense", "FBGEMM")
BATCHES, THREADS, RATE, START = 16, 2, 0.05, 0.1
AIMS = {"dense": 10.0, "sparse": 3.0, "FBGEMM": 2.0}


def data(kind: str) -> Workload:
    """Some batches of W1, or the same with ids drawn uniformly from all rows."""
    log = click_log(BATCHES * BATCH)
    if kind == "uniform":
        ids = np.random.default_rng(3).integers(0, ROWS, log.ids.shape, dtype=np.int32)
        log = log._replace(ids=ids)
    return Workload(log._replace(numbers=log.numbers[:, :0]), ROWS, DIM, BATCH)


# ---- the workers, in an interpreter that has torch ------------------------------------------------------------------


class Step:
    """One call is one step on the next batch; ``model(ids) -> logits``."""

    def __init__(self, work: Workload, model: Any, optimizers: list[Any]) -> None:
        import torch

        self.model, self.optimizers, self.number = model, optimizers, 0
        ids = torch.from_numpy(work.log.ids.astype(np.int64)).split(BATCH)
        self.batches = list(zip(ids, torch.from_numpy(work.log.labels).split(BATCH), strict=True))
        self.loss_of = torch.nn.functional.binary_cross_entropy_with_logits

    def __call__(self) -> float:
        ids, labels = self.batches[self.number % BATCHES]
        self.number += 1
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss = self.loss_of(self.model(ids), labels)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item()

    def losses(self, calls: int) -> list[float]:
        """Of the first steps."""
        return [self() for _ in range(calls)]


def build(side: str, work: Workload, hidden: tuple[int, ...]) -> Step:
    """A side with the weights that all share."""
    import torch
    from torch import nn

    rows = torch.from_numpy(initial_rows(work))
    layers: list[nn.Module] = []
    for weight in initial_layers(work.widths(hidden)) if hidden else []:
        layers += [nn.Linear(*weight.shape), nn.ReLU()]
        layers[-2].weight.data = torch.from_numpy(weight.T.copy())
        nn.init.zeros_(layers[-2].bias)
    mlp = nn.Sequential(*layers[:-1]) if hidden else None
    lookup, optimizers = BUILDERS[side](side, rows)
    if mlp is not None:
        optimizers.append(torch.optim.Adam(mlp.parameters(), lr=1e-3, fused=True))

    def model(ids: torch.Tensor) -> torch.Tensor:
        first, pair, deep = lookup(ids)
        return first + pair if mlp is None else first + pair + mlp(deep).squeeze(1)

    return Step(work, model, optimizers)


def of_ours(side: str, rows: Any) -> tuple[Callable[..., Any], list[Any]]:
    import fastfm_core as ff
    import fastfm_torch as ft

    ff.set_num_threads(THREADS)
    embedding = ft.EmbeddingFM(len(rows), DIM, sparse=side == "in step")
    embedding.weight.data, embedding.linear.data = rows[:, :DIM].contiguous(), rows[:, DIM].contiguous()
    options = {"initial_accumulator_value": START, "in_backward": side == "in backward"}
    return embedding, [ft.optim.Adagrad(embedding.parameters(), RATE, **options)]


def pairs(e: Any) -> Any:
    """[B, F, D] -> [B], as PyTorch's users write it."""
    total = e.sum(1)
    return 0.5 * (total * total - (e * e).sum(1)).sum(1)


def of_torch(side: str, rows: Any) -> tuple[Callable[..., Any], list[Any]]:
    import torch
    from torch import nn

    table = nn.Embedding.from_pretrained(rows[:, :DIM].contiguous(), freeze=False, sparse=side == "sparse")
    linear = nn.Embedding.from_pretrained(rows[:, DIM:].contiguous(), freeze=False, sparse=side == "sparse")

    def lookup(ids: Any) -> tuple[Any, ...]:
        e = table(ids)
        return linear(ids).sum((1, 2)), pairs(e), e.flatten(1)

    weights = [table.weight, linear.weight]
    return lookup, [torch.optim.Adagrad(weights, lr=RATE, initial_accumulator_value=START)]


def of_fbgemm(side: str, rows: Any) -> tuple[Callable[..., Any], list[Any]]:
    import torch

    from benchmarks.referee.workers.fbgemm import tables_of

    tables = tables_of(rows.numpy(), [len(rows)], START, shared=FIELDS)
    offsets = torch.arange(BATCH * FIELDS + 1)

    def lookup(ids: Any) -> tuple[Any, ...]:
        found = tables(ids.T.reshape(-1), offsets).view(BATCH, FIELDS, -1)
        e = found[..., :DIM]
        return found[..., DIM].sum(1), pairs(e), e.flatten(1)

    return lookup, []


def tiny(side: str) -> dict[str, Any]:
    """A lookup without gradient, and a whole step, of one sample of two fields."""
    import torch

    lookup, optimizers = BUILDERS[side](side, torch.full((100, DIM + 1), 0.1))
    ids = torch.tensor([[1, 2]])

    def step() -> None:
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        first, pair, _ = lookup(ids)
        (first + pair).sum().backward()
        for optimizer in optimizers:
            optimizer.step()

    def forward() -> None:
        with torch.no_grad():
            lookup(ids)

    return {"tiny-step": timed(step), "tiny-lookup": timed(forward)}


BUILDERS = {"in backward": of_ours, "in step": of_ours, "sparse": of_torch, "dense": of_torch, "FBGEMM": of_fbgemm}


def work(side: str, model: str, ids: str) -> None:
    """The worker."""
    import torch

    torch.set_num_threads(THREADS)
    torch.sparse.check_sparse_tensor_invariants.disable()  # as by default, which PyTorch 2.14 warns of
    step = build(side, data(ids), hidden_widths(model))
    serve({"losses": step.losses, "step": timed(step), **({} if side == "FBGEMM" else tiny(side))})


# ---- the referee ----------------------------------------------------------------------------------------------------


def started(side: str, model: str, ids: str, python: str, waits: str) -> Side:
    """A worker; ours has OpenMP's threads for the MLP alone, and wants them passive as everybody's best is."""
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'python'}"} | ({"OMP_WAIT_POLICY": waits} if waits else {})
    return Side("benchmarks.hosts.torch_step", ["--serve", side, model, ids], environment, python)


def measure(model: str, ids: str, python: str, rounds: int) -> dict[str, Any]:
    """Seconds of a step by side and round, of each side's faster wait policy."""
    workers = {(side, waits): started(side, model, ids, python, waits) for side in SIDES for waits in ("PASSIVE", "")}
    try:
        losses = {key: worker.ask("losses", 3) for key, worker in workers.items()}
        own = losses["in backward", "PASSIVE"]
        for key, found in losses.items():
            if not np.allclose(found, own, rtol=1e-5, atol=0):
                raise SystemExit(f"{key} has other losses: {found}, not {own}")
        turns = interleave(
            {f"{s}|{w}": (k, "step", k.calls_of_a_turn("step")) for (s, w), k in workers.items()}, rounds
        )
        best = {side: min((turns[f"{side}|{waits}"] for waits in ("PASSIVE", "")), key=np.median) for side in SIDES}
        tiny = {}
        if model == "fm" and ids == "uniform":
            cases = {(case, side): workers[side, "PASSIVE"] for side in SIDES[:4] for case in ("lookup", "step")}
            named = {f"{c}|{s}": (k, f"tiny-{c}", k.calls_of_a_turn(f"tiny-{c}")) for (c, s), k in cases.items()}
            tiny = interleave(named, rounds)
        return {"step": best, "tiny": tiny}
    finally:
        for worker in workers.values():
            worker.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["fm", "64-64"])
    parser.add_argument("--ids", nargs="+", choices=("uniform", "zipf"), default=["uniform", "zipf"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--python", default=sys.executable, help="has torch and fbgemm-gpu-cpu")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--serve", nargs=3, metavar=("SIDE", "MODEL", "IDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return work(*options.serve)
    print_header("A PyTorch step, V = 1M, B = 4,096, F = 26, D = 16 and first order, two threads")
    print(versions(options.python) + "\n")
    figures, others = {}, Others()
    for model, ids in itertools.product(options.models, options.ids):
        figures[f"{model} {ids}"] = found = measure(model, ids, options.python, options.rounds)
        fused = found["step"]["in backward"]
        rows = [
            (side, spread(seconds, 1e3), spread(ratios(seconds, fused)), AIMS.get(side, ""))
            for side, seconds in found["step"].items()
        ]
        print(f"**{model}, {ids} ids**\n")
        print_table(("side", "ms a step", "over in backward", "aim"), rows)
        if found["tiny"]:
            tiny = found["tiny"]
            rows = [(s, *(spread(tiny[f"{case}|{s}"], 1e6, 0) for case in ("lookup", "step"))) for s in SIDES[:4]]
            print("**One sample of two fields**\n")
            print_table(("side", "lookup, us", "step, us"), rows)
    print(f"Other processes: {others.cores():.2f} cores.")
    write_json(options.json, figures)


def versions(python: str) -> str:
    """Of the peers, in their interpreter."""
    code = "import importlib.metadata as m; print('PyTorch', m.version('torch'), 'FBGEMM', m.version('fbgemm-gpu-cpu'))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
