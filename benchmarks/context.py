"""One user against 1,000 items: 20 fields and 10 numbers of the user, 6 and 3 of an item, W1's ids, D = 16.

    python benchmarks/context.py [--items 1000] [--rounds 200] [--json FILE]

whole rows   ``Scorer.score`` of all items' rows, each with the user's fields in it; the rows are made beforehand
looked up    ``Ranker``: the user's side summed once, the items looked up and scored in one go
items kept   ``Ranker`` with the items' sums at hand, as for all users of a catalogue: the user's side and the pairs

All three take turns on other users and items each time, in one process; their logits are compared first. A figure is
the median over rounds (least-largest), a ratio that of the times within a round.
"""

from __future__ import annotations

import argparse
import itertools
from functools import partial
from typing import Any

import numpy as np

from fastfm_core import backends, models
from fastfm_core.bench.machine import print_header, print_table, write_json
from fastfm_core.bench.timing import interleave
from fastfm_core.bench.workload import BATCH, DIM, FIELDS, NUMBERS, ROWS, click_log
from fastfm_core.contract import Batch, Entries
from timing import ratios, spread

USER_FIELDS, USER_NUMBERS, REQUESTS = 20, 10, 16
MODELS: dict[str, tuple[str, tuple[int, ...]]] = {
    "FM": ("fm", ()), "DeepFM 64-64": ("deepfm", (64, 64)), "DeepFM 400-400-400": ("deepfm", (400, 400, 400)),
}  # fmt: skip


class Request:
    """A user and items, as batches of each side and as whole rows."""

    def __init__(self, ids: np.ndarray, numbers: np.ndarray | None) -> None:
        count = len(ids)
        ids[:, :USER_FIELDS] = ids[0, :USER_FIELDS]
        user, items, whole = ids[:1, :USER_FIELDS], ids[:, USER_FIELDS:], ids
        dense: list[Any] = [None] * 3
        if numbers is not None:
            numbers[:, :USER_NUMBERS] = numbers[0, :USER_NUMBERS]
            parts = numbers[:1, :USER_NUMBERS], numbers[:, USER_NUMBERS:], numbers
            dense = [np.ascontiguousarray(part) for part in parts]
        self.user, self.items, self.whole = (
            Batch(Entries(np.ascontiguousarray(of).reshape(-1), of.shape[1]), own)
            for of, own in zip((user, items, whole), dense, strict=True)
        )
        assert self.whole.entries.samples == count


def measure(name: str, hidden: tuple[int, ...], count: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of the three ways, by round."""
    backend = backends.get("native")
    options = {"hidden": hidden, "dropout": 0.0} if hidden else {}
    dense = NUMBERS if hidden else 0
    model = models.build(name, rows=ROWS, fields=FIELDS, dense=dense, dim=DIM, backend=backend, init_std=0.1, **options)
    scorer = model.scorer()
    of_user = np.arange(FIELDS) < USER_FIELDS
    ranker = scorer.ranker(of_user, np.arange(NUMBERS) < USER_NUMBERS if hidden else None)
    log = click_log(REQUESTS * BATCH)
    rows = [slice(n * BATCH, n * BATCH + count) for n in range(REQUESTS)]
    requests = [Request(log.ids[r].copy(), log.numbers[r].copy() if hidden else None) for r in rows]
    kept = {id(request): ranker.items(request.items) for request in requests}
    ways = {
        "whole rows": lambda x: scorer.score(x.whole),
        "looked up": lambda x: ranker.score(ranker.users(x.user)[0], x.items),
        "items kept": lambda x: ranker.score(ranker.users(x.user)[0], kept[id(x)]),
    }
    for way in ways.values():
        np.testing.assert_allclose(way(requests[0]), ways["whole rows"](requests[0]), rtol=1e-4, atol=1e-4)
    turn = itertools.cycle(requests)
    ready = {name: lambda way=way: partial(way, next(turn)) for name, way in ways.items()}
    return interleave(ready, rounds, warm_up=5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1000, help=f"at most {BATCH}")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print_header(f"One user, {options.items:,} items")
    rows, figures = [], {}
    for label, (name, hidden) in MODELS.items():
        figures[label] = seconds = measure(name, hidden, options.items, options.rounds)
        whole = seconds["whole rows"]
        for way, taken in seconds.items():
            rows.append([label, way, spread(taken, 1e6, 0), spread(ratios(whole, taken))])
    print_table(["model", "way", "us (least-largest)", "times as fast as whole rows"], rows)
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
