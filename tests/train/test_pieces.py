"""What is encoded, and the model trained on it, depend on neither threads nor the size of the pieces read."""

from __future__ import annotations

import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from clicks import entry_files, write_clicks, write_movies

from fastfm_core import cli, threads
from fastfm_core.data import Categorical, Cross, History, MultiHot, Numeric, cache, encode
from fastfm_core.data.readers import parquet, reader
from fastfm_core.prepare import prepare
from fastfm_core.source import Source

FIELDS = (
    Categorical("movie"),
    MultiHot("tags", weighted=True),
    Numeric("size", use="first,pairs,raw"),
    Numeric("size in bins", source="size", transform="quantile", bins=5),
    Cross(("movie", "user"), buckets=100),
    History("movie", user="user", share="movie", positive="label"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same clicks as CSV and as a Parquet folder, and movies to join."""
    folder = tmp_path_factory.mktemp("clicks")
    csv_file = write_clicks(folder / "clicks.csv")
    (folder / "clicks").mkdir()
    types = pyarrow.csv.ConvertOptions(column_types={"user": pyarrow.uint64()})
    table = pyarrow.csv.read_csv(csv_file, convert_options=types)
    for number, begin in enumerate((0, 250)):
        part = table.slice(begin, 250 if begin == 0 else None)
        pyarrow.parquet.write_table(part, folder / "clicks" / f"{number}.parquet", row_group_size=70)
    return {"csv": csv_file, "parquet": str(folder / "clicks"), "join": write_movies(folder / "movies.csv")}


def encoded(files, form: str, folder, monkeypatch, seed: int = 1) -> dict[str, bytes]:
    monkeypatch.setenv(cache.VARIABLE, str(folder))
    source = Source(
        files[form], label="label", join=[(files["join"], "movie")], split="group:user", weight="weight",
        drop="timestamp", declared=FIELDS,
    )  # fmt: skip
    assert not prepare(source, seed=seed).cached
    return entry_files(folder)


@pytest.fixture(autouse=True)
def numbers_fitted_on_a_sample(monkeypatch):
    """So that the sample, too, must not depend on the pieces."""
    monkeypatch.setattr(encode, "FIT_NUMBERS", 100)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_files_of_the_entry_are_the_same_bytes(files, form, tmp_path, monkeypatch, threads_restored):
    expected = encoded(files, form, tmp_path / "whole", monkeypatch)
    assert {"entry.json", "data.ids", "data.offsets", "data.values", "data.dense", "data.labels", "data.weights"} < set(
        expected
    )
    for count, size in ((1, 500), (2, 1_000), (4, 64), (4, 4 << 20)):
        threads.set_num_threads(count)
        monkeypatch.setattr(reader, "BLOCK_BYTES", size)
        monkeypatch.setattr(parquet, "BATCH_ROWS", max(size // 50, 7))
        assert encoded(files, form, tmp_path / f"{count}-{size}", monkeypatch) == expected
    assert encoded(files, form, tmp_path / "seed", monkeypatch, seed=2)["train.rows"] != expected["train.rows"]


def test_text_and_typed_columns_are_encoded_alike(files, tmp_path, monkeypatch):
    text, typed = (encoded(files, form, tmp_path / form, monkeypatch) for form in ("csv", "parquet"))
    arrays = [name for name in text if name.startswith("data.") or name.endswith(".rows")]
    assert len(arrays) == 9 and {name: text[name] for name in arrays} == {name: typed[name] for name in arrays}


def test_the_model_is_the_same_bytes(files, tmp_path, monkeypatch, threads_restored):
    command = [
        "train",
        files["csv"],
        "--join",
        f"{files['join']}:movie",
        "--multihot",
        "tags:|:weighted",
        "--seed",
        "3",
    ]
    command += ["--weight", "weight", "--set", "epochs=2", "--set", "hidden=8"]
    weights = []
    for count, size in ((1, 4 << 20), (2, 700), (4, 64)):
        monkeypatch.setenv(cache.VARIABLE, str(tmp_path / f"tables-{count}"))
        monkeypatch.setattr(reader, "BLOCK_BYTES", size)
        assert cli.main([*command, "--threads", str(count), "--out", str(tmp_path / f"model-{count}")]) == 0
        weights.append((tmp_path / f"model-{count}" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]
