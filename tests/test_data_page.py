"""docs/data.md is true: its commands run, its errors are the ones printed, its example and lists are the code's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clicks import write_clicks, write_movies

from fastfm_core import cli
from fastfm_core.config_file import OPTIONS
from fastfm_core.data import cache, infer
from fastfm_core.data.codecs import numeric
from fastfm_core.data.encode import FIT_NUMBERS
from fastfm_core.data.readers import READERS
from fastfm_core.data.schema import Transform
from fastfm_core.leaks import LEAK_AUC
from fastfm_core.preparation import GUESS_ROWS, SHARES

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page's files, in the working folder."""
    folder = tmp_path_factory.mktemp("page")
    write_clicks(folder / "clicks.csv")
    write_clicks(folder / "new.csv", seed=1)
    write_movies(folder / "movies.csv")
    (toml,) = blocks("toml")
    (folder / "clicks.toml").write_text(toml, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_the_files_are_as_shown(folder: Path) -> None:
    (shown,) = blocks("text")
    for name in ("clicks.csv", "movies.csv"):
        for line in (folder / name).read_text().splitlines()[:3]:
            assert line in shown


def test_every_command_runs(folder: Path) -> None:
    commands = [line for block in blocks("bash") for line in block.splitlines()]
    assert len(commands) == 10
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "fastfm-core" and cli.main(arguments) == 0, command
    assert {"model", "configured", "predictions.csv", "predictions.parquet", "submission.csv"} <= set(
        path.name for path in folder.iterdir()
    )


def test_errors_are_the_ones_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (console,) = blocks("console")
    lines = console.splitlines()
    assert len(lines) == 8
    for command, expected in zip(lines[::2], lines[1::2], strict=True):
        assert cli.main(shlex.split(command.removeprefix("$ fastfm-core "))) == 2
        printed = capsys.readouterr().err.splitlines()[-1]
        assert printed.replace(f"{folder}/", "") == expected


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks("python")
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["encoder"].field_names == ["user", "size", "tags"] and names["batch"].entries.samples == 3


def test_lists_and_figures_are_the_codes() -> None:
    options = re.search(r"take one value: `(.*?)`", PAGE, re.DOTALL)
    assert options is not None and set(options[1].split()) == OPTIONS
    for name in (*READERS, *Transform.__args__, *infer.MAKERS):
        assert f"`{name}`" in PAGE or f"--{name}" in PAGE, name
    assert f"{FIT_NUMBERS:,}" in PAGE and f"{GUESS_ROWS:,}" in PAGE
    assert f"at most {infer.FEW_VALUES} different" in PAGE
    assert f"kurtosis over {numeric.HEAVY_TAIL_KURTOSIS:g}" in PAGE
    assert f"AUC above {LEAK_AUC:.2f}".replace("0.", ".") in PAGE
    assert " : ".join(map(str, SHARES.values())) in PAGE
    assert f"more than {cache.LARGEST >> 30} GiB" in PAGE and cache.VARIABLE in PAGE
