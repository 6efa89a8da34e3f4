"""docs/models.md is true: its commands run, and its models, options, branches and keys are the code's."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from clicks import write

from fastfm_core import cli
from fastfm_core.contract import PRODUCTS
from fastfm_core.models import MODELS
from fastfm_core.models.fusion import READS
from fastfm_core.trained import OF_MODEL

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "models.md").read_text(encoding="utf-8")


def rows_of(header: str) -> list[list[str]]:
    """The cells of the table under this header, row by row."""
    _, _, table = PAGE.partition(f"| {header} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_model_is_listed_with_its_options() -> None:
    listed = {name.strip("`"): set(re.findall(r"`(\w+)`", options)) for name, *_, options in rows_of("`--model`")}
    expected = {name: set(inspect.signature(model).parameters) & set(OF_MODEL) for name, model in MODELS.items()}
    assert listed == expected


def test_choices_are_the_codes() -> None:
    for name in (*PRODUCTS, *READS, "sum", "mean", "max", "none"):
        assert f"`{name}`" in PAGE, name
    defaults = {name: p.default for name, p in inspect.signature(MODELS["fusion"]).parameters.items()}
    assert f"`{','.join(defaults['branches'])}`, the default" in PAGE
    options = cli.build_parser().parse_args(["inspect", "model", "data"])
    assert f"`--top N` ({options.top})" in PAGE and f"({options.rows:,}; a file" in PAGE


def test_every_command_runs_and_the_keys_are_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = np.random.default_rng(0).integers(0, 9, (300, 3))
    rows = [[user, item, city, (user + item) % 2] for user, item, city in cells.tolist()]
    write(tmp_path / "ratings.csv", ["user", "item", "city", "label"], rows)
    (commands,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for command in commands.splitlines():
        program, *arguments = shlex.split(command)
        assert program == "fastfm-core" and cli.main(arguments) == 0, command
    found = json.loads((tmp_path / "inspection.json").read_text())
    keys = [key for row in rows_of("key") for key in re.findall(r"`(\w+)`", row[0])]
    assert list(found) == keys
    for part, row in (("columns", 1), ("pairs", 2)):
        listed = re.findall(r"`(\w+)`", rows_of("key")[row][1])
        assert set(found[part][0]) == set(listed)
