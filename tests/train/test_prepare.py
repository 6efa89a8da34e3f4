"""From files to encoded parts: what is cut from DATA, what is fitted on training rows, which columns may be leaks."""

from __future__ import annotations

import numpy as np
import pytest

from fastfm_core.errors import InputError
from fastfm_core.leaks import sampled
from fastfm_core.prepare import prepare
from fastfm_core.source import Source

N = 400


def write(path, **columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text(",".join(columns) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def table(seed=0, n=N, **more):
    random = np.random.default_rng(seed)
    clicked = (random.random(n) < 0.3).astype(int)
    columns = {"city": random.integers(0, 9, n), "size": random.normal(size=n).round(3), "clicked": clicked}
    return columns | {name: make(random, clicked) for name, make in more.items()}


def sizes(prepared) -> dict[str, int]:
    return {name: len(part.rows) for name, part in prepared.parts.items()}


def test_parts_are_cut_seven_to_one_to_two_and_stratified(tmp_path):
    prepared = prepare(Source(write(tmp_path / "ads.day1.csv", **table()), label="clicked"), seed=3)
    assert sizes(prepared) == {"train": 280, "valid": 40, "test": 80}
    assert prepared.name == "ads" and prepared.label == "clicked"
    everything = np.concatenate([part.rows for part in prepared.parts.values()])
    assert sorted(everything) == list(range(N))
    base = np.mean(prepared.parts["train"].encoded.labels)
    for part in prepared.parts.values():
        assert abs(part.labels.mean() - base) < 1 / len(part.rows)


def test_the_seed_alone_decides_the_split(tmp_path):
    path = write(tmp_path / "data.csv", **table())
    first, again, other = (prepare(Source(path, label="clicked"), seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.parts["test"].rows, again.parts["test"].rows)
    assert not np.array_equal(first.parts["test"].rows, other.parts["test"].rows)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("valid",), {"train": 311, "valid": 50, "test": 89}),
        (("test",), {"train": 350, "valid": 50, "test": 50}),
        (("valid", "test"), {"train": 400, "valid": 50, "test": 50}),
    ],
)
def test_files_replace_parts_whole(tmp_path, given, expected):
    path = write(tmp_path / "data.csv", **table())
    other = write(tmp_path / "other.csv", **table(seed=1, n=50))
    prepared = prepare(Source(path, label="clicked", **dict.fromkeys(given, other)), seed=0)
    assert list(prepared.parts) == ["train", "valid", "test"]
    assert sizes(prepared) == pytest.approx(expected, abs=1)


def test_vocabularies_know_the_training_rows_alone(tmp_path):
    columns = table()
    path = write(tmp_path / "data.csv", **columns)
    new = table(seed=1, n=50)
    new["city"] = np.where(np.arange(50) < 20, 99, new["city"])
    prepared = prepare(
        Source(path, label="clicked", test=write(tmp_path / "new.csv", **new), categorical="city"), seed=0
    )
    assert prepared.parts["test"].unseen_id_share == {"city": 20 / 50}
    assert prepared.parts["train"].unseen_id_share == {"city": 0.0}


def test_every_column_is_named_in_the_notes(tmp_path):
    columns = table() | {"row": np.arange(N)}
    source = Source(write(tmp_path / "data.csv", **columns), label="size>=0.5", drop="clicked", id="row")
    notes = prepare(source, seed=0).notes
    assert notes[0] == "label size: 1 where size >= 0.5"
    assert [note.partition(":")[0] for note in notes[1:]] == ["city", "clicked", "row"]
    assert "dropped" in notes[2] and "dropped" in notes[3]


def test_without_data_the_bundled_set_is_read():
    prepared = prepare(Source(), seed=0)
    assert (prepared.name, prepared.label) == ("coupon", "Y")
    assert sum(sizes(prepared).values()) == 12_684
    assert prepared.encoder.fields == 25 - sum("dropped" in note for note in prepared.notes)
    assert not any("leak" in note for note in prepared.notes)


def test_a_file_without_training_labels_of_both_classes_is_refused(tmp_path):
    columns = table()
    columns["clicked"] = np.ones(N, int)
    with pytest.raises(InputError, match="all labels of the train part are 1"):
        prepare(Source(write(tmp_path / "data.csv", **columns), label="clicked"), seed=0)


def test_regression_takes_any_number(tmp_path):
    prepared = prepare(Source(write(tmp_path / "data.csv", **table()), label="size", task="regression"), seed=0)
    assert len(np.unique(prepared.parts["train"].labels)) > 100


def test_leaks_of_every_kind_are_found_and_nothing_else(tmp_path):
    columns = table(
        copy=lambda random, y: np.where(y, "yes", "no"),
        score=lambda random, y: (y + 0.01 * random.normal(size=len(y))).round(4),
        raw=lambda random, y: (-y + 0.01 * random.normal(size=len(y))).round(4),
        user=lambda random, y: np.arange(len(y)) // 2,
        noise=lambda random, y: random.integers(0, 50, len(y)),
    )
    columns["tags"] = [f"t{i % 3}|t{i % 5}" for i in range(N)]
    columns["words"] = [f"w{i % 4}|v{y}" for i, y in enumerate(columns["clicked"])]
    path = write(tmp_path / "data.csv", **columns)
    source = Source(
        path, label="clicked", categorical="user,copy,noise", numeric="size,score,raw:raw", multihot="tags:|,words:|"
    )
    notes = prepare(source, seed=0, min_count=1).notes
    warned = [note.split("'")[1] for note in notes if note.startswith("warning")]
    assert sorted(warned) == ["copy", "raw", "score", "words"]


def test_a_large_part_is_judged_by_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr("fastfm_core.leaks.LEAK_ROWS", 100)
    assert len(sampled(np.arange(280))) == 94
    path = write(tmp_path / "data.csv", **table(copy=lambda random, y: y))
    warnings = [note for note in prepare(Source(path, label="clicked"), seed=0).notes if "leak" in note]
    assert len(warnings) == 1 and "'copy'" in warnings[0]
