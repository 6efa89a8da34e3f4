"""Decides what each column is: as the command line's column options say, else by a guess that can be shown.

The guess: text is categorical; integers are categorical when named like ids, hashes, codes or zips, when written with
leading zeros, or with at most 20 distinct values; other numbers are numeric; a column of texts or integers in which no
value occurs twice says nothing about another row and is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

from fastfm_core.data.columns import Table, column_of, factorize, parse_number, table_length, unknown_column
from fastfm_core.data.labels import parse_expression
from fastfm_core.data.schema import EVERYWHERE, Categorical, Cross, Field, History, MultiHot, Numeric, Schema, Transform
from fastfm_core.data.text import Bags
from fastfm_core.errors import InputError

FEW_VALUES = 20
ID_WORDS = {"id", "ids", "uid", "uuid", "guid", "hash", "code", "codes", "key", "zip", "zipcode", "postcode", "postal"}
GLUED_ID = re.compile(r"(user|item|movie|product|customer|session|device|site|app|query|doc|ad)id")
INTEGER = re.compile(r"\s*[+-]?(0|[1-9]\d*)\s*")
TIME_NAME = re.compile(r"\b(time|timestamp|ts|date|datetime|hour|day)\b")
TIME = re.compile(r"\s*(\d{6,}(\.\d*)?\s*$|\d{4}-\d\d-\d\d)")
LEADING_ZERO = re.compile(r"\s*[+-]?0\d+\s*")


class TypedColumns(NamedTuple):
    """A schema, and for every column of the table except the label, and every further field, why it is what it is."""

    schema: Schema
    reasons: dict[str, str]

    def describe(self) -> list[str]:
        """One human line per column, in the table's order, then per further field."""
        kinds: dict[str, Field] = {field.name: field for field in self.schema.fields}
        return [f"{name}: {_kind_text(kinds.get(name))} ({reason})" for name, reason in self.reasons.items()]

    def doubts(self) -> list[str]:
        """A line that names the columns of integers which were guessed to be numbers: ids among them would be wrong."""
        numbers = [field.name for field in self.schema.fields if isinstance(field, Numeric)]
        integers = [name for name in numbers if self.reasons[name].startswith("guessed: integer")]
        mend = "if one is an id or a code, name it in --categorical"
        return [f"integers taken as numbers by a guess: {', '.join(integers)}; {mend}"] if integers else []


def guess(columns: Table, label: str | None = None, drop: Sequence[str] = ()) -> TypedColumns:
    """Guesses every column but the label's and the dropped ones. InputError for an unknown name in ``drop``."""
    for name in drop:
        column_of(columns, name)
    return _type_columns(columns, label, {name: ("drop", "") for name in drop})


def resolve(
    columns: Table,
    label: str | None = None,
    *,
    declared: Sequence[Field] = (),
    hints: Mapping[str, str] | None = None,
    categorical: str | None = None,
    numeric: str | None = None,
    multihot: str | None = None,
    drop: str | None = None,
    id: str | None = None,
    weight: str | None = None,
    cross: str | None = None,
    user: str | None = None,
    item: str | None = None,
) -> TypedColumns:
    """Types the columns: as declared, by comma-separated options, as the file says of itself (hints), else by a guess.

    ``*`` in one option stands for all columns not named elsewhere. What may follow a name and a colon: of --multihot
    the separator ('genres:|'), then ':weighted'; of --numeric the use or the transform ('age:raw', 'age:log1p'), where
    a column that is named again becomes a further field ('age,age:square'); of --categorical the number of buckets to
    hash to ('user:100000'). What --id and --weight name is left out. --cross names products of columns,
    'age*gender,user*genre:1000000', with the number of buckets where it is not 100,000.
    --user and --item name the columns of each, first the one that identifies it, which is categorical unless typed.
    InputError for unknown or doubly named columns.
    """
    options = {"categorical": categorical, "numeric": numeric, "multihot": multihot, "drop": drop}
    options |= {"id": id, "weight": weight}
    chosen, further = _chosen(options, list(columns), _label_column(columns, label))
    known = {field.name: field for field in declared}
    added: list[tuple[Field, str]] = [(_cross(item), "cross") for item in (cross or "").split(",") if item.strip()]
    added += [(field, "numeric") for field in further]
    for field, option in added:
        if field.name in known:
            raise InputError(f"field {field.name!r} of --{option} is declared already: keep one")
        known[field.name] = field
    sides = {"user": listed(user), "item": listed(item)}
    for side, names in sides.items():
        for name in names:
            if name not in known and name not in columns:
                raise InputError(f"--{side}: {unknown_column(name, list(columns))}")
    ids = {names[0]: f"by --{side}" for side, names in sides.items() if names}
    typed = _type_columns(columns, label, chosen, known, hints or {}, ids)
    typed.reasons.update({field.name: f"by --{option}" for field, option in added})
    return typed._replace(schema=Schema(typed.schema.fields, label, **sides))


def listed(text: str | None) -> tuple[str, ...]:
    """The names in a text, which has commas between them."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _type_columns(
    columns: Table,
    label: str | None,
    chosen: dict[str, tuple[str, str]],
    declared: Mapping[str, Field] = MappingProxyType({}),
    hints: Mapping[str, str] = MappingProxyType({}),
    ids: Mapping[str, str] = MappingProxyType({}),
) -> TypedColumns:
    label_column = _label_column(columns, label)
    fields: list[Field] = []
    reasons: dict[str, str] = {}
    for name in columns:
        if name == label_column:
            continue
        option, argument = chosen.get(name) or ("", "")
        if option and name in declared:
            raise InputError(f"column {name!r} is named by --config and again by --{option}: keep one")
        if not option and name not in declared:
            option, argument = chosen.get("*") or ("", "")
        if name in declared:
            field, reasons[name] = declared[name], "by --config"
        elif option:
            field, reasons[name] = MAKERS[option](name, argument), f"by --{option}"
        elif name in hints:
            field, reasons[name] = HINTED[hints[name]](name), "by the file"
        elif name in ids:
            field, reasons[name] = Categorical(name), ids[name]
        else:
            field, reasons[name] = _guess_column(name, columns)
        fields += [field] if field else []
    for field in declared.values():
        for column in field.columns:
            column_of(columns, column)
            if column == label_column:
                raise InputError(f"column {column!r} is the label, and --config declares it as well: leave it out")
        if field.name not in columns:
            fields.append(field)
            reasons[field.name] = "by --config"
    return TypedColumns(Schema(fields, label), reasons)


def _label_column(columns: Table, label: str | None) -> str | None:
    return parse_expression(label, columns).column if label is not None else None


def _categorical(name: str, argument: str) -> Field:
    if argument and not argument[1:].isdecimal():
        raise InputError(f"--categorical {name}{argument}: only a number of buckets may follow, as in {name}:100000")
    return Categorical(name, buckets=int(argument[1:]) if argument else None)


def _numeric(name: str, argument: str, source: str | None = None) -> Numeric:
    words = [word for word in argument.split(":") if word]
    transforms: list[Any] = [word for word in words if word in get_args(Transform)]
    uses = ",".join(word for word in words if word not in transforms)
    return Numeric(name, use=uses or EVERYWHERE, transform=transforms[0] if transforms else "auto", source=source)


def _numeric_again(name: str, argument: str, names: list[str]) -> Numeric:
    """A further field of a column of numbers: 'age' and ':square' make 'age square'."""
    field = " ".join([name, *argument.split(":")[1:]]) if argument else f"{name} auto"
    if field in names:
        raise InputError(f"--numeric {name}{argument}: {field!r} is a column as well: declare a field of another name")
    return _numeric(field, argument, source=name)


def _multihot(name: str, argument: str) -> Field:
    separator = argument.removesuffix(":weighted")
    weighted = separator != argument
    return MultiHot(name, separator[1:], weighted=weighted) if argument else MultiHot(name)


def _cross(item: str) -> Cross:
    text, colon, buckets = item.strip().partition(":")
    columns = tuple(column.strip() for column in text.split("*"))
    if len(columns) < 2 or not all(columns) or (colon and not buckets.isdecimal()):
        raise InputError(f"--cross {item}: write columns with * between, and buckets behind a colon: a*b:100000")
    return Cross(columns, buckets=int(buckets)) if buckets else Cross(columns)


def _drop(name: str, argument: str) -> None:
    if argument:
        raise InputError(f"column {name!r}: nothing may follow the name, here {argument!r}, where it is left out")


MAKERS: dict[str, Callable[[str, str], Field | None]] = {
    "categorical": _categorical,
    "numeric": _numeric,
    "multihot": _multihot,
    **dict.fromkeys(("drop", "id", "weight"), _drop),
}
HINTED: dict[str, Callable[[str], Field]] = {
    "categorical": Categorical,
    "numeric": Numeric,
    "multihot": lambda name: MultiHot(name, separator=" "),
    "bags": lambda name: MultiHot(name, pooling="sum"),
    "entries": lambda name: MultiHot(name, pooling="none"),
}


def _chosen(
    options: dict[str, str | None], names: list[str], label: str | None
) -> tuple[dict[str, tuple[str, str]], list[Numeric]]:
    """Named column (or "*") -> (option, what follows the name, its colon included); and further fields of columns."""
    chosen: dict[str, tuple[str, str]] = {}
    further: list[Numeric] = []
    for option, text in options.items():
        for item in filter(str.strip, (text or "").split(",")):
            name, argument = _split_item(item.lstrip(), names)
            if name == label:
                raise InputError(f"--{option} names {name!r}, which is the label: leave it out")
            first, given = chosen.get(name, ("", ""))
            if first == option == "numeric" and name in names and given != argument:
                further.append(_numeric_again(name, argument, names))
                continue
            if first:
                raise InputError(f"column {name!r} is named by --{first} and again by --{option}: keep one")
            chosen[name] = (option, argument)
    return chosen, further


def _split_item(item: str, names: list[str]) -> tuple[str, str]:
    """'genres:|' -> ('genres', ':|'), where the name may itself contain a colon."""
    for name in sorted([*names, "*"], key=len, reverse=True):
        if item == name or item.startswith(f"{name}:"):
            return name, item[len(name) :]
    raise InputError(unknown_column(item, names))


def _guess_column(name: str, columns: Table) -> tuple[Field | None, str]:
    rows = table_length(columns)
    column = column_of(columns, name)
    if isinstance(column, Bags):
        return MultiHot(name), "guessed: several values a cell"
    texts = [text for text in factorize(column)[0] if text]
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
    return any(word in ID_WORDS or GLUED_ID.fullmatch(word) for word in _spaced(name).split())


def _spaced(name: str) -> str:
    """The name's words in lower case: 'userId_2' -> 'user id'."""
    return " ".join(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()))


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


def _kind_text(field: Field | None) -> str:
    if field is None:
        return "dropped"
    words = [type(field).__name__.lower().replace("multihot", "multi-hot")]
    if isinstance(field, MultiHot):
        words += [f"split at {field.separator!r}", field.pooling] + ["weighted"] * field.weighted
    elif isinstance(field, Numeric):
        words += [field.transform] * (field.transform != "auto")
    elif isinstance(field, History):
        words += [f"the last {field.length} of the same {field.user} before {field.time}", field.pooling]
        words += [f"where {field.positive}"] if field.positive else []
    elif field.buckets:
        words += [f"hashed to {field.buckets:,} rows"]
    words += [f"dim {dim}"] if (dim := getattr(field, "dim", None)) else []
    words += [] if field.use == EVERYWHERE else ["+".join(field.use)]
    return ", ".join(words)


def time_columns(columns: Table) -> list[str]:
    """The columns that look like times: named so, and holding large numbers or dates."""
    return [name for name in columns if TIME_NAME.search(_spaced(name)) and _holds_times(column_of(columns, name))]


def _holds_times(column: Any) -> bool:
    if isinstance(column, Bags):
        return False
    texts = [text for text in factorize(column[:1000])[0] if text]
    return bool(texts) and all(TIME.match(text) for text in texts)
