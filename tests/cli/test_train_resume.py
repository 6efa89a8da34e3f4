"""``train --resume`` on the command line: stopping, going on, what it refuses, and a disk that is full."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fastfm_core import cli, commands
from fastfm_core.run import Run

ROWS = "".join(f"c{i % 7},{i * 37 % 101},{int(i % 7 > 3)}\n" for i in range(300))
SETTINGS = ["--set", "epochs=5", "--set", "hidden=4", "--set", "dim=3", "--set", "batch_size=32", "--seed", "3"]
START = ["train", "data.csv", "--label", "clicked", *SETTINGS, "--out", "run"]
RESUME = ["train", "--resume", "--out", "run"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("city,size,clicked\n" + ROWS)
    return tmp_path


def stop_after(monkeypatch, steps: int, number: int = signal.SIGINT) -> None:
    """Sends this process the signal in the middle of the step with that number."""
    train_step, left = commands.training.train_step, [steps]

    def step(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(number)
        return train_step(*arguments, **options)

    monkeypatch.setattr(commands.training, "train_step", step)


def stopped(monkeypatch, steps: int = 9, start=START) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        assert cli.main(start) == 130


def last_line(capsys) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def whole(folder: Path) -> dict[str, bytes]:
    """The files of an undisturbed run that must be equal."""
    assert cli.main([*START[:-1], "whole"]) == 0
    return model_files(folder / "whole")


def model_files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir() if path.name.startswith(("model", "optimizer"))}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(folder, monkeypatch, capsys, number, status):
    expected = whole(folder)
    handler = signal.getsignal(number)
    with monkeypatch.context() as patch:
        stop_after(patch, 9, number)
        assert cli.main(START) == status
    assert last_line(capsys) == "fastfm-core: stopped; go on with: fastfm-core train --resume --out run"
    assert signal.getsignal(number) is handler
    position = Run.open("run").position
    assert position is not None and (position["epoch"], position["batch"]) == (2, 2)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert cli.main(["train", "--resume", "--out", str(folder / "run")]) == 0
    assert "resumed in epoch 2, after 2 of 7 batches" in capsys.readouterr().err.splitlines()
    assert model_files(folder / "run") == expected


def test_a_second_ctrl_c_stops_at_once_and_the_checkpoint_before_is_named(folder, monkeypatch, capsys):
    def twice(*_, **__):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(commands.training, "train_step", twice)
        assert cli.main(START) == 130
    assert last_line(capsys) == "fastfm-core: interrupted, nothing was saved" and not (folder / "run").exists()
    stopped(monkeypatch)
    before = sorted(os.listdir(folder / "run"))
    with monkeypatch.context() as patch:
        patch.setattr(commands.training, "train_step", twice)
        assert cli.main(RESUME) == 130
    assert last_line(capsys).endswith("go on with: fastfm-core train --resume --out run")
    assert sorted(os.listdir(folder / "run")) == before


def test_ctrl_c_in_a_process_of_its_own(folder):
    command = [sys.executable, "-m", "fastfm_core", *START, "--set", "epochs=9999", "--set", "patience=9999"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        next(line for line in process.stderr if line.startswith("epoch   2"))
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().splitlines()[-1].endswith("go on with: fastfm-core train --resume --out run")
        assert process.stdout.read() == ""
    assert process.returncode == 130
    assert Run.open("run").position is not None


def test_without_a_checkpoint_yet_it_starts_over(folder, monkeypatch):
    expected = whole(folder)

    class Killed(BaseException):
        pass

    def kill(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(commands, "_fit", kill)
        patch.setattr(Run, "forget", lambda self: None)
        with pytest.raises(Killed):
            cli.main(START)
    assert os.listdir("run") == ["run.json"]
    assert cli.main(RESUME) == 0
    assert model_files(folder / "run") == expected


def test_killed_while_the_model_is_saved_it_saves_again(folder, monkeypatch):
    expected = whole(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish", lambda self: signal.raise_signal(signal.SIGINT))
        assert cli.main(START) == 130
    assert (folder / "run" / "model.json").exists()
    assert cli.main(RESUME) == 0
    assert model_files(folder / "run") == expected == model_files(folder / "whole")
    assert not list((folder / "run").glob("step-*"))


def test_a_finished_run_says_so_and_shows_its_result(folder, capsys):
    assert cli.main(START) == 0
    printed = capsys.readouterr().out
    before = {path: path.read_bytes() for path in (folder / "run").iterdir()}
    assert cli.main(RESUME) == 0
    again = capsys.readouterr()
    assert again.out == printed and again.err == "the training in run is finished\n"
    assert {path: path.read_bytes() for path in (folder / "run").iterdir()} == before
    (folder / "run" / "run.json").unlink()
    assert cli.main(RESUME) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seed", "4"], "--seed 4: but the training in run was started with 3; leave it out"),
        (["--seed", "0"], "--seed 0: but"),
        (["other.csv"], "other.csv: but"),
        (["--model", "fm"], "--model fm: but the training in run was started with deepfm"),
        (["--set", "epochs=9"], "--set epochs=9: but the training in run was started with epochs=5"),
        (["--label", "size"], "--label size: but"),
        (["--overwrite"], "--resume and --overwrite"),
    ],
)
def test_options_that_disagree_are_named(folder, monkeypatch, capsys, more, message):
    stopped(monkeypatch)
    before = {path: path.read_bytes() for path in (folder / "run").iterdir()}
    assert cli.main([*RESUME, *more]) == 2
    assert message in last_line(capsys)
    assert {path: path.read_bytes() for path in (folder / "run").iterdir()} == before


def test_options_that_agree_and_those_that_change_no_result_may_be_given(folder, monkeypatch):
    expected = whole(folder)
    stopped(monkeypatch)
    more = ["data.csv", "--seed", "3", "--set", "epochs=5", "--threads", "1", "--metrics-json", "m.json"]
    assert cli.main([*RESUME, *more]) == 0
    assert model_files(folder / "run") == expected
    assert json.loads((folder / "m.json").read_text())["epochs"] == 5


@pytest.mark.parametrize(("old", "new"), [("c1,", "d1,"), ("c5,48,1", "c5,48,0")])
def test_changed_data_are_refused(folder, monkeypatch, capsys, old, new):
    stopped(monkeypatch)
    assert old in ROWS
    (folder / "data.csv").write_text("city,size,clicked\n" + ROWS.replace(old, new))
    assert cli.main(RESUME) == 2
    assert "run: the data changed since this training began" in last_line(capsys)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --resume", "add --out DIR"),
        ("train --resume --out nowhere", "nowhere: holds no training to resume"),
        ("train --resume --out .", "holds no training to resume"),
    ],
)
def test_where_there_is_no_run_it_says_so(folder, capsys, line, message):
    assert cli.main(line.split()) == 2
    assert message in last_line(capsys)
    assert os.listdir(folder) == ["data.csv"]


def test_an_unfinished_run_is_not_overwritten_unasked(folder, monkeypatch, capsys):
    expected = whole(folder)
    stopped(monkeypatch)
    assert cli.main(START) == 2
    assert "--resume" in (line := last_line(capsys)) and "--overwrite" in line
    assert cli.main([*START, "--overwrite"]) == 0
    assert model_files(folder / "run") == expected


def test_while_a_model_is_overwritten_the_old_one_stays(folder, monkeypatch):
    assert cli.main(START) == 0
    old = model_files(folder / "run")
    stopped(monkeypatch, start=[*START, "--seed", "4", "--overwrite"])
    assert model_files(folder / "run") == old
    assert cli.main(RESUME) == 0
    assert model_files(folder / "run") != old


def test_a_full_disk_is_one_line_and_the_checkpoint_before_is_usable(folder, monkeypatch):
    """Files may not grow beyond some size in the child: run.json fits, the arrays do not."""
    expected = whole(folder)
    stopped(monkeypatch)
    before = {path: path.read_bytes() for path in (folder / "run").iterdir()}
    largest = max(map(len, before.values())) - 100
    done = subprocess.run(
        [sys.executable, "-m", "fastfm_core", *RESUME], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
    )  # fmt: skip
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("fastfm-core: run/step-3-0.safetensors: cannot be written (") and "too large" in line
    assert {path: path.read_bytes() for path in (folder / "run").iterdir()} == before
    assert cli.main(RESUME) == 0
    assert model_files(folder / "run") == expected


def test_training_in_a_thread_sets_no_handlers(folder):
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(cli.main(START)))
    thread.start()
    thread.join()
    assert statuses == [0]
