"""A working folder with a small table in every format, and the check that a mistake costs one line and nothing else."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.parquet
import pytest

from fastfm_core import cli
from fastfm_core.data import cache
from fastfm_core.data.readers import reader

ROWS = 200
QUICK = ["--model", "lr", "--set", "epochs=1", "--set", "min_count=1"]
COLUMNS = {
    "user": [f"u{i % 40}" for i in range(ROWS)],
    "city": [f"c{i % 7}é" for i in range(ROWS)],
    "size": [round(0.37 * i % 11, 2) for i in range(ROWS)],
    "tags": [f"t{i % 3}|t{3 + i % 5}" for i in range(ROWS)],
    "clicked": [i % 2 for i in range(ROWS)],
}
CSV = [*COLUMNS], *(list(map(str, row)) for row in zip(*COLUMNS.values(), strict=True))
LIBSVM = [f"{i % 2} 1:{i % 7} {2 + i % 30}:0.5" for i in range(ROWS)]
LIBFFM = [f"{i % 2} 1:{i % 7}:1 2:{i % 30}:0.5" for i in range(ROWS)]
TRAIN = {
    "csv": "--label clicked --numeric size --multihot tags:| --categorical *",
    "parquet": "--label clicked --numeric size --multihot tags:| --categorical *",
    "libsvm": "",
    "libffm": "",
}


def delimited(rows: list[list[str]], separator: str = ",") -> bytes:
    return "".join(separator.join(row) + "\n" for row in rows).encode()


def lines(rows: list[str]) -> bytes:
    return "".join(row + "\n" for row in rows).encode()


def save_parquet(path: Path, columns: dict) -> None:
    path.parent.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def save_good_files(folder: Path) -> None:
    """good.csv, good.tsv, good.csv.gz, good.parquet, good.libsvm, good.libffm."""
    for name, content in {
        "good.csv": delimited(list(CSV)),
        "good.tsv": delimited(list(CSV), "\t"),
        "good.csv.gz": gzip.compress(delimited(list(CSV))),
        "good.libsvm": lines(LIBSVM),
        "good.libffm": lines(LIBFFM),
    }.items():
        (folder / name).write_bytes(content)
    save_parquet(folder / "good.parquet", COLUMNS)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of each format's good file, named by the format."""
    folder = tmp_path_factory.mktemp("models")
    save_good_files(folder)
    for form, options in TRAIN.items():
        command = ["train", str(folder / f"good.{form}"), *options.split(), *QUICK, "--out", str(folder / form)]
        assert cli.main(command) == 0
    return folder


class Room(NamedTuple):
    """The working folder; ``mistake`` runs a command line that must fail, and returns its one line."""

    folder: Path
    tables: Path
    models: Path
    mistake: Callable[..., str]


@pytest.fixture
def room(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Room]:
    """An own working folder and an own cache of encoded tables; text files are read in pieces of a few rows."""
    folder, tables = tmp_path / "here", tmp_path / "tables"
    folder.mkdir()
    tables.mkdir()
    save_good_files(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv(cache.VARIABLE, str(tables))
    monkeypatch.setattr(reader, "BLOCK_BYTES", 100)

    def content() -> dict[Path, bytes | None]:
        return {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")}

    def mistake(*command: str) -> str:
        before = content()
        capsys.readouterr()
        assert cli.main(list(command)) == 2
        printed = capsys.readouterr()
        assert content() == before, "something was left behind"
        assert printed.out == "" and "Traceback" not in printed.err and "Warning" not in printed.err
        *notes, last = printed.err.splitlines()
        assert last.startswith("fastfm-core: ") and not any(line.startswith("fastfm-core: ") for line in notes)
        return last.removeprefix("fastfm-core: ")

    yield Room(folder, tables, models, mistake)
