"""The measurements of native_targets.py, a function for each row of its table; each returns its figures.

Sides, peers and cases are explained in rows_ours.py, peers.py, step_ours.py, fit_ours.py, step_fbgemm.py, fm_xlearn.py.
"""

from __future__ import annotations

import functools
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastfm_core.bench.workload import BATCH, LARGE_BATCH, click_log
from peers import CORES, Step, fastest_torch, interpreter, measure, report, start_ours, times_as_fast
from row_ceilings import WAYS
from timing import Side, interleave, ratios, spread

EPOCHS, KERNEL_TOLERANCE = 5, 1e-5


class Options(NamedTuple):
    """What every row is given."""

    backend: str
    rounds: int


class Figure(NamedTuple):
    """One measured quantity: a value per round, or None where a peer is not installed.

    target, aim  what it is held to; None: shown beside the others, not judged
    largest      the value may at most be the target; else it must be at least that
    timed        it comes from timings, which a busy machine spoils
    """

    what: str
    values: list[float] | None
    target: float | None = None
    aim: float | None = None
    largest: bool = True
    timed: bool = True


def kernels(kind: str, dim: int, pairs: dict[str, tuple[str, str, float, float]], options: Options) -> list[Figure]:
    """Kernel over the fastest way of its ceiling on W2: figures by name from (kernel, ceiling, target, aim)."""
    side = Side("rows_ours.py", [kind, str(dim), options.backend])
    worst = max(side.ask("errors", 1))
    if not worst <= KERNEL_TOLERANCE:
        sys.exit(f"a kernel differs from NumPy in float64 by {worst:.1e} of the largest value")
    figures = []
    for name, (kernel, ceiling, target, aim) in pairs.items():
        cases = kernel, *(f"{ceiling}-{way}" for way in WAYS[ceiling])
        turns = interleave({case: (side, case, side.calls_of_a_turn(case)) for case in cases}, options.rounds)
        found, limit = turns[kernel], min((turns[case] for case in cases[1:]), key=statistics.median)
        print(f"  {name}: {spread(found, 1e3)} ms, ceiling {spread(limit, 1e3)} ms", flush=True)
        figures.append(Figure(name, ratios(found, limit), target, aim))
    side.close()
    return figures


def lookup(options: Options) -> list[Figure]:
    """a: embedding_fm without concatenation over its rows read once."""
    return [
        figure
        for kind in ("uniform", "zipf")
        for figure in kernels(kind, 15, {f"lookup + FM, D=15+1, {kind}": ("fm", "read", 1.15, 1.08)}, options)
    ]


def lookup_deep(options: Options) -> list[Figure]:
    """b: with concatenation, over the rows read and [B, F*D] written past the caches; and D=64."""
    figures = []
    for dim in (15, 64):
        for kind in ("uniform", "zipf"):
            pairs = {f"lookup + FM + concatenation, D={dim}+1, {kind}": ("deep", "write", 1.3, 1.15)}
            if dim == 64:
                pairs[f"lookup + FM, D=64+1, {kind}"] = ("fm", "read", 1.3, 1.15)
            figures += kernels(kind, dim, pairs, options)
    return figures


def large_step(options: Options) -> list[Figure]:
    """c: FM step on W2, dedup included, against FBGEMM."""
    figures = []
    for kind in ("uniform", "zipf"):
        step = Step(kind, LARGE_BATCH, "fm")
        turns = measure(step, options.backend, options.rounds, peers=("fbgemm",))
        report(step, turns)
        name = f"FM step, 10M rows, {kind}: over FBGEMM"
        figures.append(Figure(name, times_as_fast(turns, "fbgemm"), 12, 15, largest=False))
    return figures


def update(options: Options) -> list[Figure]:
    """d: Adagrad on given rows over the memory limit."""
    pairs = {"Adagrad with the plan given, uniform": ("update", "limit", 1.3, 1.15)}
    return kernels("uniform", 15, pairs, options)


def deep_steps(options: Options) -> list[Figure]:
    """e: DeepFM steps of W1 against FBGEMM, PyTorch and the matrix products alone."""
    judged = {
        Step("w1", 4096, "400-400-400"): {"gemm": (1.12, None), "fbgemm": (1.35, 1.45)},
        Step("w1", 4096, "64-64"): {"fbgemm": (2.7, 4.0)},
        Step("w1", 256, "64-64"): {"torch": (6.0, 8.0)},
    }
    figures = []
    for step, targets in judged.items():
        turns = measure(step, options.backend, options.rounds)
        report(step, turns)
        values = {"gemm": ratios(turns["ours"], turns["gemm"])}
        values |= {peer: times_as_fast(turns, peer) for peer in ("fbgemm", "torch")}
        names = {"gemm": "over its matrix products", "fbgemm": "over FBGEMM", "torch": "over PyTorch"}
        for key, name in names.items():
            what = f"DeepFM {step.hidden}, B={step.batch}: {name}"
            figures.append(Figure(what, values[key], *targets.get(key, (None, None)), largest=key == "gemm"))
    return figures


def fit(options: Options) -> list[Figure]:
    """f: an epoch's steps through fit over as many bare steps."""
    side = Side("fit_ours.py", ["64-64", options.backend])
    turns = interleave({case: (side, case, 2) for case in ("fit", "bare")}, options.rounds)
    side.close()
    print(f"  epoch: fit {spread(turns['fit'], 1e3)} ms, bare {spread(turns['bare'], 1e3)} ms", flush=True)
    return [Figure("DeepFM 64-64, B=4096: epoch by fit over bare", ratios(turns["fit"], turns["bare"]), 1.1, 1.03)]


def fm_step(options: Options) -> list[Figure]:
    """g: FM step of W1 against FBGEMM, and its samples per second against xlearn's."""
    step = Step("w1", BATCH, "fm")
    turns = measure(step, options.backend, options.rounds, peers=("fbgemm",))
    report(step, turns)
    over_xlearn = None
    if (python := interpreter("xlearn")) is not None:
        over_xlearn = against_xlearn(step, python, options)
    return [
        Figure("FM, B=4096: over xlearn", over_xlearn, 1.5, 2.0, largest=False),
        Figure("FM, B=4096: over FBGEMM", times_as_fast(turns, "fbgemm"), 9, None, largest=False),
    ]


def against_xlearn(step: Step, python: str, options: Options) -> list[float]:
    """xlearn's seconds per epoch over ours. Its weights start at random and move with every sample, so its losses are
    not ours: it must only learn."""
    theirs = Side("fm_xlearn.py", [CORES], python=python)
    losses = theirs.ask("losses", EPOCHS)
    print(f"  xlearn's log-loss by epoch: {', '.join(f'{loss:.3f}' for loss in losses)}", flush=True)
    if not losses[-1] < losses[0]:
        sys.exit("xlearn does not learn")
    ours, _ = start_ours(step, options.backend)
    sides = {"xlearn": (theirs, "epoch", EPOCHS), "ours": (ours, "step", ours.calls_of_a_turn("step"))}
    turns = interleave(sides, options.rounds)
    for side, *_ in sides.values():
        side.close()
    epoch = [48 * seconds for seconds in turns["ours"]]  # the log has 48 batches
    print(f"  epoch: xlearn {spread(turns['xlearn'], 1e3)} ms, ours {spread(epoch, 1e3)} ms", flush=True)
    return ratios(turns["xlearn"], epoch)


def busy_neighbour(options: Options) -> list[Figure]:
    """h: how many times slower the 64-64 step is beside a process that keeps one core busy."""
    step = Step("w1", BATCH, "64-64")
    ours, losses = start_ours(step, options.backend)
    sides = {"ours": ours} | {peer.name: peer.start(step) for peer in fastest_torch(step, losses)}
    slowed: dict[str, list[float]] = {name: [] for name in sides}
    calls = {name: side.calls_of_a_turn("step") for name, side in sides.items()}
    for _ in range(options.rounds):
        for name, side in sides.items():
            turn = functools.partial(side.turn, "step", calls[name])
            quiet = turn()
            slowed[name].append(beside_spinning(turn) / quiet)
    for side in sides.values():
        side.close()
    judged = {"ours": (4.0, 3.0)}
    return [Figure(f"64-64 beside a busy process, {name}", slowed[name], *judged.get(name, ())) for name in sides]


def beside_spinning(work: Callable[[], float]) -> float:
    """What ``work`` returns while another process computes without pause."""
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        return work()
    finally:
        spinning.kill()
        spinning.wait()


def memory(options: Options) -> list[Figure]:
    """i: peak memory of W1's training through fit, each time in a fresh process."""
    log, peaks = click_log(), []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ids", "numbers", "labels"):
            np.save(Path(folder) / f"{name}.npy", getattr(log, name))
        for _ in range(min(options.rounds, 3)):
            side = Side("fit_ours.py", ["400-400-400", options.backend, folder])
            peaks += side.ask("peak", 1)
            side.close()
    return [Figure("W1 training's peak memory, MiB (400-400-400, Adagrad)", peaks, 350.0, timed=False)]


ROWS: dict[str, Callable[[Options], list[Figure]]] = {
    "a": lookup, "b": lookup_deep, "c": large_step, "d": update, "e": deep_steps, "f": fit, "g": fm_step,
    "h": busy_neighbour, "i": memory,
}  # fmt: skip
