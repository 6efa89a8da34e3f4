"""``fastfm-core bench``: from its options to tables, a file and an exit status."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any

from fastfm_core import backends, threads
from fastfm_core.bench import compare, registry, run, table
from fastfm_core.bench.figures import Figure, Record, read_record
from fastfm_core.bench.machine import describe
from fastfm_core.bench.workload import FEWEST_ROWS
from fastfm_core.errors import InputError
from fastfm_core.files import require_place, write_json
from fastfm_core.progress import PassProgress, say


def bench(options: Namespace) -> int:
    """Measures and prints. Returns 1 if a kernel is wrong or, against ``options.compare``, slower, else 0."""
    if options.json:
        require_place(options.json)
    plan = plan_of(options)
    old = _read_old(options.compare, plan) if options.compare else None
    record = measure(plan)
    if options.json:
        write_json(options.json, record.to_json())
    print("\n".join(table.lines(record)), flush=True)
    wrong = [figure for figure in record.figures if figure.failure]
    for figure in wrong:
        say(f"{figure.case} on {figure.side} is not timed: {figure.failure}")
    slower = old is not None and _slower(old, record, plan)
    return int(bool(wrong) or slower)


def plan_of(options: Namespace) -> run.Plan:
    """What the options ask for, after loading the user's kernels. Raises InputError for what cannot be measured."""
    registry.require_kernels(options.kernel, others=(run.STEP,))
    if options.rows < FEWEST_ROWS:
        raise InputError(f"--rows {options.rows}: the fields' tables need at least {FEWEST_ROWS} rows in all")
    for path in options.kernels:
        registry.load(path)
    kernels = options.kernel or (list(registry.registered()) if options.kernels else [])
    names = [backends.get(name).name for name in options.backend or _tuned()]
    for name in names:
        if not backends.get(name).on_host:
            raise InputError(f"backend {name!r} computes on a device: python benchmarks/device_check measures it")
    return run.Plan(list(dict.fromkeys(names)), kernels, options.all, options.rounds, options.rows, options.batch)


def measure(plan: run.Plan) -> Record:
    """Everything that is planned, with progress on stderr."""
    cases, models = len(plan.cases()), len(plan.models())
    say(f"checking and timing kernels in {cases} cases and {models} training steps on {', '.join(plan.backends)}")
    return Record(_machine(), _settings(plan), run.measure_ceilings(plan), _figures(plan))


def _figures(plan: run.Plan) -> list[Figure]:
    with _progress("kernels") as show:
        figures = list(run.measure_kernels(plan, show))
    return figures + list(run.measure_steps(plan))


def _machine() -> dict[str, Any]:
    return describe() | {"threads": threads.get_num_threads()}


def _settings(plan: run.Plan) -> dict[str, Any]:
    return {"rounds": plan.rounds, "rows": plan.rows, "batch": plan.batch}


def _tuned() -> list[str]:
    """The CPU's backends but the reference, which is NumPy and slow."""
    return [name for name in backends.available() if name != "reference" and backends.get(name).on_host]


def _read_old(path: str, plan: run.Plan) -> Record:
    """The run to compare with. Raises InputError before anything is measured in vain."""
    old = read_record(path)
    compare.require_sizes(old, _settings(plan))
    measured = {figure.case for figure in old.figures}
    if not measured & {*(case.label for case in plan.cases()), *map(run.step_case, plan.models())}:
        raise InputError(f"{path}: has none of the cases that are to be measured")
    warning = compare.other_machine(old, _machine())
    if warning:
        say(f"warning: {path}: {warning}")
    return old


def _slower(old: Record, new: Record, plan: run.Plan) -> bool:
    """Prints the comparison. Whether a case has become slower, and is so when it is measured again."""
    found = compare.changes(old, new.figures)
    for _ in range(compare.AGAIN):
        slower = frozenset(change.case for change in found if change.verdict == "slower")
        if slower:
            say(f"{len(slower)} cases look slower and are measured again")
            found = compare.confirmed(found, compare.changes(old, _figures(plan._replace(only=slower))))
    print("\n" + "\n".join(compare.lines(found, old)), flush=True)
    return any(change.verdict == "slower" for change in found)


def _progress(name: str) -> AbstractContextManager[Callable[[int, int], object]]:
    """A bar in a terminal where tqdm is installed."""
    return PassProgress(name) if find_spec("tqdm") else contextlib.nullcontext(lambda done, size: None)
