"""The file that ``--config`` names: what the columns are, hyper-parameters, and defaults for options, in TOML.

    label = "click"                      # any option of train, by its name; the command line wins
    drop = "row,comment"

    [columns.userId]
    type = "categorical"                 # or numeric, multihot, cross, history, with their arguments
    min_count = 5

    [columns.tags]
    type = "multihot"
    separator = "|"
    weighted = true
    use = "first,pairs"

    [columns."age x gender"]
    type = "cross"
    columns = ["age", "gender"]
    buckets = 1000

    [settings]                           # as with --set
    dim = 32
    hidden = [200, 200]

Columns that it does not declare are guessed, or as the other column options say.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple, get_args

from fastfm_core.data.labels import Task
from fastfm_core.data.schema import Field, field_from_dict
from fastfm_core.errors import InputError

NUMBERS = {"seed", "threads", "sample_negatives"}
OPTIONS = NUMBERS | {
    "valid", "test", "label", "task", "model", "categorical", "numeric", "multihot", "cross", "user", "item", "drop",
    "id", "weight", "split", "group", "backend", "out",
}  # fmt: skip


class ConfigFile(NamedTuple):
    """What the file declares: fields, options of train by name, settings as 'key=value'."""

    fields: list[Field]
    options: dict[str, Any]
    settings: list[str]


def read_config(path: str | Path | None) -> ConfigFile:
    """Reads the file; None: nothing is declared. InputError naming file, line or key, and the mend."""
    if path is None:
        return ConfigFile([], {}, [])
    content = _parsed(Path(path))
    try:
        columns = _table(content.pop("columns", {}), "columns")
        settings = _table(content.pop("settings", {}), "settings")
        fields = [_field(name, column) for name, column in columns.items()]
        for name, value in content.items():
            _check_option(name, value)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return ConfigFile(fields, content, [f"{key}={_setting(value)}" for key, value in settings.items()])


def _parsed(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not TOML: {error}") from None


def _field(name: str, column: Any) -> Field:
    arguments = _table(column, name)
    if "name" in arguments:
        raise InputError(f"column {name!r} is named by [columns.{name}] already: leave its key name out")
    return field_from_dict({"name": name, **arguments})


def _check_option(name: str, value: Any) -> None:
    if name not in OPTIONS:
        known = ", ".join(sorted(OPTIONS))
        raise InputError(f"there is no option {name!r}; besides [columns] and [settings] there are {known}")
    if name in NUMBERS and (not isinstance(value, int) or isinstance(value, bool)):
        raise InputError(f"{name} is {value!r}: give a whole number")
    if name not in NUMBERS and not isinstance(value, str):
        raise InputError(f"{name} is {value!r}: give a text, in quotes")
    if name == "task" and value not in get_args(Task):
        raise InputError(f"task is {value!r}: choose one of {', '.join(get_args(Task))}")


def _table(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{name} is {value!r}: write it as a table, [columns.NAME] or [settings]")
    return value


def _setting(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
