"""Decides what each column is: as the command line's column options say, else by a guess that can be shown.

The guess: text is categorical; integers are categorical when named like ids, hashes, codes or zips, when written with
leading zeros, or with at most 20 distinct values; other numbers are numeric; a column of texts or integers in which no
value occurs twice says nothing about another row and is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fastfm_core.data.columns import Table, column_of, factorize, parse_number, table_length, unknown_column
from fastfm_core.data.labels import parse_expression
from fastfm_core.data.schema import Categorical, Column, MultiHot, Numeric, Schema
from fastfm_core.errors import InputError

FEW_VALUES = 20
ID_WORDS = {"id", "ids", "uid", "uuid", "guid", "hash", "code", "codes", "key", "zip", "zipcode", "postcode", "postal"}
GLUED_ID = re.compile(r"(user|item|movie|product|customer|session|device|site|app|query|doc|ad)id")
INTEGER = re.compile(r"\s*[+-]?(0|[1-9]\d*)\s*")
LEADING_ZERO = re.compile(r"\s*[+-]?0\d+\s*")


class TypedColumns(NamedTuple):
    """A schema, and for every column of the table except the label why it is what it is."""

    schema: Schema
    reasons: dict[str, str]

    def describe(self) -> list[str]:
        """One human line per column, in the table's order."""
        kinds: dict[str, Column] = {field.name: field for field in self.schema.fields}
        return [f"{name}: {_kind_text(kinds.get(name))} ({reason})" for name, reason in self.reasons.items()]


def guess(columns: Table, label: str | None = None, drop: Sequence[str] = ()) -> TypedColumns:
    """Guesses every column but the label's and the dropped ones. InputError for an unknown name in ``drop``."""
    for name in drop:
        column_of(columns, name)
    return _type_columns(columns, label, {name: ("drop", "") for name in drop})


def resolve(
    columns: Table,
    label: str | None = None,
    *,
    categorical: str | None = None,
    numeric: str | None = None,
    multihot: str | None = None,
    drop: str | None = None,
) -> TypedColumns:
    """Types the columns by comma-separated options; columns that no option names are guessed.

    ``*`` in one option stands for all columns not named elsewhere. ``genres:|`` names the separator of a multi-hot
    column, ``age:raw`` the use of a numeric one. InputError for unknown or doubly named columns.
    """
    options = {"categorical": categorical, "numeric": numeric, "multihot": multihot, "drop": drop}
    return _type_columns(columns, label, _chosen(options, list(columns), _label_column(columns, label)))


def _type_columns(columns: Table, label: str | None, chosen: dict[str, tuple[str, str]]) -> TypedColumns:
    label_column = _label_column(columns, label)
    fields: list[Column] = []
    reasons: dict[str, str] = {}
    for name in columns:
        if name == label_column:
            continue
        option, argument = chosen.get(name) or chosen.get("*") or ("", "")
        field, reasons[name] = (
            (MAKERS[option](name, argument), f"by --{option}") if option else _guess_column(name, columns)
        )
        fields += [field] if field else []
    return TypedColumns(Schema(fields, label), reasons)


def _label_column(columns: Table, label: str | None) -> str | None:
    return parse_expression(label, columns).column if label is not None else None


def _plain(make: Callable[[str], Column | None], option: str) -> Callable[[str, str], Column | None]:
    def checked(name: str, argument: str) -> Column | None:
        if argument:
            raise InputError(f"--{option} {name}:{argument}: nothing may follow the column name, write {name}")
        return make(name)

    return checked


def _numeric(name: str, argument: str) -> Column:
    uses: Any = argument[1:] if argument else "row"
    return Numeric(name, use=uses)


def _multihot(name: str, argument: str) -> Column:
    return MultiHot(name, separator=argument[1:]) if argument else MultiHot(name)


MAKERS: dict[str, Callable[[str, str], Column | None]] = {
    "categorical": _plain(Categorical, "categorical"),
    "numeric": _numeric,
    "multihot": _multihot,
    "drop": _plain(lambda name: None, "drop"),
}


def _chosen(options: dict[str, str | None], names: list[str], label: str | None) -> dict[str, tuple[str, str]]:
    """Named column (or "*") -> (option, what follows the name, its colon included)."""
    chosen: dict[str, tuple[str, str]] = {}
    for option, text in options.items():
        for item in filter(str.strip, (text or "").split(",")):
            name, argument = _split_item(item.lstrip(), names)
            if name == label:
                raise InputError(f"--{option} names {name!r}, which is the label: leave it out")
            if name in chosen:
                raise InputError(f"column {name!r} is named by --{chosen[name][0]} and again by --{option}: keep one")
            chosen[name] = (option, argument)
    return chosen


def _split_item(item: str, names: list[str]) -> tuple[str, str]:
    """'genres:|' -> ('genres', ':|'), where the name may itself contain a colon."""
    for name in sorted([*names, "*"], key=len, reverse=True):
        if item == name or item.startswith(f"{name}:"):
            return name, item[len(name) :]
    raise InputError(unknown_column(item, names))


def _guess_column(name: str, columns: Table) -> tuple[Column | None, str]:
    rows = table_length(columns)
    texts = [text for text in factorize(column_of(columns, name))[0] if text]
    kind = _value_kind(texts)
    found = f"{kind}, {len(texts)} distinct values"
    if kind != "number" and len(texts) == rows > 1:
        return None, f"guessed: {kind}, no value occurs twice"
    if kind == "text":
        bars = sum("|" in text for text in texts)
        return Categorical(name), f"guessed: {found}" + (f"; to split cells: --multihot '{name}:|'" if bars else "")
    if kind == "integer" and looks_like_id(name):
        return Categorical(name), f"guessed: {found}, named like an id"
    if kind == "integer" and len(texts) <= FEW_VALUES:
        return Categorical(name), f"guessed: {found}"
    return Numeric(name), f"guessed: {found}"


def looks_like_id(name: str) -> bool:
    """Whether a word of the name, split at punctuation and camel case, says id, hash, code, zip or the like."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    words = re.split(r"[^a-z]+", spaced.lower())
    return any(word in ID_WORDS or GLUED_ID.fullmatch(word) for word in words)


def _value_kind(texts: list[str]) -> str:
    """'integer', 'number' or 'text'; digits with a leading zero are text."""
    if not texts or any(LEADING_ZERO.fullmatch(text) for text in texts):
        return "text"
    if all(INTEGER.fullmatch(text) for text in texts):
        return "integer"
    try:
        return "number" if all(parse_number(text) is not None for text in texts) else "text"
    except ValueError:
        return "text"


def _kind_text(field: Column | None) -> str:
    if field is None:
        return "dropped"
    if isinstance(field, MultiHot):
        return f"multi-hot, split at {field.separator!r}, {field.pooling}"
    if isinstance(field, Numeric):
        return "numeric" if field.use == "row" else "numeric, raw"
    return "categorical"
