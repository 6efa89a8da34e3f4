"""What the columns of a table are: one small class per column type, and the schema that lists them.

A column type is declared here, listed in COLUMN_TYPES, and fitted by what ``codecs.fitter_of`` makes for it. The
schema becomes a JSON-able dict, so it travels in the checkpoint.

Every field says in ``use`` where it takes part: "first" (order), "pairs", "deep", as a tuple or with commas between;
and in ``dim`` how many numbers each of its rows has, None: as many as the model's. Numbers have the model's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from fastfm_core.errors import InputError

Pooling = Literal["mean", "sum", "sqrtn", "none"]
Bag = Literal["mean", "sum", "sqrtn"]
Transform = Literal["auto", "standardize", "log1p", "sqrt", "square", "quantile", "none"]
Use = str | tuple[str, ...]
EVERYWHERE = ("first", "pairs", "deep")
MOST_ROWS = 1 << 32


@dataclass(frozen=True)
class Categorical:
    """One value per cell; each frequent value owns a row of the embedding table.

    min_count  how often training must hold a value that gets a row; None: the encoder's default
    buckets    hash values to so many rows instead of keeping a vocabulary; values may then share a row
    share      the column whose rows this one uses, too: one vocabulary, counted over both
    """

    name: str
    use: Use = EVERYWHERE
    min_count: int | None = None
    buckets: int | None = None
    share: str | None = None
    dim: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "use", _parts(self, EVERYWHERE))
        _require_positive(self, "min_count", "buckets", "dim")
        if self.buckets and (self.share or self.min_count):
            raise InputError(f"column {self.name!r}: hashed values have neither share nor min_count, drop one of them")

    @property
    def columns(self) -> tuple[str, ...]:
        """The table columns it reads."""
        return (self.name,)


@dataclass(frozen=True)
class Numeric:
    """A number x as a field of its own: one row, used with value x.

    use        as for every field; "raw" in place of "deep" gives the deep part the number instead of its row.
               use="raw" alone: the number enters the deep part and nothing else
    transform  auto: standardised, after a signed log1p where the training values are heavy-tailed; standardize;
               log1p, sqrt (both with the number's sign), square: then standardised; none: as it is;
               quantile: cut into ``bins`` of equal training counts, each with a row of its own
    source     the table column, None: the name; so that one column may be used in several ways
    """

    name: str
    use: Use = EVERYWHERE
    transform: Transform = "auto"
    bins: int = 16
    source: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "use", _parts(self, (*EVERYWHERE, "raw")))
        _check_choice(self.name, "transform", self.transform, get_args(Transform))
        _require_positive(self, "bins")
        if "raw" in self.use and ("deep" in self.use or self.transform == "quantile"):
            raise InputError(f"column {self.name!r}: raw stands in place of deep, and goes with no quantile bins")

    @property
    def columns(self) -> tuple[str, ...]:
        """The table columns it reads."""
        return (self.source or self.name,)


@dataclass(frozen=True)
class MultiHot:
    """Several values per cell, split at ``separator`` and pooled into one field vector.

    pooling   a value's coefficient, of n values in the cell: w/n (mean), w (sum), w/sqrt(n) (sqrtn); none: values are
              not pooled, each is a term of the FM (for the only field of a schema, as in libsvm rows)
    weighted  values carry weights w, as in 'a:0.3|b:1'; a value without one weighs 1
    """

    name: str
    separator: str = "|"
    pooling: Pooling = "mean"
    weighted: bool = False
    use: Use = EVERYWHERE
    min_count: int | None = None
    share: str | None = None
    dim: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "use", _parts(self, EVERYWHERE))
        _check_choice(self.name, "pooling", self.pooling, get_args(Pooling))
        _require_positive(self, "min_count", "dim")
        if self.dim and self.pooling == "none":
            raise InputError(f"column {self.name!r}: values that are not pooled have the model's dim, leave dim out")
        if not self.separator:
            raise InputError(f"column {self.name!r}: the separator is empty, write for example {self.name}:|")

    @property
    def columns(self) -> tuple[str, ...]:
        """The table columns it reads."""
        return (self.name,)


@dataclass(frozen=True)
class Cross:
    """The Cartesian product of columns as a field of its own: each combination of their values is hashed to a row.

    It takes part in the first order alone, as in Wide & Deep, unless ``use`` says otherwise.
    name  None: the columns' names with " x " between
    """

    columns: tuple[str, ...]
    buckets: int = 100_000
    use: Use = ("first",)
    name: str = ""
    dim: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "name", self.name or " x ".join(self.columns))
        object.__setattr__(self, "use", _parts(self, EVERYWHERE))
        _require_positive(self, "buckets", "dim")
        if len(self.columns) < 2:
            raise InputError(f"cross {self.name!r}: name at least two columns")


@dataclass(frozen=True)
class History:
    """The items of earlier rows of the same user: the last ``length`` of them, pooled into one field vector.

    Earlier is a smaller time: rows of the same time do not see each other. Without earlier rows the vector is 0.

    column     of the items;  user  of who they belong to;  time  of numbers, dates or moments
    pooling    an item's coefficient, of n items: 1/n (mean), 1 (sum), 1/sqrt(n) (sqrtn)
    share      the categorical or multi-hot column whose rows the items use, which alone are counted; None: own rows
    positive   'COL>=X', 'COL==X' or a 0/1 column: which earlier rows count; None: all
    min_count  how often training must hold an item that gets a row of its own; None: the encoder's default
    name       None: the column's with " history" behind
    """

    column: str
    user: str = "userId"
    time: str = "timestamp"
    length: int = 20
    pooling: Bag = "mean"
    share: str | None = None
    positive: str | None = None
    min_count: int | None = None
    use: Use = EVERYWHERE
    name: str = ""
    dim: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"{self.column} history")
        object.__setattr__(self, "use", _parts(self, EVERYWHERE))
        _check_choice(self.name, "pooling", self.pooling, get_args(Bag))
        _require_positive(self, "length", "min_count", "dim")

    @property
    def columns(self) -> tuple[str, ...]:
        """The table columns it reads, besides that of ``positive``: items, users, times."""
        return (self.column, self.user, self.time)


Field = Categorical | Numeric | MultiHot | Cross | History
COLUMN_TYPES: dict[str, type[Field]] = {
    kind.__name__.lower(): kind for kind in (Categorical, Numeric, MultiHot, Cross, History)
}


@dataclass(frozen=True)
class Schema:
    """The columns a model reads, in order, and the label: a column name, or 'COL>=X' or 'COL==X'; None without one.

    user, item  names of the fields that describe each, the one that identifies it first; () where nobody asks
    """

    fields: tuple[Field, ...]
    label: str | None = None
    user: tuple[str, ...] = ()
    item: tuple[str, ...] = ()

    def __init__(
        self, fields: Iterable[Field], label: str | None = None, user: Iterable[str] = (), item: Iterable[str] = ()
    ) -> None:
        given = {"fields": tuple(fields), "label": label, "user": tuple(user), "item": tuple(item)}
        for attribute, value in given.items():
            object.__setattr__(self, attribute, value)
        names = self.names
        if not names:
            raise InputError("no column is left to learn from: name at least one besides the label")
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"column {name!r} is in the schema twice: keep one")
        if label in self.columns:
            raise InputError(f"column {label!r} is both label and feature: drop it from the features")
        self._check_sides()
        for field in self.fields:
            self._check_share(field)
            if isinstance(field, History) and field.name in self.columns:
                raise InputError(f"history {field.name!r} is called like a column: give it another name")
            if isinstance(field, MultiHot) and field.pooling == "none" and len(names) > 1:
                raise InputError(f"column {field.name!r}: pooling none is for the only field of a schema; use sum")

    @property
    def names(self) -> list[str]:
        """The fields' names, in order."""
        return [field.name for field in self.fields]

    @property
    def columns(self) -> list[str]:
        """The table columns they read, each once."""
        return list(dict.fromkeys(column for field in self.fields for column in field.columns))

    def owner(self, field: Field) -> Field:
        """The field whose rows this one uses: itself, unless it shares another's."""
        share = getattr(field, "share", None)
        return self.fields[self.names.index(share)] if share else field

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description, read back by ``from_dict``."""
        described = {"fields": list(map(field_to_dict, self.fields)), "label": self.label}
        return described | {"user": list(self.user), "item": list(self.item)}

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> Schema:
        """The schema that ``to_dict`` described; InputError for a column type this version does not have."""
        sides = {side: description.get(side, ()) for side in ("user", "item")}
        return cls([field_from_dict(field) for field in description["fields"]], description["label"], **sides)

    def side(self, name: str) -> str:
        """Whom the field called ``name`` describes: "user", "item" or ""."""
        return "user" if name in self.user else "item" if name in self.item else ""

    def _check_sides(self) -> None:
        for name in self.user + self.item:
            if name not in self.names:
                raise InputError(f"--user and --item: {name!r} is no field, there are {', '.join(self.names)}")
            if (self.user + self.item).count(name) > 1:
                raise InputError(f"--user and --item: {name!r} is named twice; name it once")

    def _check_share(self, field: Field) -> None:
        share = getattr(field, "share", None)
        if share is None:
            return
        owner = next((other for other in self.fields if other.name == share), None)
        if not isinstance(owner, Categorical | MultiHot) or owner.share or getattr(owner, "buckets", None):
            mend = "name a categorical or multi-hot column with a vocabulary of its own"
            raise InputError(f"column {field.name!r}: share={share!r} is no such column; {mend}")
        for option in ("min_count", "dim"):
            if getattr(field, option, None):
                raise InputError(f"column {field.name!r} uses the rows of {share!r}: give {option} there")


def field_to_dict(field: Field) -> dict[str, Any]:
    """A field's type and arguments, read back by ``field_from_dict``."""
    return {"type": type(field).__name__.lower(), **asdict(field)}


def field_from_dict(description: dict[str, Any]) -> Field:
    """A field from its type and arguments; InputError naming the column for what no column type has."""
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in description.items()
    }
    name, given = arguments.get("name"), str(arguments.pop("type", ""))
    kind = given.lower()
    if kind not in COLUMN_TYPES:
        raise InputError(f"column {name!r} has type {given!r}: known are {', '.join(COLUMN_TYPES)}")
    known = [field.name for field in fields(COLUMN_TYPES[kind]) if field.name != "name"]
    for key, value in arguments.items():
        if key not in ("name", *known):
            raise InputError(f"column {name!r}: type {kind} has no {key!r}, only {', '.join(known)}")
        _check_type(name, key, value)
    try:
        return COLUMN_TYPES[kind](**arguments)
    except TypeError as error:
        raise InputError(f"column {name!r}: {str(error).partition(') ')[2] or error}") from None


def _check_type(name: Any, key: str, value: Any) -> None:
    """InputError for an argument of the wrong type; numbers are checked by the field itself."""
    if value is None or key in ("min_count", "buckets", "bins", "length", "dim"):
        return
    texts = isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    fits, wanted = {
        "weighted": (isinstance(value, bool), "true or false"),
        "columns": (texts, "a list of column names"),
        "use": (texts or isinstance(value, str), "a text or a list of texts"),
    }.get(key, (isinstance(value, str), "a text"))
    if not fits:
        raise InputError(f"column {name!r}: {key} is {value!r}, give {wanted}")


def _parts(field: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    """The field's ``use`` as a tuple in the order of ``known``."""
    given = [part.strip() for part in (field.use.split(",") if isinstance(field.use, str) else field.use)]
    wrong = [part for part in given if part not in known]
    if wrong or not given:
        raise InputError(f"column {field.name!r}: use is {', '.join(given)!r}, choose of {', '.join(known)}")
    return tuple(part for part in known if part in given)


def _check_choice(name: str, option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"column {name!r}: {option} is {value!r}, choose one of {', '.join(choices)}")


def _require_positive(field: Any, *options: str) -> None:
    for option in options:
        value = getattr(field, option)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise InputError(f"column {field.name!r}: {option} is {value!r}, give a whole number of at least 1")
        if value is not None and value >= MOST_ROWS:
            raise InputError(f"column {field.name!r}: {option} is {value}, give a number below {MOST_ROWS}")
