"""Users and items in tables of their own, visits that join them, models that are trained on these when asked for."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfm_core import cli
from fastfm_core.data import cache

Rows = list[dict[str, Any]]
USERS, ITEMS, COLD, K = 12, 18, 3, 6
TIME = 5_000
SIDES = ["--user", "user,age,city", "--item", "item,genres,price"]
QUICK = ["--set", "dim=4", "--set", "hidden=8", "--set", "epochs=3", "--set", "lr=0.05", "--set", "batch_size=64",
         "--set", "min_count=1"]  # fmt: skip
IDS = ["--categorical", "user,item,city", *QUICK]
COMMON = [*SIDES, *IDS, "--multihot", "genres:|", "--numeric", "age,price", "--drop", "time,stars"]
CONFIGS = {
    "raw": '[columns.age]\ntype = "numeric"\nuse = "raw"\n[columns.price]\ntype = "numeric"\nuse = "first,raw"\n',
    "dims": '[columns.city]\ntype = "categorical"\ndim = 2\n[columns.item]\ntype = "categorical"\ndim = 7\n',
    "cross": '[columns.both]\ntype = "cross"\ncolumns = ["city", "genres"]\nbuckets = 30\nuse = "first,pairs"\n',
    "history": '[columns.past]\ntype = "history"\ncolumn = "item"\nuser = "user"\ntime = "time"\nshare = "item"\n',
    "numbers": '[columns.age]\ntype = "numeric"\nuse = "raw"\n',
}
TRAININGS: dict[str, list[str]] = {
    **{name: ["--model", name, *COMMON] for name in ("mf", "fm", "deepfm", "neumf", "two_tower", "fwfm")},
    "raw": ["--model", "deepfm", *SIDES, *IDS, "--drop", "time,stars", "--set", "batch_norm=true"],
    "dims": ["--model", "deepfm", *SIDES, *QUICK, "--categorical", "user", "--drop", "time,stars"],
    "cross": ["--model", "fm", *COMMON],
    "history": ["--model", "deepfm", *COMMON],
    "regression": ["--model", "fm", *COMMON[:-1], "time,label", "--label", "stars", "--task", "regression"],
    "two columns": ["--model", "mf", *QUICK, "--drop", "time,stars,genres,price,age,city"],
    "numbers": ["--model", "deepfm", *QUICK, "--drop", "time,stars,genres,price,city,user"],
    "nothing named": ["--model", "fm", *IDS, "--drop", "time,stars"],
    "alike": ["--model", "fm", *QUICK, "--drop", "time,stars,user,item,price"],
}


def users() -> Rows:
    """The last are none that training knows."""
    random = np.random.default_rng(1)
    ages = random.integers(18, 70, USERS + COLD)
    return [
        {"user": 2**64 - 1 - 7 * k, "age": int(ages[k]) if k % 5 else "", "city": f"c{k % 4 if k < USERS else 99}"}
        for k in range(USERS + COLD)
    ]


def items() -> Rows:
    """As many numbers with one digit as with two, in no order; the last are none that training knows."""
    random = np.random.default_rng(2)
    prices = random.lognormal(size=ITEMS + COLD).round(2)
    numbers = random.permutation(np.arange(2, 2 + ITEMS)).tolist() + list(range(100, 100 + COLD))
    return [
        {"item": n, "genres": "|".join(f"g{(n + j) % 7}" for j in range(n % 4)), "price": prices[k]}
        for k, n in enumerate(numbers)
    ]


def visits() -> Rows:
    random = np.random.default_rng(0)
    found = []
    for time in range(500):
        user, item = users()[int(random.integers(USERS))], items()[int(random.integers(ITEMS))]
        liked = int((user["user"] + item["item"] + int(random.integers(2))) % 3 == 0)
        found.append({**user, **item, "time": time, "label": liked, "stars": 1 + 2 * liked + time % 2})
    return found


def write(path: str | Path, rows: Rows) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read(path: str | Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder where models are trained when a test first asks for them."""
    folder = tmp_path_factory.mktemp("models")
    write(folder / "visits.csv", visits())
    with pytest.MonkeyPatch.context() as patch:
        (folder / "tables").mkdir()
        patch.setenv(cache.VARIABLE, str(folder / "tables"))
        yield folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """users.csv, with a time for histories, items.csv and seen.csv in the working folder."""
    monkeypatch.chdir(tmp_path)
    write("users.csv", [{**user, "time": TIME - k} for k, user in enumerate(users())])
    write("items.csv", items())
    write("seen.csv", [{name: row[name] for name in ("item", "user")} for row in visits()[:60]])
    return tmp_path


def model_of(models: Path, name: str) -> str:
    out = models / name
    if not out.exists():
        command = ["train", str(models / "visits.csv"), *TRAININGS[name], "--backend", "native", "--out", str(out)]
        if name in CONFIGS:
            (models / f"{name}.toml").write_text(CONFIGS[name])
            command += ["--config", str(models / f"{name}.toml")]
        assert cli.main(command) == 0
    return str(out)


def command(model: str, *options: str, out: str = "out.csv") -> list[str]:
    given = ["--users", "users.csv", "--items", "items.csv", "--k", str(K), "--out", out]
    return ["recommend", model, *given, *options]
