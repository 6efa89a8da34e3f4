"""recommend: equal to predict on all pairs, sorted; what is seen, cold or equal; the same on all threads and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from fastfm_core import backends, cli, threads, trained
from fastfm_core.data import read_table
from fastfm_core.recommend import best_of, recommend

from .conftest import COLD, TIME, TRAININGS, USERS, K, command, items, model_of, read, users, write

pytestmark = pytest.mark.skipif(
    backends.why_unavailable("native") is not None, reason="the scorer is C++, which is not built here"
)


def brute_force(model: str, seen: set[tuple[str, str]]) -> dict[str, list[tuple[float, str]]]:
    """User -> (prediction, item) of all pairs that are not seen, best first, by ``predict`` on their rows."""
    pairs = [{**user, **item} for user in read("users.csv") for item in read("items.csv")]
    write("pairs.csv", pairs)
    assert cli.main(["predict", model, "pairs.csv", "--id", "item", "--out", "pairs_scored.csv"]) == 0
    found: dict[str, list[tuple[float, str]]] = {}
    for pair, scored in zip(pairs, read("pairs_scored.csv"), strict=True):
        if (pair["user"], pair["item"]) not in seen:
            score = float(scored.get("probability") or scored["prediction"])
            found.setdefault(pair["user"], []).append((score, pair["item"]))
    return {user: sorted(scored, key=lambda each: (-each[0], int(each[1]))) for user, scored in found.items()}


def require_best(expected: dict[str, list[tuple[float, str]]], found: list[dict[str, str]], score: str) -> None:
    """The rows are the expected ones, except that scores closer than rounding may change places."""
    assert list(dict.fromkeys(row["user"] for row in found)) == list(expected)
    for user, every in expected.items():
        rows, of_item = [row for row in found if row["user"] == user], {item: value for value, item in every}
        assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, min(K, len(every)) + 1)]
        assert len({row["item"] for row in rows}) == len(rows)
        for row, (value, _) in zip(rows, every, strict=False):
            assert float(row[score]) == pytest.approx(value, rel=2e-6, abs=2e-6)
            assert of_item[row["item"]] == pytest.approx(value, rel=2e-6, abs=2e-6)


@pytest.mark.parametrize("name", [name for name in TRAININGS if name not in ("nothing named", "alike")])
def test_the_best_are_those_of_predict(folder: Path, models: Path, name: str, capsys: Any) -> None:
    model, options = model_of(models, name), []
    if name == "numbers":
        options = ["--user-id", "user", "--item-id", "item"]
    capsys.readouterr()
    assert cli.main(command(model, "--seen", "seen.csv", *options)) == 0
    slow = {"cross": "both crosses users with items", "numbers": "a side has numbers alone"}.get(name)
    said = f"{slow}: every pair is encoded and scored as a whole row, which is slow\n" if slow else ""
    assert capsys.readouterr().err == said
    seen = {(row["user"], row["item"]) for row in read("seen.csv")}
    expected = brute_force(model, seen)
    score = "prediction" if name == "regression" else "probability"
    require_best(expected, read("out.csv"), score)
    scores = [value for every in expected.values() for value, _ in every]
    assert len(set(scores)) > USERS  # else any order would do


def test_a_list_is_cut_where_all_was_seen(folder: Path, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, every = model_of(models, "fm"), [(user["user"], item["item"]) for user in users() for item in items()]
    first, second = users()[0]["user"], users()[1]["user"]
    met = [pair for pair in every if pair[0] == first or (pair[0] == second and pair[1] != 100)]
    strangers = [("nobody", 100), (second, 12345), ("", "")]
    write("seen.csv", [{"item": item, "user": user, "rating": 3} for user, item in [*met, *met, *strangers]])
    capsys.readouterr()
    assert cli.main(command(model, "--seen", "seen.csv")) == 0
    assert capsys.readouterr().err == "users who have seen every item and get no row: 1\n"
    found = read("out.csv")
    assert [row["item"] for row in found if row["user"] == str(second)] == ["100"]
    assert str(first) not in {row["user"] for row in found}
    write("users.csv", users()[:1])
    for out in ("none.csv", "none.parquet"):
        assert cli.main(command(model, "--seen", "seen.csv", out=out)) == 0
    assert Path("none.csv").read_text() == "user,item,rank,probability\n"
    assert pyarrow.parquet.read_table("none.parquet").num_rows == 0


def test_equal_scores_are_ordered_by_id(folder: Path, models: Path) -> None:
    """Items whose columns are equal score alike, to the bit: as numbers where all are, else as text."""
    model = model_of(models, "alike")
    ids = ["--user-id", "user", "--item-id", "item"]
    numbers = ["10", "9", str(2**64 - 1), "-3", "009", "100", "8"]
    for order, sign in ((sorted(numbers, key=lambda text: (int(text), text)), "7"), (sorted([*numbers, "x"]), "x")):
        write("items.csv", [{"item": item, "genres": "g1"} for item in dict.fromkeys([*numbers, sign]) if item != "7"])
        assert cli.main(command(model, *ids, "--k", "100")) == 0
        found = read("out.csv")
        assert [row["item"] for row in found] == order * (USERS + COLD)
        assert len({row["probability"] for row in found[: len(order)]}) == 1
        assert cli.main(command(model, *ids, "--k", "3")) == 0
        assert [row["item"] for row in read("out.csv")] == order[:3] * (USERS + COLD)


@pytest.mark.parametrize("name", ["deepfm", "cross"])
def test_threads_and_formats_change_nothing(
    folder: Path, models: Path, name: str, threads_restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_of(models, name)
    for count in ("1", "3"):
        assert cli.main(command(model, "--threads", count, out=f"{count}.csv")) == 0
        assert threads.get_num_threads() == int(count)
    text = Path("1.csv").read_text()
    assert Path("3.csv").read_text() == text
    for table in ("users", "items"):
        columns = read_table(f"{table}.csv")
        kinds = {"user": np.uint64, "item": np.int64, "time": np.int64}
        typed = {key: pyarrow.array(np.array(column.tolist(), kinds.get(key))) for key, column in columns.items()}
        pyarrow.parquet.write_table(pyarrow.table(typed), f"{table}.parquet")
    typed = ["--users", "users.parquet", "--items", "items.parquet"]
    assert cli.main(command(model, *typed, out="typed.csv")) == 0
    assert Path("typed.csv").read_text() == text
    assert cli.main(command(model, *typed, out="out.parquet")) == 0
    table = pyarrow.parquet.read_table("out.parquet")
    assert table.column_names == ["user", "item", "rank", "probability"]
    assert table["user"].type == pyarrow.uint64() and table["user"][0].as_py() == users()[0]["user"] > 2**63
    np.testing.assert_array_equal(table["probability"], [float(row["probability"]) for row in read("1.csv")])
    capsys.readouterr()
    assert cli.main(command(model)[:-2]) == 0
    assert capsys.readouterr().out == text


def test_python_has_it_too(folder: Path, models: Path) -> None:
    assert cli.main(command(model_of(models, "deepfm"), "--seen", "seen.csv")) == 0
    seen = {name: np.array([int(row[name]) for row in read("seen.csv")]) for name in ("user", "item")}
    model = trained.load(model_of(models, "deepfm"), backends.get("reference"))
    found = recommend(model, read_table("users.csv"), read_table("items.csv"), seen=seen, k=K)
    rows = read("out.csv")
    for name in ("user", "item", "rank"):
        assert [str(value) for value in found[name].tolist()] == [row[name] for row in rows]
    np.testing.assert_allclose(found["probability"], [float(row["probability"]) for row in rows], rtol=1e-12)


def test_the_same_user_may_ask_at_several_times(folder: Path, models: Path) -> None:
    """Each row is a request with the history of its time; what the user has seen counts for all of them."""
    model, user = model_of(models, "history"), users()[0]
    write("users.csv", [{**user, "time": time} for time in (TIME, 0, TIME)])
    assert cli.main(command(model, "--seen", "seen.csv")) == 0
    found = [tuple(row.values()) for row in read("out.csv")]
    assert len(found) == 3 * K and found[:K] == found[2 * K :] != found[K : 2 * K]
    met = {row["item"] for row in read("seen.csv") if row["user"] == str(user["user"])}
    assert met and not met & {item for _, item, *_ in found}


@pytest.mark.parametrize("count", [1, 5, 200])
def test_best_of_is_a_stable_sort(count: int) -> None:
    random = np.random.default_rng(count)
    for k in (1, 3, 300):
        scores = random.integers(0, 4, count).astype(np.float32)
        seen = np.flatnonzero(random.random(count) < 0.3)
        every = [row for row in np.argsort(-scores, kind="stable").tolist() if row not in seen]
        assert best_of(scores, seen, k).tolist() == every[:k]
