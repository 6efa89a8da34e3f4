"""What the columns of a table are: one small class per column type, and the schema that lists them.

A column type is declared here, listed in COLUMN_TYPES, and fitted by the codec that ``codecs.CODECS`` names for it;
nothing else knows the types. The schema becomes a JSON-able dict, so it travels in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from fastfm_core.errors import InputError

NumericUse = Literal["row", "raw"]
MultiHotPooling = Literal["mean", "sum", "sqrtn"]


@dataclass(frozen=True)
class Categorical:
    """One value per cell; each frequent value owns a row of the embedding table."""

    name: str


@dataclass(frozen=True)
class Numeric:
    """A number x, standardised (after sign(x) log(1 + |x|) where the training values are heavy-tailed).

    use   "row": a field of its own, one row used with value x in first order, pairs and deep part;
          "raw": x enters the deep part only, as it is
    """

    name: str
    use: NumericUse = "row"

    def __post_init__(self) -> None:
        _check_choice(self.name, "use", self.use, get_args(NumericUse))


@dataclass(frozen=True)
class MultiHot:
    """Several values per cell, split at ``separator`` and pooled into one field vector.

    pooling   with n values in the cell each counts 1/n (mean), 1 (sum) or 1/sqrt(n) (sqrtn)
    """

    name: str
    separator: str = "|"
    pooling: MultiHotPooling = "mean"

    def __post_init__(self) -> None:
        _check_choice(self.name, "pooling", self.pooling, get_args(MultiHotPooling))
        if not self.separator:
            raise InputError(f"column {self.name!r}: the separator is empty, write for example {self.name}:|")


Column = Categorical | Numeric | MultiHot
COLUMN_TYPES: dict[str, type[Column]] = {kind.__name__: kind for kind in (Categorical, Numeric, MultiHot)}


@dataclass(frozen=True)
class Schema:
    """The columns a model reads, in order, and the label: a column name, or 'COL>=X' or 'COL==X'; None without one."""

    fields: tuple[Column, ...]
    label: str | None = None

    def __init__(self, fields: Iterable[Column], label: str | None = None) -> None:
        object.__setattr__(self, "fields", tuple(fields))
        object.__setattr__(self, "label", label)
        names = self.names
        if not names:
            raise InputError("no column is left to learn from: name at least one besides the label")
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"column {name!r} is in the schema twice: keep one")
        if label in names:
            raise InputError(f"column {label!r} is both label and feature: drop it from the features")

    @property
    def names(self) -> list[str]:
        """The column names, in order."""
        return [field.name for field in self.fields]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description, read back by ``from_dict``."""
        return {
            "fields": [{"type": type(field).__name__, **asdict(field)} for field in self.fields],
            "label": self.label,
        }

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> Schema:
        """The schema that ``to_dict`` described; InputError for a column type this version does not have."""
        return cls([_column_from_dict(field) for field in description["fields"]], description["label"])


def _column_from_dict(description: dict[str, Any]) -> Column:
    arguments = dict(description)
    kind = arguments.pop("type")
    if kind not in COLUMN_TYPES:
        raise InputError(f"column {arguments.get('name')!r} has type {kind!r}: known are {', '.join(COLUMN_TYPES)}")
    return COLUMN_TYPES[kind](**arguments)


def _check_choice(name: str, option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"column {name!r}: {option} is {value!r}, choose one of {', '.join(choices)}")
