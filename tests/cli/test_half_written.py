"""Files that change under the program, damaged cache entries, full disks: all is well, or one line says why not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastfm_core import cli, preparation, trained
from fastfm_core.data import cache
from fastfm_core.run import HISTORY, RECORD

from .conftest import COLUMNS, CSV, QUICK, TRAIN, Room, delimited, save_parquet

TRAIN_CSV = ["train", "data.csv", *TRAIN["csv"].split(), *QUICK]


def weights(out: str) -> bytes:
    return (Path(out) / "model.safetensors").read_bytes()


def train(out: str) -> bytes:
    assert cli.main([*TRAIN_CSV, "--out", out]) == 0
    return weights(out)


def entry(room: Room) -> Path:
    (folder,) = room.tables.iterdir()
    return folder


def test_a_file_of_the_same_size_and_time_is_read_anew(room: Room) -> None:
    data = room.folder / "data.csv"
    data.write_bytes(delimited(list(CSV)))
    before, stat = train("first"), data.stat()
    data.write_bytes(delimited(list(CSV)).replace(b",0\n", b",2\n").replace(b",1\n", b",0\n").replace(b",2\n", b",1\n"))
    os.utime(data, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (data.stat().st_size, data.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert train("second") != before
    assert len(list(room.tables.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut array", "missing array", "cut manifest", "edited manifest", "no manifest"])
def test_a_damaged_entry_is_made_anew(room: Room, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    (room.folder / "data.csv").write_bytes(delimited(list(CSV)))
    before = train("first")
    folder = entry(room)
    manifest, ids = folder / cache.MANIFEST, folder / "data.ids"
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    {
        "cut array": lambda: ids.write_bytes(ids.read_bytes()[:-1]),
        "missing array": ids.unlink,
        "cut manifest": lambda: manifest.write_bytes(manifest.read_bytes()[:-1]),
        "edited manifest": lambda: manifest.write_bytes(manifest.read_bytes().replace(b'"fields": 4', b'"fields": 5')),
        "no manifest": manifest.unlink,
    }[damage]()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} != whole
    assert train("second") == before
    assert {path.name: path.read_bytes() for path in entry(room).iterdir()} == whole


def test_a_whole_entry_is_not_made_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    (room.folder / "data.csv").write_bytes(delimited(list(CSV)))
    before = train("first")
    monkeypatch.setattr(preparation.Preparation, "write", None)
    assert train("second") == before


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("place", ["train", "evaluate", "predict"])
def test_a_file_that_changes_while_it_is_read_is_named(
    room: Room, monkeypatch: pytest.MonkeyPatch, place: str, form: str
) -> None:
    """Written anew with as many rows, when the last pass begins; nothing but its time of writing tells."""
    data = room.folder / f"data.{form}"

    def save() -> None:
        save_parquet(data, COLUMNS) if form == "parquet" else data.write_bytes(delimited(list(CSV)))

    save()
    os.utime(data, (1, 1))
    changed: list[bool] = []
    before = {path: path.is_file() and path.read_bytes() for path in room.folder.parent.rglob("*")}
    transform = trained.Encoder.transform

    def changing(*arguments: object) -> object:
        if not changed:
            save()
            changed.append(True)
        return transform(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trained.Encoder, "transform", changing)
    command = {
        "train": ["train", data.name, *TRAIN[form].split(), *QUICK],
        "evaluate": ["evaluate", str(room.models / form), data.name],
        "predict": ["predict", str(room.models / form), data.name, "--out", "p.csv"],
    }[place]
    assert f"data.{form}: the file changed while it was read: run again" in room.mistake(*command)
    assert changed and before == {path: path.is_file() and path.read_bytes() for path in room.folder.parent.rglob("*")}


def test_a_file_that_grows_between_two_passes_is_named(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    data = room.folder / "data.csv"
    whole = delimited([*CSV, *CSV[1:]])
    data.write_bytes(delimited(list(CSV)))
    sample = preparation.Preparation._sample

    def growing(*arguments: object) -> object:
        found = sample(*arguments)  # type: ignore[arg-type]
        data.write_bytes(whole)
        return found

    monkeypatch.setattr(preparation.Preparation, "_sample", growing)
    assert cli.main(TRAIN_CSV) == 2
    assert list(room.tables.iterdir()) == [] and not (room.folder / "runs").exists()


CHILD = """
import resource, sys
from fastfm_core import cli
sys.argv.pop(0)
limit = int(sys.argv.pop(0))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(cli.main(sys.argv))
"""


def files_below(folder: Path) -> dict[Path, bytes | bool]:
    """All files with their content, but for a run's record, which --overwrite ends before the model is replaced."""
    paths = [path for path in folder.rglob("*") if path.name not in (RECORD, HISTORY)]
    return {path: path.is_file() and path.read_bytes() for path in paths}


def on_a_full_disk(room: Room, limit: int, command: list[str]) -> str:
    """Runs the command where no file may grow beyond ``limit`` bytes; returns its last line."""
    before = files_below(room.folder.parent)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(limit), *command], capture_output=True, text=True, cwd=room.folder
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.count("fastfm-core: ") == 1
    assert before == files_below(room.folder.parent)
    return done.stderr.splitlines()[-1]


LARGE = delimited([list(CSV[0]), *(row for _ in range(10) for row in CSV[1:])])


def test_no_room_for_the_encoded_table(room: Room) -> None:
    (room.folder / "data.csv").write_bytes(LARGE)
    said = on_a_full_disk(room, 10_000, TRAIN_CSV)
    assert str(room.tables) in said and "cannot be written (File too large): make room" in said


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_no_room_for_the_predictions(room: Room, form: str) -> None:
    (room.folder / "data.csv").write_bytes(LARGE)
    out = f"p.{form}"
    said = on_a_full_disk(room, 1_000, ["predict", str(room.models / "csv"), "data.csv", "--id", "user", "--out", out])
    assert f"{out}: cannot be written (File too large): make room" in said


@pytest.mark.parametrize("folder", ["new/deeper", "old"])
def test_no_room_for_the_model(room: Room, folder: str) -> None:
    """Neither half a new model, nor a change of the old one that was to be overwritten."""
    (room.folder / "data.csv").write_bytes(delimited(list(CSV)))
    train("old")
    command = [*TRAIN_CSV, "--model", "deepfm", "--set", "hidden=64", "--out", folder, "--overwrite"]
    said = on_a_full_disk(room, 10_000, command)
    assert "safetensors: cannot be written (File too large): make room" in said


def test_no_room_for_the_description(room: Room) -> None:
    """The weights would fit, the vocabularies beside them do not."""
    rows = [[f"{row[0]}-{'long' * 100}-{number}", *row[1:]] for number, row in enumerate(CSV[1:])] * 2
    (room.folder / "data.csv").write_bytes(delimited([list(CSV[0]), *rows]))
    train("old")
    said = on_a_full_disk(room, 30_000, [*TRAIN_CSV, "--seed", "1", "--out", "new"])
    assert "cannot be written (File too large): make room" in said


def test_a_full_standard_output_is_named(room: Room) -> None:
    command = [sys.executable, "-m", "fastfm_core", "predict", str(room.models / "csv"), "good.csv"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    said = "fastfm-core: standard output: cannot be written (No space left on device): make room, then run again\n"
    assert (done.returncode, done.stderr) == (2, said)
