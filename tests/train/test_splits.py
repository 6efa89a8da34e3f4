"""Splits by time, group and order from a file's column, the time warning, and sample weights."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from clicks import write, write_clicks

from fastfm_core import cli, trained
from fastfm_core.data import read_table
from fastfm_core.errors import InputError
from fastfm_core.prepare import Prepared, prepare
from fastfm_core.source import Source

N = 400


def column(path, name: str) -> np.ndarray:
    with open(path, newline="", encoding="utf-8") as file:
        return np.array([row[name] for row in csv.DictReader(file)])


def prepared(path, **options) -> Prepared:
    return prepare(Source(path, label="label", **options), seed=5)


def parts_of(prepared: Prepared, values: np.ndarray) -> list[np.ndarray]:
    assert sorted(np.concatenate([part.rows for part in prepared.parts.values()])) == list(range(len(values)))
    return [values[part.rows] for part in prepared.parts.values()]


def timed(path: Path, times: list) -> str:
    random = np.random.default_rng(0)
    rows = zip(times, random.integers(0, 5, len(times)), random.integers(0, 2, len(times)), strict=True)
    return write(path, ["when", "city", "label"], rows)


@pytest.mark.parametrize(
    "make",
    [
        lambda k: k * 10,
        lambda k: k / 8,
        lambda k: -k,
        lambda k: f"2026-{1 + k % 12:02d}-{1 + k // 12 % 28:02d}",
        lambda k: f"2026-11-24 {k // 60:02d}:{k % 60:02d}:00",
    ],
    ids=["integers", "numbers", "negative", "dates", "times of day"],
)
def test_training_comes_before_validation_and_that_before_the_test(tmp_path, make):
    times = [make(k) for k in np.random.default_rng(1).permutation(np.arange(N) // 2).tolist()]
    parts = parts_of(prepared(timed(tmp_path / "t.csv", times), split="time:when"), np.array(times))
    train, valid, test = (part.tolist() for part in parts)
    assert max(train) < min(valid) and max(valid) < min(test)
    assert [len(part) for part in parts] == pytest.approx([280, 40, 80], abs=2)


def test_rows_of_one_time_stay_together(tmp_path):
    times = np.repeat([3, 1, 2, 4], [30, 60, 230, 80])
    parts = parts_of(prepared(timed(tmp_path / "t.csv", times.tolist()), split="time:when"), times)
    assert [sorted(set(part.tolist())) for part in parts] == [[1, 2], [3], [4]]


def test_too_few_times_are_refused(tmp_path):
    with pytest.raises(InputError, match="too few"):
        prepared(timed(tmp_path / "t.csv", [1] * 300 + [2] * 100), split="time:when")


@pytest.mark.parametrize("missing", ["", " ", "nan"])
def test_a_missing_time_is_named(tmp_path, missing):
    path = timed(tmp_path / "t.csv", [*range(20), missing, *range(20)])
    with pytest.raises(InputError, match=r"t\.csv: --split time: data row 21: '.*' is neither a number nor a date"):
        prepared(path, split="time:when")


def test_a_group_is_in_one_part(tmp_path):
    path = write_clicks(tmp_path / "clicks.csv")
    users = column(path, "user")
    train, valid, test = map(set, parts_of(prepared(path, split="group:user"), users))
    assert not (train & valid or train & test or valid & test)
    assert train | valid | test == set(users)


def test_order_cuts_the_file_where_it_stands(tmp_path):
    path = write_clicks(tmp_path / "clicks.csv", rows=N)
    rows = [part.rows.tolist() for part in prepared(path, split="order").parts.values()]
    assert rows == [list(range(280)), list(range(280, 320)), list(range(320, 400))]


def test_a_test_file_leaves_seven_to_one_for_the_others(tmp_path):
    path = write_clicks(tmp_path / "clicks.csv", rows=N)
    test = write_clicks(tmp_path / "test.csv", rows=60, seed=1)
    parts = prepared(path, split="time:timestamp", test=test).parts
    assert {name: len(part.rows) for name, part in parts.items()} == pytest.approx(
        {"train": 350, "valid": 50, "test": 60}, abs=2
    )
    assert parts["train"].rows.max() < parts["valid"].rows.min()


def test_an_unknown_split_column_is_named(tmp_path):
    with pytest.raises(InputError, match="'timestam': did you mean 'timestamp'"):
        prepared(write_clicks(tmp_path / "clicks.csv"), split="time:timestam")


def test_a_random_split_of_timed_rows_is_warned_of(tmp_path):
    path = write_clicks(tmp_path / "clicks.csv")
    other = write_clicks(tmp_path / "other.csv", rows=60, seed=1)
    warning = "warning: 'timestamp' looks like a time, and a random split trains on the future: --split time:timestamp"
    assert warning in prepared(path).notes
    for options in ({"split": "time:timestamp"}, {"split": "order"}, {"split": "random"}, {"test": other}):
        assert not any("looks like a time" in note for note in prepared(path, **options).notes)


def test_weights_reach_the_encoded_rows_and_leave_the_features(tmp_path):
    path = write_clicks(tmp_path / "clicks.csv")
    found = prepared(path, weight="weight", test=path)
    assert "weight" not in found.encoder.field_names and "weight: dropped (by --weight)" in found.notes
    expected = column(path, "weight").astype(np.float32)
    for part in found.parts.values():
        np.testing.assert_array_equal(part.encoded.weights, expected)
        assert part.encoded.take(part.rows[:5]).weights.tolist() == expected[part.rows[:5]].tolist()  # type: ignore[union-attr]
    assert prepared(path).parts["train"].encoded.weights is None


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("-1", "column 'weight', data row 3: a sample weight must be a number of at least 0"),
        ("", "column 'weight', data row 3: a sample weight must be a number of at least 0"),
        ("x", "column 'weight', data row 3: 'x' is not a finite number"),
        ("inf", "column 'weight', data row 3: 'inf' is not a finite number"),
    ],
)
def test_a_weight_that_is_none_is_named_with_its_row(tmp_path, cell, message):
    rows = [["a", 1, k % 2] for k in range(20)]
    rows[2][1] = cell
    with pytest.raises(InputError, match=message):
        prepared(write(tmp_path / "t.csv", ["x", "weight", "label"], rows), weight="weight")


def test_a_row_of_weight_zero_teaches_nothing(tmp_path):
    """The rows that weigh 0, about half of them, have the label turned round."""
    random = np.random.default_rng(0)
    city, trusted = random.integers(0, 2, 1000), random.integers(0, 2, 1000)
    label = np.where(trusted, city, 1 - city)
    path = write(tmp_path / "t.csv", ["city", "w", "label"], zip(city, trusted, label, strict=True))
    command = ["train", path, "--weight", "w", "--model", "lr", "--set", "lr=0.5", "--set", "epochs=3"]
    assert cli.main([*command, "--set", "patience=9", "--out", str(tmp_path / "m")]) == 0
    probabilities = trained.load(tmp_path / "m").predict(read_table(path))
    assert probabilities[city == 1].min() > 0.7 and probabilities[city == 0].max() < 0.3
