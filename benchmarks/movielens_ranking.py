"""Ranking on MovieLens-latest-small, leave one out: NeuMF, GMF, MF and FM against popularity.

    python benchmarks/movielens_ranking.py --data PATH/joined.csv [--seeds 1] [--models mf,fm] [--set KEY=VALUE]...

Every rating is a positive. The last one of each user (by time, then by place in the file) is the test, the one before
it validates. Each positive is trained beside four movies that the user has not rated, drawn anew each epoch (He et al.,
"Neural Collaborative Filtering", WWW 2017). The epoch is the one at which the held-out movies rank best, by the mean of
1 / log2(1 + rank) over the catalogue; the model is then trained anew for as many epochs on all but the tests.

A test movie is ranked among 99 drawn movies that its user has not rated, and among all movies that the user has not
rated; a tie counts against it. HR@10 and NDCG@10, with standard errors over users, and the difference to popularity
(how many users rated a movie) in standard errors of the paired differences. Several seeds are averaged user by user.

The data are GroupLens's (grouplens.org/datasets/movielens/latest) and not redistributed here. joined.csv has the
columns userId, movieId, genres (separated by |), year and timestamp. FM reads genres and year too, the others do not.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastfm_core import backends, models, optim, train
from fastfm_core.config import GROUP_LOSSES, TrainConfig, parse_settings
from fastfm_core.data import Categorical, Encoder, MultiHot, Schema, read_table
from fastfm_core.data.columns import Table, factorize, numbers
from fastfm_core.data.encoded import Encoded
from fastfm_core.data.negatives import ItemFields, NegativeBatches, item_fields
from fastfm_core.objective import Objective
from machine import print_header, print_table, write_json

ITEM = ("movieId", "genres", "year")
SCHEMAS = dict.fromkeys(("neumf", "gmf", "mf"), Schema([Categorical("userId"), Categorical("movieId")])) | {
    "fm": Schema([Categorical("userId"), Categorical("movieId"), MultiHot("genres", "|"), Categorical("year")])
}
SETTINGS = [
    "lr=0.003", "embedding_l2=1e-6", "batch_size=1024", "epochs=20", "min_count=1", "hidden=64,32,16", "dropout=0",
]  # fmt: skip
NEGATIVES, CANDIDATES, TOP = 4, 99, 10


class Log(NamedTuple):
    """Ratings: table, users and movies by number [n]; of each user the rows of the last rating and the one before."""

    table: Table
    users: np.ndarray
    movies: np.ndarray
    test: np.ndarray
    valid: np.ndarray


def read_log(path: str) -> Log:
    """The whole file."""
    table = read_table(path)
    users, movies = (factorize(table[name])[1] for name in ("userId", "movieId"))
    order = np.lexsort((numbers(table["timestamp"], "timestamp"), users))
    last = np.append(np.flatnonzero(np.diff(users[order])), len(order) - 1)
    return Log(table, users, movies, order[last], order[last - 1])


class Ranking:
    """Ranks one movie of each user by the scores [users, movies] of a model; rated movies take no part.

    wanted  [users] the movies, of the rows [users] of the log
    """

    def __init__(self, log: Log, rows: np.ndarray, training: np.ndarray) -> None:
        self.wanted, every = log.movies[rows], np.arange(len(rows))
        self.out = np.zeros((len(rows), log.movies.max() + 1), bool)
        self.out[log.users[training], log.movies[training]] = True
        rated = self.out.copy()
        rated[log.users, log.movies] = True
        draw = np.random.default_rng(0)
        unrated = [np.flatnonzero(~of_user) for of_user in rated]
        self.candidates = np.stack([draw.choice(movies, CANDIDATES, replace=False) for movies in unrated])
        self.out[every, self.wanted] = True

    def ranks(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[users] among the candidates, and among all movies; the first rank is 0."""
        own = np.take_along_axis(scores, self.wanted[:, None], 1)
        among = np.take_along_axis(scores, self.candidates, 1)
        return (among >= own).sum(1), ((scores >= own) & ~self.out).sum(1)


class Trial:
    """One model on the training rows of the log, scored after each epoch."""

    def __init__(self, log: Log, name: str, training: np.ndarray, config: TrainConfig, seed: int) -> None:
        self.config, backend = config, backends.get()
        encoder = Encoder.fit(log.table, SCHEMAS[name], training, min_count=config.min_count)
        self.encoded = encoder.transform(log.table, np.ones(len(log.users), np.float32))
        self.of_item = item_fields(encoder, ITEM)
        self.first_rows = [np.unique(numbers, return_index=True)[1] for numbers in (log.users, log.movies)]
        self.model = models.build(
            name, rows=encoder.rows, fields=encoder.fields, dense=0, backend=backend, seed=seed,
            bias=-math.log(NEGATIVES), zero_rows=encoder.zero_rows, sides=("user", "item", "", "")[: encoder.fields],
            dim=config.dim, hidden=config.hidden, dropout=config.dropout, init_std=config.init_std,
        )  # fmt: skip
        self.optimizer = optim.build(
            config.optimizer, self.model, lr=config.lr, embedding_l2=config.embedding_l2, rows=config.rows
        )
        self.batches = NegativeBatches(
            self.encoded, training, config.batch_size, seed, users=log.users[training], items=log.movies[training],
            negatives=NEGATIVES, of_item=self.of_item, grouped=config.loss_of("binary") in GROUP_LOSSES,
            plan=backend.plan_rows,
        )  # fmt: skip
        self.objective = Objective.of(config, "binary", NEGATIVES)

    def epochs(self) -> Iterator[int]:
        """Trains an epoch, says its number, and so on."""
        for epoch in range(1, self.config.epochs + 1):
            self.model.train()
            for step, batch in enumerate(self.batches.epoch(epoch), (epoch - 1) * len(self.batches) + 1):
                train.train_step(self.model, self.optimizer, batch, objective=self.objective, step=step)
            self.optimizer.catch_up()
            yield epoch

    def scores(self) -> np.ndarray:
        """[users, movies] logits."""
        users, movies = self.first_rows
        return np.stack([self.model.predict(_row_of_each(self.encoded, user, movies, self.of_item)) for user in users])


def _row_of_each(encoded: Encoded, user: int, movies: np.ndarray, of_item: ItemFields) -> Any:
    return encoded.take_mixed(np.full(len(movies), user), movies, *of_item)


def trained_scores(log: Log, name: str, config: TrainConfig, seed: int) -> np.ndarray:
    """Of the model trained on all but the tests, for as many epochs as served the validation best."""
    every = np.arange(len(log.users))
    known = np.setdiff1d(every, log.test)
    training = np.setdiff1d(known, log.valid)
    trial, judge, quality = Trial(log, name, training, config, seed), Ranking(log, log.valid, known), {}
    for epoch in trial.epochs():
        quality[epoch] = float(np.mean(1 / np.log2(2 + judge.ranks(trial.scores())[1])))
    best = max(quality, key=lambda epoch: quality[epoch])
    print(f"  {name} seed {seed}: {best} epochs, mean 1 / log2(1 + rank) {quality[best]:.4f}", flush=True)
    final = Trial(log, name, known, dataclasses.replace(config, epochs=best), seed)
    for _ in final.epochs():
        pass
    return final.scores()


def measures(ranks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """HR@10 and NDCG@10 of each user, [users] each, of the ranks among candidates and among all."""
    return [gain for rank in ranks for gain in (rank < TOP, np.where(rank < TOP, 1 / np.log2(2 + rank), 0.0))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="PATH", help="joined.csv")
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0..N-1")
    parser.add_argument("--models", default=",".join(SCHEMAS), help=f"some of {', '.join(SCHEMAS)}")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in fastfm-core train")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    log, settings = read_log(options.data), [*SETTINGS, *options.set]
    config = parse_settings(settings)
    known = np.setdiff1d(np.arange(len(log.users)), log.test)
    judge = Ranking(log, log.test, known)
    popular = np.bincount(log.movies[known], minlength=log.movies.max() + 1).astype(np.float32)
    baseline = measures(judge.ranks(np.broadcast_to(popular, (len(log.test), len(popular)))))
    print_header(f"MovieLens-latest-small, leave one out, {options.seeds} seed(s), {' '.join(settings)}")
    rows = [["popularity", *(shown(gain) for gain in baseline)]]
    for name in options.models.split(","):
        runs = [measures(judge.ranks(trained_scores(log, name, config, seed))) for seed in range(options.seeds)]
        gains = [np.mean(of_seeds, axis=0) for of_seeds in zip(*runs, strict=True)]
        rows.append([name, *(shown(gain, base) for gain, base in zip(gains, baseline, strict=True))])
    columns = ["model", *(f"{measure}, {among}" for among in ("of 100", "of all") for measure in ("HR@10", "NDCG@10"))]
    print_table(columns, rows)
    write_json(options.json, {"columns": columns, "rows": rows})


def shown(gain: np.ndarray, base: np.ndarray | None = None) -> str:
    """Mean and standard error over users, and the paired difference to the base in standard errors."""
    error = gain.std(ddof=1) / len(gain) ** 0.5
    text = f"{gain.mean():.4f} ± {error:.4f}"
    if base is None:
        return text
    difference = gain.astype(float) - base
    return f"{text} ({difference.mean() / (difference.std(ddof=1) / len(gain) ** 0.5):+.1f} SE)"


if __name__ == "__main__":
    main()
