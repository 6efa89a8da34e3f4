"""A training killed at random moments, again and again, ends with the bytes of an undisturbed one.

Each run trains in a forked child, which loads nothing anew, writes a checkpoint after every step and is killed by
SIGKILL after a random time; then it is resumed. FASTFM_KILLS sets another number of kills than 100; of so many some
must have hit a file that was being written.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from fastfm_core import cli

KILLS = int(os.environ.get("FASTFM_KILLS", "100"))
SETTINGS = ["epochs=12", "hidden=4", "dim=3", "batch_size=64", "lr=0.02", "patience=99", "evaluations_per_epoch=2"]
TIMES = {"seconds", "rows_per_second"}


def write_clicks(path: Path) -> Path:
    random = np.random.default_rng(0)
    city, size = random.integers(0, 6, 400), random.normal(size=400)
    label = (city % 2 + size > 1).astype(int)
    rows = (f"{c},{s:.3f},{y}\n" for c, s, y in zip(city, size, label, strict=True))
    path.write_text("city,size,label\n" + "".join(rows))
    return path


def in_child(arguments: list[str]) -> int:
    """Forks a child that runs one command; its process number."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        status = cli.main(arguments)
    finally:
        os._exit(status)


def resumed(start: list[str]) -> list[str]:
    """The command that goes on with what ``start`` began, or ``start`` itself when nothing is there yet."""
    return ["train", "--resume", "--out", start[-1]] if (Path(start[-1]) / "run.json").exists() else start


def killed_after(seconds: float, start: list[str]) -> int:
    """The wait status of a child that starts or resumes, and is killed after so many seconds unless it ends before."""
    child = in_child(resumed(start))
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def seconds_of(arguments: list[str]) -> float:
    started = time.monotonic()
    assert os.waitpid(in_child(arguments), 0)[1] == 0
    return time.monotonic() - started


def content(folder: Path) -> dict[str, Any]:
    """What must be equal: files byte for byte, histories but for their times."""
    names = sorted(os.listdir(folder))
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    without_times = [{name: value for name, value in record.items() if name not in TIMES} for record in history]
    assert json.loads((folder / "metrics.json").read_text())["history"] == history
    weights = {name: (folder / name).read_bytes() for name in names if name.startswith(("model.", "optimizer."))}
    return {"names": names, "history": without_times, **weights}


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    data = write_clicks(tmp_path / "clicks.csv")
    settings = [part for setting in [*SETTINGS, "checkpoint_seconds=0"] for part in ("--set", setting)]
    start = ["train", str(data), *settings, "--threads", "2", "--out"]
    assert cli.main([*start, str(tmp_path / "loaded")]) == 0  # whatever is loaded and compiled now, no child loads
    longest = seconds_of([*start, str(tmp_path / "whole")])
    expected, random = content(tmp_path / "whole"), np.random.default_rng(0)
    runs = kills = torn = 0
    while kills < KILLS:
        folder = tmp_path / f"run-{runs}"
        status = killed_after(longest / 2 * random.uniform(), [*start, str(folder)])
        if os.WIFSIGNALED(status):
            kills += 1
            torn += folder.exists() and any(name.endswith(".part") for name in os.listdir(folder))
        else:
            assert os.WEXITSTATUS(status) == 0
            assert content(folder) == expected
            runs += 1
    if folder.exists():
        seconds_of(resumed([*start, str(folder)]))
        assert content(folder) == expected
        runs += 1
    print(f"\n{kills} kills in {runs} runs, {torn} while a file was being written")
    assert torn or KILLS < 100
