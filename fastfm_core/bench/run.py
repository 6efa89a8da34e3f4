"""Measures ceilings, kernels and steps. Whatever is compared is timed in turns; what is wrong is not timed at all."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from fastfm_core import backends
from fastfm_core.bench import ceilings, step
from fastfm_core.bench.cases import CASES, Inputs, KernelCase, all_inputs
from fastfm_core.bench.checks import Kernel, mistake, truth_of
from fastfm_core.bench.figures import RANDOM, ROW_BYTES, Ceiling, Figure
from fastfm_core.bench.registry import registered
from fastfm_core.bench.timing import IDLE, Call, interleave
from fastfm_core.bench.workload import BATCH, DIM, FIELDS, NUMBERS, ROWS, Workload, click_log

STEP, STEP_BATCHES, FLOOR = "step", 16, "(ceiling)"
LONG, RANDOM_ROWS = 1 << 25, 1 << 19  # floats of the array that is copied and looked up in; rows that are looked up


class Plan(NamedTuple):
    """What is measured: kernels by name, or all and the step; every case or a kernel's first; at which sizes.

    only  cases to which it is limited, by their names; empty: no limit
    """

    backends: list[str]
    kernels: list[str]
    every_case: bool = False
    rounds: int = 15
    rows: int = ROWS
    batch: int = BATCH
    only: frozenset[str] = frozenset()

    def cases(self) -> list[KernelCase]:
        """All cases of kernels that are named; of all kernels the first case each, unless every one is asked for."""
        cases = [case for case in CASES if not self.kernels or case.kernel in self.kernels]
        if not self.kernels and not self.every_case:
            cases = list({case.kernel: case for case in reversed(cases)}.values())[::-1]
        return [case for case in cases if not self.only or case.label in self.only]

    def models(self) -> list[str]:
        """The steps to measure."""
        wanted = not self.kernels or STEP in self.kernels
        names = [name for name in step.MODELS if wanted and (self.every_case or name == step.FIRST)]
        return [name for name in names if not self.only or step_case(name) in self.only]


def step_case(model: str) -> str:
    """How a model's step is called among the cases."""
    return f"{STEP}-{model}"


def ready(kernel: Kernel, kernel_case: KernelCase, turn: Iterator[Inputs]) -> Call:
    """The call to time, on the next batch. After NumPy's GEMM its threads are let sleep and ours are woken."""
    arguments = kernel_case.arguments(next(turn))
    call = functools.partial(kernel, *arguments, **kernel_case.keywords)
    if kernel_case.ceiling == "gemm":
        time.sleep(IDLE)
        call()
    return call


def measure_ceilings(plan: Plan) -> list[Ceiling]:
    """The machine's: a long array copied, random rows read, the matrix products of a 400-400-400 step."""
    source = np.zeros((LONG // DIM, DIM), np.float32)
    target = np.ones_like(source)
    ids = np.random.default_rng(0).integers(0, len(source), RANDOM_ROWS).astype(np.int32)
    widths = [FIELDS * DIM + NUMBERS, 400, 400, 400, 1]
    gemm = ceilings.Gemm(plan.batch, widths)
    products = sum(inputs * outputs for inputs, outputs in itertools.pairwise(widths))
    amounts: dict[str, tuple[str, float, Call]] = {
        "copy": ("GB", 2 * source.nbytes / 1e9, lambda: ceilings.stream(source, target)),
        RANDOM: ("GB", len(ids) * ROW_BYTES / 1e9, lambda: ceilings.gather(source, ids)),
        "gemm": ("GFLOP", 6 * plan.batch * products / 1e9, gemm),
    }

    def make_ready(call: Call) -> Call:
        if call is not gemm:
            time.sleep(IDLE)
        return call

    sides = {name: functools.partial(make_ready, call) for name, (_, _, call) in amounts.items()}
    seconds = interleave(sides, plan.rounds)
    return [Ceiling(name, unit, amount, seconds[name]) for name, (unit, amount, _) in amounts.items()]


def kernels_of(plan: Plan, kernel: str) -> dict[str, Kernel]:
    """Who is judged: the backends' and the user's own kernels by name."""
    own = {name: getattr(backends.get(name), kernel) for name in plan.backends}
    return own | registered().get(kernel, {})


def measure_kernels(plan: Plan, show: Callable[[int, int], object]) -> Iterator[Figure]:
    """Every case on every side. ``show`` is told how many cases of how many are done."""
    cases = plan.cases()
    batches = all_inputs(plan.rows, plan.batch) if cases else []
    turn = itertools.cycle(batches)
    for number, kernel_case in enumerate(cases):
        show(number, len(cases))
        yield from _measure_case(plan, kernel_case, batches[0], turn)
    show(len(cases), len(cases))


def _measure_case(plan: Plan, kernel_case: KernelCase, first: Inputs, turn: Iterator[Inputs]) -> Iterator[Figure]:
    truth, kernels = truth_of(kernel_case, first), kernels_of(plan, kernel_case.kernel)
    wrong = {name: mistake(kernel, kernel_case, first, truth) for name, kernel in kernels.items()}
    sides: dict[str, Callable[[], Call]] = {
        name: functools.partial(ready, kernel, kernel_case, turn) for name, kernel in kernels.items() if not wrong[name]
    }
    sides[FLOOR] = lambda: functools.partial(next(turn).ceiling, kernel_case.ceiling)
    size = first.ceiling_bytes(kernel_case.ceiling)
    about = (kernel_case.label, kernel_case.kernel), (kernel_case.ceiling, size)
    yield from _figures(about, wrong, interleave(sides, plan.rounds))


def measure_steps(plan: Plan) -> Iterator[Figure]:
    """A training step of W1 on every backend, its first losses held against the reference's."""
    names = plan.models()
    work = Workload(click_log(STEP_BATCHES * plan.batch, rows=plan.rows), plan.rows, DIM, plan.batch) if names else None
    for name in names:
        assert work is not None
        hidden = step.MODELS[name]
        expected = step.TrainingStep(work, hidden, "reference").losses(step.CHECKED)
        steps = {backend: step.TrainingStep(work, hidden, backend) for backend in plan.backends}
        wrong = {backend: step.mistake(side, expected) for backend, side in steps.items()}
        sides: dict[str, Callable[[], Call]] = {b: side.awake for b, side in steps.items() if not wrong[b]}
        least = step.floor(work, hidden)
        sides[FLOOR] = lambda least=least: least
        about = (step_case(name), STEP), ("gather + gemm" if hidden else "gather", None)
        yield from _figures(about, wrong, interleave(sides, plan.rounds))


def _figures(
    about: tuple[tuple[str, str], tuple[str, int | None]],
    wrong: Mapping[str, str | None],
    seconds: Mapping[str, list[float]],
) -> Iterator[Figure]:
    """One for each side; what is wrong has no seconds."""
    names, ceiling = about
    for side, failure in wrong.items():
        yield Figure(*names, side, *ceiling, seconds.get(side, []), seconds[FLOOR], failure or "")
