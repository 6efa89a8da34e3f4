"""A training that was stopped and resumed makes the bits of one that was not; what cannot go on is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastfm_core import backends, models, optim, train
from fastfm_core.config import TrainConfig
from fastfm_core.data import Batches, Encoded
from fastfm_core.errors import InputError, Interrupted
from fastfm_core.run import Run

FIELDS, ROWS = 3, 30


def table(count: int = 140, seed: int = 0) -> Encoded:
    random = np.random.default_rng(seed)
    ids = (random.integers(0, 10, (count, FIELDS)) + 10 * np.arange(FIELDS)).astype(np.int32)
    labels = (ids.sum(1) % 3 == 0).astype(np.float32)
    weights = random.uniform(0.5, 2, count).astype(np.float32)
    numbers = random.normal(size=(count, 2)).astype(np.float32)
    return Encoded(ids, ROWS, FIELDS, np.arange(0, ROWS, 10), dense=numbers, labels=labels, weights=weights)


TABLE = table()
TRAIN, VALID = np.arange(100), np.arange(100, 140)


def fit(folder: Path, stop_after: int = 0, **settings: Any) -> SimpleNamespace:
    """Trains into the folder, or goes on there; stops after so many steps when asked to."""
    config = TrainConfig(**{"epochs": 4, "patience": 9, "hidden": (6,), "dim": 3, "batch_size": 16, **settings})
    model = models.build(
        "deepfm", rows=ROWS, fields=FIELDS, dense=2, backend=backends.get("reference"), seed=2, dim=config.dim,
        hidden=config.hidden, dropout=config.dropout, batch_norm=config.batch_norm, init_std=0.1,
    )  # fmt: skip
    optimizer = optim.build(config.optimizer, model, lr=0.05, rows=config.rows)
    drop = np.ones(FIELDS, bool)
    batches = Batches(TABLE, TRAIN, config.batch_size or 1, 2, unknown_rate=0.1, drop_to_unknown=drop)
    left = [stop_after]

    def interrupted() -> int:
        left[0] -= 1
        return 15 if left[0] == 0 else 0

    folder.mkdir(exist_ok=True)
    run = Run.open(folder) if (folder / "run.json").exists() else Run.start(folder, {})
    result = train.fit(
        model, optimizer, batches, Batches(TABLE, VALID, shuffle=False), config, run=run, interrupted=interrupted,
        clock=lambda: 0.0,
    )  # fmt: skip
    state = {name: array.tobytes() for name, array in {**model.state_dict(), **optimizer.state_dict()}.items()}
    return SimpleNamespace(state=state, **result._asdict(), model=model)


SETTINGS: list[dict[str, Any]] = [
    {},
    {"optimizer": "sgd", "accumulate": 3, "class_weight": "balanced", "clip_norm": 0.5},
    {"optimizer": "adagrad", "batch_norm": True, "evaluations_per_epoch": 3, "lr_schedule": "cosine", "warmup": 5},
    {"optimizer": "rowwise_adagrad", "accumulate": 2, "evaluations_per_epoch": 2, "lr_schedule": "linear"},
    {"patience": 8, "evaluations_per_epoch": 4, "rows": "dense", "checkpoint_seconds": 0},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_stopped_anywhere_and_resumed_it_is_the_same_training(tmp_path: Path, settings: dict[str, Any]) -> None:
    undisturbed = fit(tmp_path / "whole", **settings)
    for steps in (1, 2, 3, 5, 7):
        folder, stops = tmp_path / str(steps), 0
        resumed = None
        while resumed is None:
            try:
                resumed = fit(folder, stop_after=steps, **settings)
            except Interrupted as stop:
                assert stop.number == 15 and f"--resume --out {folder}" in str(stop)
                stops += 1
                assert stops < 100, "no stop brings it any nearer to its end"
        assert stops > 0
        assert resumed.state == undisturbed.state
        assert resumed.history == undisturbed.history and resumed.best_epoch == undisturbed.best_epoch
        assert (folder / "history.jsonl").read_bytes() == (tmp_path / "whole" / "history.jsonl").read_bytes()


def test_checkpoints_are_made_at_evaluations_and_every_so_many_seconds(tmp_path: Path, monkeypatch) -> None:
    saved: list[tuple[str, bool]] = []
    save = Run.save

    def note(self: Run, name: str, arrays: Any, position: Any, *, best: bool) -> None:
        saved.append((name, best))
        save(self, name, arrays, position, best=best)

    monkeypatch.setattr(Run, "save", note)
    fit(tmp_path / "slow", epochs=2, checkpoint_seconds=60)
    assert [name for name, _ in saved] == ["2-0", "3-0"] and saved[0][1]
    saved.clear()
    fit(tmp_path / "quick", epochs=1, checkpoint_seconds=0)
    assert [name for name, _ in saved] == ["1-1", "1-2", "1-3", "1-4", "1-5", "1-6", "2-0"]


def test_two_files_of_arrays_at_most_are_kept(tmp_path: Path, monkeypatch) -> None:
    write = Run.write_history

    def look(self: Run) -> None:
        write(self)
        assert 1 <= len(list(self.folder.glob("step-*"))) <= 2

    monkeypatch.setattr(Run, "write_history", look)
    assert len(fit(tmp_path, checkpoint_seconds=0, epochs=6).history) == 6


def stopped(folder: Path) -> Path:
    with pytest.raises(Interrupted):
        fit(folder, stop_after=12)
    return folder


def latest(folder: Path) -> Path:
    return folder / "step-2-5.safetensors"


def best(folder: Path) -> Path:
    return folder / "step-2-0.safetensors"


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: latest(folder).write_bytes(latest(folder).read_bytes()[:-1]), "step-2-5.safetensors"),
        (lambda folder: latest(folder).unlink(), "step-2-5.safetensors"),
        (lambda folder: best(folder).write_bytes(bytes(len(best(folder).read_bytes()))), "step-2-0.safetensors"),
        (lambda folder: (folder / "run.json").write_text("{"), "run.json"),
        (lambda folder: (folder / "run.json").write_text("{}"), "run.json"),
    ],
)
def test_a_damaged_checkpoint_is_named_in_one_line(tmp_path: Path, damage: Callable[[Path], None], named: str) -> None:
    damage(stopped(tmp_path / "run"))
    with pytest.raises(InputError) as caught:
        fit(tmp_path / "run")
    assert str(tmp_path / "run" / named) in str(caught.value) and "\n" not in str(caught.value)


def test_what_killed_writers_left_is_cleaned(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run")
    (folder / ".step-2-6.safetensors.123.part").write_bytes(b"half")
    (folder / ".model.json.124.part").write_text("{")
    (folder / ".tmpAb3dE9").write_bytes(b"half")
    (folder / ".p.csv.125.part").write_text("another program's")
    shutil.copy(latest(folder), folder / "step-2-6.safetensors")
    Run.open(folder).clean()
    assert sorted(os.listdir(folder)) == [
        ".p.csv.125.part", "history.jsonl", "run.json", "step-2-0.safetensors", "step-2-5.safetensors",
    ]  # fmt: skip


def test_a_full_disk_names_the_file_and_the_checkpoint_before_is_usable(tmp_path: Path, monkeypatch) -> None:
    import safetensors.numpy

    undisturbed = fit(tmp_path / "whole")
    folder = stopped(tmp_path / "run")
    before = sorted(os.listdir(folder))
    with monkeypatch.context() as patch:

        def full(arrays: Any, path: Path) -> None:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        patch.setattr(safetensors.numpy, "save_file", full)
        with pytest.raises(
            InputError, match=r"step-3-0\.safetensors: cannot be written \(No space left on device\): make room"
        ):
            fit(folder)
    assert sorted(os.listdir(folder)) == before
    assert fit(folder).state == undisturbed.state


def test_without_a_run_nothing_stays_in_the_folder(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole")
    batches = Batches(TABLE, TRAIN, 50, 2)
    train.fit(
        whole.model,
        optim.build("sgd", whole.model, lr=0.1),
        batches,
        batches,
        TrainConfig(epochs=2),
        snapshot_dir=tmp_path,
    )
    assert os.listdir(tmp_path) == ["whole"]
