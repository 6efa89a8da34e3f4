"""Which cases there are, and what each moves and computes at least."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.referee.problem import Case
from fastfm_core.bench.workload import BATCH, FIELDS, LARGE_BATCH

KINDS = ("step", "kernel", "update", "score", "quality", "scaling")
MLPS = ("64-64", "400-400-400")
SCALING_BATCHES, SCALING_DIMS = (64, 512, 4096, 16_384, 65_536), (4, 8, 16, 32, 64, 128)
SCALING_ROWS = (10_000, 100_000, 1_000_000, 10_000_000)

TITLES = {
    "kernel": "Lookup, first order and all pairs (FM forward)",
    "update": "FM forward, backward and Adagrad, the batch given",
    "step": "Training step",
    "score": "Inference",
    "quality": "Quality after equal epochs",
    "machine": "The machine",
}


class Plan(NamedTuple):
    """What a run measures: cases in order, rounds, the seconds of a turn, epochs of the quality, scaling or not."""

    cases: tuple[Case, ...]
    rounds: int
    turn: float
    epochs: int
    scaling: tuple[Case, ...] = ()

    def of_kinds(self, kinds: Sequence[str]) -> Plan:
        """Those cases alone; scaling is a kind of its own."""
        kept = tuple(case for case in self.cases if case.kind in kinds)
        return self._replace(cases=kept, scaling=self.scaling if "scaling" in kinds else ())


def quick() -> Plan:
    """Every kind once."""
    cases = (
        Case("step", "w1", "64-64", BATCH),
        Case("step", "w1", "400-400-400", BATCH),
        Case("kernel", "w1", "fm", BATCH),
        Case("update", "w1", "fm", BATCH),
        Case("score", "w1", "64-64", 1),
        Case("score", "w1", "64-64", BATCH),
        Case("quality", "w1", "fm", BATCH),
    )
    return Plan(cases, rounds=3, turn=0.1, epochs=1)


def full() -> Plan:
    """All of them."""
    kernels = [
        Case(kind, data, "fm", BATCH if data == "w1" else LARGE_BATCH)
        for kind in ("kernel", "update")
        for data in ("w1", "uniform", "zipf")
    ]
    steps = [Case("step", "w1", hidden, BATCH) for hidden in (*MLPS, "fm")]
    scores = [Case("score", "w1", hidden, batch) for hidden in ("fm", *MLPS) for batch in (1, 64, BATCH)]
    quality = [Case("quality", "w1", hidden, BATCH) for hidden in ("fm", "64-64")]
    return Plan((*steps, *kernels, *scores, *quality), rounds=5, turn=0.3, epochs=2, scaling=scaling())


def tiny() -> Plan:
    """A moment's work, for tests."""
    cases = (
        Case("kernel", "tiny", "fm", 64),
        Case("update", "tiny", "fm", 64),
        Case("step", "tiny", "8-8", 64),
        Case("score", "tiny", "8-8", 1),
        Case("quality", "tiny", "fm", 64),
    )
    return Plan(cases, rounds=1, turn=0.01, epochs=1)


def scaling() -> tuple[Case, ...]:
    """The kernel over batch, dim and rows of the table, one of them varied at a time."""
    sizes = [(1_000_000, 16, batch) for batch in SCALING_BATCHES]
    sizes += [(1_000_000, dim, BATCH) for dim in SCALING_DIMS]
    sizes += [(rows, 16, BATCH) for rows in SCALING_ROWS]
    return tuple(Case("kernel", f"{rows}x{dim}", "fm", batch) for rows, dim, batch in dict.fromkeys(sizes))


def ceilings(case: Case) -> tuple[str, ...]:
    """Names of the ceilings whose times add up to the case's; (): it is a matter of latency, or of quality."""
    if case.kind == "kernel":
        return ("rows",)
    mlp = () if case.hidden == "fm" else ("gemm",)
    if case.kind in ("update", "step"):
        return ("rows", "state", *mlp)
    return ("rows", *mlp) if case.kind == "score" and case.batch >= 1024 else ()


def moved(case: Case, dim: int, distinct: float) -> float:
    """Bytes a batch moves at least: ids and rows; in training distinct rows' weights and state, read and written."""
    row = 4.0 * (dim + 1)
    read = case.batch * FIELDS * (row + 4)
    return read + (4 * distinct * row if case.kind in ("update", "step") else 0.0)


def computed(case: Case, widths: list[int]) -> float:
    """Floating-point operations of the MLP's matrix products."""
    if case.hidden == "fm":
        return 0.0
    once = sum(2.0 * case.batch * inputs * outputs for inputs, outputs in itertools.pairwise(widths))
    return once * (3 if case.kind == "step" else 1)


def title(case: Case) -> str:
    """The case in words."""
    data = {"w1": "W1, 1M rows", "uniform": "W2, 10M rows, uniform ids", "zipf": "W2, 10M rows, Zipf ids"}
    model = "FM" if case.hidden == "fm" else f"DeepFM {case.hidden}"
    words = TITLES[case.kind] if case.kind in ("kernel", "update") else f"{TITLES[case.kind]}, {model}"
    return f"{words}: {data.get(case.data, case.data)}, batch {case.batch:,}"
