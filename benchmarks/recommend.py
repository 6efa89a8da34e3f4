"""User-item pairs per second of ``recommend``: 1,000 users and 10,000 items, FM and DeepFM 64-64, D = 16.

Twenty columns of users, six of items, ids alone. The whole call is timed, from tables in memory to the ten best items
of each user. Beside it the same pairs as whole rows through ``Scorer``, for a few users: their encoding is not timed,
choosing the ten best is. Both must agree before they are timed; they take turns.

python benchmarks/recommend.py [--users 1000] [--items 10000] [--rounds 5] [--threads N] [--json FILE]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fastfm_core import backends, threads, trained
from fastfm_core.bench.machine import print_header, print_table, write_json
from fastfm_core.config import TrainConfig
from fastfm_core.contract import Batch
from fastfm_core.data import Categorical, Encoder, Schema
from fastfm_core.metrics import sigmoid
from fastfm_core.pairing import Given, Pairing
from fastfm_core.recommend import best_of, recommend
from timing import spread

USER_FIELDS, ITEM_FIELDS, VALUES, DIM, K, SAMPLED = 20, 6, 2000, 16, 10, 20
MODELS = {"FM": ("fm", ()), "DeepFM 64-64": ("deepfm", (64, 64))}
Table = dict[str, np.ndarray]


def table(side: str, fields: int, rows: int, generator: np.random.Generator) -> Table:
    """An id of its own for each row, then columns of VALUES values."""
    columns = {f"{side}{number}": generator.integers(0, VALUES, rows) for number in range(1, fields)}
    return {f"{side}0": generator.permutation(rows), **columns}


def model_of(name: str, hidden: tuple[int, ...], users: Table, items: Table) -> trained.TrainedModel:
    """Untrained, its table drawn so that pairs matter."""
    schema = Schema(map(Categorical, [*users, *items]), user=users, item=items)
    rows = max(len(users["user0"]), len(items["item0"]))
    every = {column: np.resize(values, rows) for column, values in {**users, **items}.items()}
    encoder = Encoder.fit(every, schema, min_count=1)
    config = TrainConfig(dim=DIM, hidden=hidden, init_std=0.1)
    return trained.create(
        name, encoder, config, backends.get("native"), labels=np.array([0.0, 1.0]), label="label", task="binary",
        id=None, seed=0,
    )  # fmt: skip


def whole_rows(model: trained.TrainedModel, users: Table, items: Table) -> Callable[[], list[np.ndarray]]:
    """The best scores of SAMPLED users, each with all items, from batches that are made ahead."""
    pairing = Pairing(model.encoder, Given("users", users), Given("items", items))
    every = np.arange(len(items["item0"]))
    batches: list[Batch] = [pairing.rows(user, every).take(every) for user in range(SAMPLED)]
    scorer, nothing = model.model.scorer(), every[:0]

    def best(batch: Batch) -> np.ndarray:
        scores = scorer.score(batch)
        return scores[best_of(scores, nothing, K)]

    return lambda: list(map(best, batches))


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(name: str, hidden: tuple[int, ...], users: Table, items: Table, rounds: int) -> dict[str, list[float]]:
    """Pairs per second of both ways, and their ratio, one number a round."""
    model = model_of(name, hidden, users, items)
    rows = whole_rows(model, users, items)
    apart = lambda: recommend(model, users, items, k=K)  # noqa: E731
    found = apart()["probability"].reshape(-1, K)[:SAMPLED]
    np.testing.assert_allclose(found, sigmoid(np.stack(rows())), rtol=1e-5)
    count, wide = len(users["user0"]), len(items["item0"])
    figures: dict[str, list[float]] = {"recommend": [], "whole rows": [], "ratio": []}
    for _ in range(rounds):
        pair = count * wide / seconds(apart), SAMPLED * wide / seconds(rows)
        for key, value in zip(figures, (*pair, pair[0] / pair[1]), strict=True):
            figures[key].append(value)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if options.threads:
        threads.set_num_threads(options.threads)
    print_header(f"Recommend, {options.users:,} users and {options.items:,} items, {threads.get_num_threads()} threads")
    generator = np.random.default_rng(0)
    users = table("user", USER_FIELDS, options.users, generator)
    items = table("item", ITEM_FIELDS, options.items, generator)
    figures, lines = {}, []
    for title, (name, hidden) in MODELS.items():
        figures[title] = measure(name, hidden, users, items, options.rounds)
        both = (spread(figures[title][key], 1e-6) for key in ("recommend", "whole rows"))
        lines.append([title, *both, spread(figures[title]["ratio"], digits=1)])
    print_table(["model", "million pairs/s (least-largest)", "as whole rows", "ratio"], lines)
    medians = {title: statistics.median(each["recommend"]) for title, each in figures.items()}
    write_json(options.json, {"pairs_per_second": medians, "rounds": figures, "threads": threads.get_num_threads()})


if __name__ == "__main__":
    main()
