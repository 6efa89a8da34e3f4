"""Ranking on MovieLens-latest-small, leave one out: NeuMF, GMF, MF and FM against popularity.

    python benchmarks/movielens_ranking.py --data PATH/joined.csv [--seeds 3] [--models mf,fm] [--set KEY=VALUE]...

Every rating is a positive. The last one of each user (by time, then by place in the file) is the test, the one before
it validates. Each positive is trained beside movies that the user has not rated, drawn anew each epoch, by the softmax
of the group. CHOSEN has each model's settings, epochs included: they are those whose held-out movies ranked best among
all on the validation rows, which `--valid N` shows after every N epochs of a training without validation and test rows.
The test is then read once, by models trained on everything else.

A test movie is ranked among 99 drawn movies that its user has not rated, and among all movies that the user has not
rated; a tie counts against it. HR@10 and NDCG@10, with standard errors over users, and the difference to popularity
(how many users rated a movie) in standard errors of the paired differences. Several seeds are averaged user by user.

The data are GroupLens's (grouplens.org/datasets/movielens/latest) and not redistributed here. joined.csv has the
columns userId, movieId, genres (separated by |), year and timestamp. FM reads genres and year too, the others user and
movie alone; in the rows called -history all read the user's last ten movies before the rating as well.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastfm_core import backends, models, optim, train
from fastfm_core.bench.machine import print_header, print_table, write_json
from fastfm_core.config import GROUP_LOSSES, TrainConfig, parse_settings
from fastfm_core.contract import Batch
from fastfm_core.data import Categorical, Encoder, History, MultiHot, Schema, read_table
from fastfm_core.data.columns import Table, factorize, numbers
from fastfm_core.data.negatives import NegativeBatches, item_fields
from fastfm_core.objective import Objective

ITEM = ("movieId", "genres", "year")
COLUMNS = [Categorical("userId"), Categorical("movieId")]
SIDE_COLUMNS = [MultiHot("genres", "|"), Categorical("year")]
SETTINGS = ("loss=softmax", "lr=0.003", "min_count=1", "batch_size=1024", "dropout=0", "hidden=64,32,16")
CANDIDATES, TOP = 99, 10


class Choice(NamedTuple):
    """A row of the table: its model and settings, negatives for each positive, movies of the history, 0: none."""

    model: str
    settings: tuple[str, ...]
    negatives: int
    history: int = 0


CHOSEN = {
    "neumf": Choice("neumf", ("dim=32", "embedding_l2=1e-5", "dropout=0.5", "epochs=8"), 20),
    "gmf": Choice("gmf", ("dim=32", "embedding_l2=1e-5", "epochs=20"), 20),
    "mf": Choice("mf", ("dim=64", "embedding_l2=1e-5", "epochs=12"), 50),
    "fm": Choice("fm", ("dim=16", "embedding_l2=1e-6", "epochs=16"), 20),
    "neumf-history": Choice("neumf", ("dim=32", "embedding_l2=1e-5", "dropout=0.5", "epochs=9"), 20, 10),
    "gmf-history": Choice("gmf", ("dim=32", "embedding_l2=1e-5", "epochs=12"), 20, 10),
    "mf-history": Choice("mf", ("dim=16", "embedding_l2=1e-6", "epochs=12"), 50, 10),
    "fm-history": Choice("fm", ("dim=16", "embedding_l2=1e-6", "epochs=12"), 20, 10),
}


class Plan(NamedTuple):
    """How one row's model is trained."""

    name: str
    model: str
    config: TrainConfig
    negatives: int
    history: int

    @classmethod
    def of(cls, name: str, options: argparse.Namespace) -> Plan:
        """The chosen one, changed by the options."""
        chosen = CHOSEN[name]
        config = parse_settings([*SETTINGS, *chosen.settings, *options.set])
        return cls(name, chosen.model, config, options.negatives or chosen.negatives, chosen.history)

    def schema(self) -> Schema:
        """The fields; a history's movies have rows of their own."""
        past = [History("movieId", length=self.history)] if self.history else []
        return Schema([*COLUMNS, *(SIDE_COLUMNS if self.model == "fm" else []), *past])


class Log(NamedTuple):
    """Ratings: table, users and movies by number [n]; of each user the rows of the last rating and the one before."""

    table: Table
    users: np.ndarray
    movies: np.ndarray
    test: np.ndarray
    valid: np.ndarray

    def without(self, *parts: np.ndarray) -> np.ndarray:
        """The rows that are in none of the parts."""
        return np.setdiff1d(np.arange(len(self.users)), np.concatenate(parts))


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

    def measures(self, scores: np.ndarray) -> list[np.ndarray]:
        """HR@10 and NDCG@10 of each user, [users] each, among the candidates and among all."""
        ranks = self.ranks(scores)
        return [gain for rank in ranks for gain in (rank < TOP, np.where(rank < TOP, 1 / np.log2(2 + rank), 0.0))]

    def of_popularity(self, log: Log, training: np.ndarray) -> list[np.ndarray]:
        """The measures of how many training rows a movie has."""
        counts = np.bincount(log.movies[training], minlength=self.out.shape[1]).astype(np.float32)
        return self.measures(np.broadcast_to(counts, self.out.shape))


class Trial:
    """One model on the training rows of the log."""

    def __init__(self, log: Log, plan: Plan, training: np.ndarray, seed: int) -> None:
        self.config, backend = (config := plan.config), backends.get()
        encoder = Encoder.fit(log.table, plan.schema(), training, min_count=config.min_count)
        self.encoded = encoder.transform(log.table, np.ones(len(log.users), np.float32))
        self.of_item = item_fields(encoder, ITEM)
        self.movies = np.unique(log.movies, return_index=True)[1]
        sides = ["item" if of_item else "user" for of_item in self.of_item.fields]
        self.model = models.build(
            plan.model, rows=encoder.rows, fields=encoder.fields, dense=0, backend=backend, seed=seed,
            bias=-math.log(plan.negatives), zero_rows=encoder.zero_rows, sides=sides,
            dim=config.dim, hidden=config.hidden, dropout=config.dropout, init_std=config.init_std,
        )  # fmt: skip
        self.optimizer = optim.build(
            config.optimizer, self.model, lr=config.lr, embedding_l2=config.embedding_l2, rows=config.rows
        )
        self.batches = NegativeBatches(
            self.encoded, training, config.batch_size, seed, users=log.users[training], items=log.movies[training],
            negatives=plan.negatives, of_item=self.of_item, grouped=config.loss_of("binary") in GROUP_LOSSES,
            plan=backend.plan_rows,
        )  # fmt: skip
        self.objective = Objective.of(config, "binary", plan.negatives)

    def epochs(self) -> Iterator[int]:
        """Trains an epoch, says its number, and so on."""
        for epoch in range(1, self.config.epochs + 1):
            self.model.train()
            for step, batch in enumerate(self.batches.epoch(epoch), (epoch - 1) * len(self.batches) + 1):
                train.train_step(self.model, self.optimizer, batch, objective=self.objective, step=step)
            self.optimizer.catch_up()
            yield epoch

    def scores(self, visits: np.ndarray) -> np.ndarray:
        """[users, movies] logits; of each user's visit, a row of the log, all but the movie counts."""
        return np.stack([self.model.predict(self._with_each_movie(visit)) for visit in visits])

    def _with_each_movie(self, visit: int) -> Batch:
        return self.encoded.take_mixed(np.full(len(self.movies), visit), self.movies, *self.of_item)


def validate(log: Log, plan: Plan, seed: int, every: int) -> None:
    """Trains without the rows of test and validation and prints how the latter rank, after every so many epochs."""
    training = log.without(log.test, log.valid)
    trial, judge = Trial(log, plan, training, seed), Ranking(log, log.valid, log.without(log.test))
    baseline = judge.of_popularity(log, training)
    for epoch in trial.epochs():
        if epoch % every == 0:
            gains = judge.measures(trial.scores(log.valid))
            cells = (shown(gain, base) for gain, base in zip(gains, baseline, strict=True))
            print(f"{plan.name} seed {seed} epoch {epoch}: " + ", ".join(cells), flush=True)


def tested(log: Log, plan: Plan, judge: Ranking, seed: int) -> list[np.ndarray]:
    """The measures on the tests, of the model trained on all other rows."""
    trial = Trial(log, plan, log.without(log.test), seed)
    for _ in trial.epochs():
        pass
    return judge.measures(trial.scores(log.test))


def test(log: Log, plans: list[Plan], seeds: int, json: str | None) -> None:
    """Prints the table."""
    known = log.without(log.test)
    judge = Ranking(log, log.test, known)
    baseline = judge.of_popularity(log, known)
    rows = [["popularity", *(shown(gain) for gain in baseline)]]
    for plan in plans:
        start = time.perf_counter()
        runs = [tested(log, plan, judge, seed) for seed in range(seeds)]
        print(f"  {plan.name}: {(time.perf_counter() - start) / seeds:.0f} s a seed", flush=True)
        gains = [np.mean(of_seeds, axis=0) for of_seeds in zip(*runs, strict=True)]
        rows.append([plan.name, *(shown(gain, base) for gain, base in zip(gains, baseline, strict=True))])
    columns = ["model", *(f"{measure}, {among}" for among in ("of 100", "of all") for measure in ("HR@10", "NDCG@10"))]
    print_table(columns, rows)
    write_json(json, {"columns": columns, "rows": rows})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="PATH", help="joined.csv")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0..N-1")
    parser.add_argument("--models", default=",".join(CHOSEN), help="all by default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in fastfm-core train")
    parser.add_argument("--negatives", type=int, metavar="K", help="drawn movies for each positive")
    parser.add_argument("--valid", type=int, metavar="N", help="rank the validation rows, after every N epochs")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    log, plans = read_log(options.data), [Plan.of(name, options) for name in options.models.split(",")]
    print_header(f"MovieLens-latest-small, leave one out, {options.seeds} seed(s), {' '.join(SETTINGS)}")
    for plan in plans:
        own = " ".join([*CHOSEN[plan.name].settings, *options.set])
        print(f"{plan.name}: {own}, {plan.negatives} negatives, history {plan.history}", flush=True)
    if options.valid:
        for plan in plans:
            for seed in range(options.seeds):
                validate(log, plan, seed, options.valid)
    else:
        test(log, plans, options.seeds, options.json)


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
