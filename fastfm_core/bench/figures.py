"""What a run has measured, as records that a JSON file keeps."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastfm_core.errors import InputError

FORM = 1  # of the file; counted up when its keys change
RANDOM, ROW_BYTES = "random rows", 68  # a ceiling; an id and the 16 floats that are read for it


class Ceiling(NamedTuple):
    """What the machine can do: ``amount`` of ``unit`` in each round's seconds."""

    name: str
    unit: str
    amount: float
    seconds: list[float]

    @property
    def rates(self) -> list[float]:
        """Amount per second, by round."""
        return [self.amount / taken for taken in self.seconds]


class Figure(NamedTuple):
    """A case on one side, a backend or a kernel of the user's own, beside its ceiling in the same rounds.

    ceiling  the least work of the case; its seconds are the same for all sides of a case
    bytes    what that work reads and writes; None where that says nothing
    failure  why it was not timed; else empty
    """

    case: str
    kernel: str
    side: str
    ceiling: str
    bytes: int | None
    seconds: list[float]
    ceiling_seconds: list[float]
    failure: str = ""

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def over_ceiling(self) -> list[float]:
        """Seconds over the ceiling's, by round."""
        return [taken / least for taken, least in zip(self.seconds, self.ceiling_seconds, strict=True)]

    @property
    def share(self) -> float:
        """Of the ceiling's speed that is reached: its median over the median."""
        return statistics.median(self.ceiling_seconds) / self.median


class Record(NamedTuple):
    """A whole run: the machine, what was run, its ceilings and figures."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    ceilings: list[Ceiling]
    figures: list[Figure]

    def to_json(self) -> dict[str, Any]:
        """Lists of seconds and what follows from them, in plain types."""
        return {
            "fastfm-core bench": FORM,
            "machine": self.machine,
            "settings": self.settings,
            "ceilings": [{**c._asdict(), "per_second": statistics.median(c.rates)} for c in self.ceilings],
            "figures": [f._asdict() | ({} if f.failure else _derived(f)) for f in self.figures],
        }


def _derived(figure: Figure) -> dict[str, Any]:
    return {
        "median": figure.median,
        "share": figure.share,
        "bytes_per_second": figure.bytes / figure.median if figure.bytes else None,
    }


def read_record(path: str | Path) -> Record:
    """A record from its file. Raises InputError if the file is another's."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["fastfm-core bench"] != FORM:
            raise InputError(f"{path}: was written by another version of fastfm-core bench; measure anew")
        parts = (_made(kind, content[name]) for kind, name in ((Ceiling, "ceilings"), (Figure, "figures")))
        return Record(content["machine"], content["settings"], *parts)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is no file of fastfm-core bench --json") from None


def _made(kind: Callable[..., Any], records: Sequence[dict[str, Any]]) -> list[Any]:
    fields = kind._fields  # type: ignore[attr-defined]
    return [kind(**{name: record[name] for name in fields}) for record in records]
