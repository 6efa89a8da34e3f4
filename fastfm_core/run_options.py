"""The options that a training takes from a folder: its own when it is resumed, the model's when it starts from one."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastfm_core import checkpoint
from fastfm_core.config import parse_settings
from fastfm_core.errors import InputError
from fastfm_core.run import RECORD, Run

FILES = ("data", "valid", "test", "config", "warm_start", "metrics_json")  # kept as absolute paths
NOT_KEPT = ("command", "resume", "overwrite", "out")
OF_MODEL = ("label", "task", "id")  # kept by a model for those who start from it, beside its name
COLUMNS = ("categorical", "numeric", "multihot", "drop", "cross", "config")
SIDES = ("user", "item")  # kept by a model that was told them
FREE = ("threads", "metrics_json", "backend", "set")  # may differ at resume; "set" is compared setting by setting


def to_keep(options: Namespace) -> dict[str, Any]:
    """What run.json keeps of the options, so that --resume needs the folder alone."""
    kept = {name: value for name, value in vars(options).items() if name not in NOT_KEPT}
    files = {name: os.path.abspath(kept[name]) for name in FILES if kept[name] is not None}
    return kept | files | {"join": [f"{file}:{key}" for file, key in map(parse_join, options.join)]}


def parse_join(text: str) -> tuple[str, str]:
    """'FILE:KEY' -> (absolute path, key)."""
    file, colon, key = text.rpartition(":")
    if not colon or not file or not key:
        raise InputError(f"--join {text}: write FILE:KEY, for example --join movies.csv:movieId")
    return os.path.abspath(file), key


def require_sides(options: Namespace) -> None:
    """InputError when negatives are asked for without what they are sampled by."""
    if options.sample_negatives is None:
        return
    asked = f"--sample-negatives {options.sample_negatives}"
    if options.sample_negatives < 1:
        raise InputError(f"{asked}: give a whole number of at least 1")
    if options.task != "binary":
        raise InputError(f"{asked}: negatives have label 0, which a {options.task} task has not; leave it out")
    if not all((columns or "").strip(" ,") for columns in (options.user, options.item)):
        raise InputError(f"{asked}: whose, and of what? add --user COL --item COL")


def kept(options: Namespace) -> dict[str, Any]:
    """The options that the folder of a run keeps; {} for a finished model without a record of its run.

    Raises InputError when --out is missing, holds nothing to resume, or --overwrite contradicts.
    """
    if not options.out:
        raise InputError("--resume: which training? add --out DIR, the folder that it was started in")
    if options.overwrite:
        raise InputError("--resume and --overwrite: one goes on, the other starts anew; give one of them")
    folder = Path(options.out)
    if not (folder / RECORD).is_file() and (folder / checkpoint.DESCRIPTION).is_file():
        return {}
    return Run.open(folder).options


def require_same(options: Namespace, kept: dict[str, Any]) -> None:
    """InputError naming the first option that was given differently from the one that is kept."""
    mend = f"but the training in {options.out} was started with"
    again = to_keep(options)
    for name in (name for name in kept if name not in FREE):
        if again.get(name) != kept[name]:
            option = "DATA" if name == "data" else f"--{name.replace('_', '-')}"
            raise InputError(f"{option} {again.get(name)}: {mend} {kept[name]}; leave it out")
    given, before = (asdict(parse_settings(settings)) for settings in (again["set"], kept.get("set", again["set"])))
    for name, value in before.items():
        if given[name] != value:
            raise InputError(f"--set {name}={given[name]}: {mend} {name}={value}; leave it out")


def of_model(folder: str) -> dict[str, Any]:
    """The options that a training which starts from the model in ``folder`` shares with it."""
    description = checkpoint.load_description(folder)
    joins = [f"{file}:{key}" for file, key in description["join"]]
    schema = description["encoder"].get("schema", {})
    sides = {side: ",".join(schema[side]) for side in SIDES if schema.get(side)}
    return {"model": description["name"], "join": joins} | sides | {name: description[name] for name in OF_MODEL}


def require_of_model(options: Namespace) -> None:
    """InputError naming the first option that contradicts the model to start from."""
    shared = of_model(options.warm_start)
    for name, value in shared.items():
        if getattr(options, name) != value:
            told = f"--{name} {getattr(options, name)}"
            raise InputError(f"{told}: but the model in {options.warm_start} has {value}; leave it out")
    further = SIDES if options.sample_negatives is None else ()  # else they say whom negatives are drawn for
    for name in (*COLUMNS, *further):
        if getattr(options, name) and name not in shared:
            raise InputError(f"--{name}: the columns are those of the model in {options.warm_start}; leave it out")
    if options.out and os.path.realpath(options.out) == os.path.realpath(options.warm_start):
        raise InputError(f"--out {options.out}: holds the model to start from; name another folder")
