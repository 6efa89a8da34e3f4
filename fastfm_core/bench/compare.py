"""Two runs beside each other: which cases became slower than the spread of their rounds explains.

A case is compared by its time over its ceiling's time in the same rounds, so that another load or clock cancels. It is
slower when that ratio's median has grown by more than MARGIN and its rounds are apart: nine tenths of the new ones lie
above nine tenths of the old ones. Who looks slower is measured again, AGAIN times, and has to look so every time.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastfm_core.bench.figures import Figure, Record
from fastfm_core.bench.table import table
from fastfm_core.errors import InputError

MARGIN, AGAIN = 1.1, 2
MACHINE = ("processor", "cores", "last cache", "threads")


class Change(NamedTuple):
    """A case on one side, new over old, both over their ceilings."""

    case: str
    side: str
    ratio: float
    plain: float
    verdict: str


def require_sizes(old: Record, settings: dict[str, Any]) -> None:
    """Raises InputError if the old run had other sizes."""
    for name in ("rows", "batch"):
        if old.settings.get(name) != settings[name]:
            raise InputError(f"the old run had --{name} {old.settings.get(name)}: give that, too")


def changes(old: Record, figures: list[Figure]) -> list[Change]:
    """Of what both runs have timed."""
    timed = {(f.case, f.side): f for f in old.figures if not f.failure}
    return [change(timed[f.case, f.side], f) for f in figures if not f.failure and (f.case, f.side) in timed]


def change(old: Figure, new: Figure) -> Change:
    """The verdict on one case."""
    before, after = old.over_ceiling, new.over_ceiling
    ratio = statistics.median(after) / statistics.median(before)
    apart = {
        "slower": np.percentile(after, 10) > np.percentile(before, 90) and ratio > MARGIN,
        "faster": np.percentile(after, 90) < np.percentile(before, 10) and ratio < 1 / MARGIN,
    }
    verdict = next((word for word, holds in apart.items() if holds), "")
    return Change(new.case, new.side, ratio, new.median / old.median, verdict)


def confirmed(found: list[Change], again: list[Change]) -> list[Change]:
    """The changes, where whoever looked slower has the better of two measurements."""
    second = {(c.case, c.side): c for c in again}
    return [min(c, second.get((c.case, c.side), c), key=_ratio) if c.verdict == "slower" else c for c in found]


def _ratio(change: Change) -> tuple[bool, float]:
    return change.verdict == "slower", change.ratio


def other_machine(old: Record, here: dict[str, Any]) -> str | None:
    """A warning if the old run was on another machine or with other threads."""
    differs = [f"{k} {old.machine.get(k)}, here {here[k]}" for k in MACHINE if old.machine.get(k) != here[k]]
    return f"the old run is another machine's ({'; '.join(differs)}): the ratios say little" if differs else None


def lines(found: list[Change], old: Record) -> Iterator[str]:
    """A table of all cases, then how many are slower."""
    header = ["case", "side", "new/old", "in µs alone", "verdict"]
    yield f"## New over old ({old.machine.get('date')}), each over its ceiling"
    yield ""
    yield from table(header, [[c.case, c.side, f"{c.ratio:.2f}", f"{c.plain:.2f}", c.verdict] for c in found])
    yield ""
    slower = [f"{c.case} on {c.side}" for c in found if c.verdict == "slower"]
    yield f"{len(slower)} of {len(found)} slower" + (f": {', '.join(slower)}" if slower else "")
