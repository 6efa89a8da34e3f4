"""RMSE of ratings on MovieLens-100k in five random folds: an FM with user, item and side features.

    python benchmarks/movielens_rating.py --data PATH/joined.csv [--set KEY=VALUE]... [--json FILE]

In each training fold a tenth of its rows is held out, and L2 and the number of epochs are those whose held-out RMSE is
least; with them the model is trained anew on the whole training fold and predicts the test fold, which nothing has seen
before. Predictions are cut to the scale of 1 to 5. The learning rate falls linearly to 0 over all epochs, of which the
chosen number is taken. Dim, rate and batch size were chosen on the held-out rows of the first training fold alone. The
data and their columns: movielens_quality.py; here rating is the label.

Published for five random folds (surpriselib.com): SVD .934, SVD++ .919.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Iterator

import numpy as np

from fastfm_core import backends, models, optim, train
from fastfm_core.bench.machine import print_header, print_table, write_json
from fastfm_core.config import TrainConfig, parse_settings
from fastfm_core.data import Batches, Categorical, Encoder, MultiHot, Schema, read_table
from fastfm_core.data.columns import Table
from fastfm_core.data.labels import label_values
from fastfm_core.schedule import rate_factor
from movielens_quality import CATEGORICAL

SCHEMA = Schema([*(Categorical(name) for name in CATEGORICAL), MultiHot("genres", "|", "mean")])
SETTINGS = ["dim=8", "lr=0.008", "lr_schedule=linear", "batch_size=256", "epochs=15", "min_count=1"]
PENALTIES = (2e-4, 3e-4, 5e-4)
FOLDS = 5


def errors(table: Table, ratings: np.ndarray, rows: np.ndarray, judged: np.ndarray, config: TrainConfig) -> Iterator:
    """The RMSE on the rows ``judged`` after each epoch of a training on ``rows``; the encoder is fitted on ``rows``."""
    encoder = Encoder.fit(table, SCHEMA, rows, min_count=config.min_count)
    encoded, backend = encoder.transform(table, ratings), backends.get()
    model = models.build(
        "fm", rows=encoder.rows, fields=encoder.fields, dense=0, backend=backend, dim=config.dim,
        bias=float(ratings[rows].mean()), zero_rows=encoder.zero_rows, init_std=config.init_std,
    )  # fmt: skip
    optimizer = optim.build(config.optimizer, model, lr=config.lr, embedding_l2=config.embedding_l2, rows=config.rows)
    batches = Batches(encoded, rows, config.batch_size, seed=0, plan=backend.plan_rows)
    valid = Batches(encoded, judged, 8192, shuffle=False)
    steps = -(-len(rows) // config.batch_size)
    for epoch in range(1, config.epochs + 1):
        model.train()
        for step, batch in enumerate(batches.epoch(epoch), (epoch - 1) * steps + 1):
            optimizer.lr = config.lr * rate_factor(config, step, config.epochs * steps)
            train.train_step(model, optimizer, batch, task="regression", step=step)
        optimizer.catch_up()
        predicted = np.clip(train.predict(model, valid, "regression"), 1, 5)
        yield float(np.sqrt(np.mean((predicted - ratings[judged]) ** 2)))


def chosen(table: Table, ratings: np.ndarray, rows: np.ndarray, config: TrainConfig) -> tuple[float, int]:
    """(L2, epochs) with the least RMSE on a tenth of the rows, trained on the others."""
    held_out, rest = np.sort(rows[: len(rows) // 10]), np.sort(rows[len(rows) // 10 :])
    found = {}
    for penalty in PENALTIES:
        tried = dataclasses.replace(config, embedding_l2=penalty)
        found |= {(penalty, n): e for n, e in enumerate(errors(table, ratings, rest, held_out, tried), 1)}
    return min(found, key=lambda choice: found[choice])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="PATH", help="joined.csv")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in fastfm-core train")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    table, settings = read_table(options.data), [*SETTINGS, *options.set]
    ratings, config = label_values(table, "rating", "regression"), parse_settings(settings)
    print_header(f"MovieLens-100k ratings, {FOLDS} random folds, FM: {' '.join(settings)}")
    order = np.random.default_rng(0).permutation(len(ratings))
    rows = []
    for fold in range(FOLDS):
        test = np.sort(order[fold::FOLDS])
        training = order[np.arange(len(order)) % FOLDS != fold]
        penalty, epochs = chosen(table, ratings, training, config)
        final = dataclasses.replace(config, embedding_l2=penalty)
        trained = list(errors(table, ratings, np.sort(training), test, final))
        rows.append([fold + 1, f"{penalty:g}", epochs, trained[epochs - 1]])
        print(f"fold {fold + 1}: L2 {penalty:g}, {epochs} epochs, RMSE {rows[-1][-1]:.4f}", flush=True)
    scores = [row[-1] for row in rows]
    print()
    print_table(["fold", "L2", "epochs", "test RMSE"], [*rows, ["mean", "", "", statistics.mean(scores)]])
    write_json(options.json, {"folds": rows, "mean": statistics.mean(scores)})


if __name__ == "__main__":
    main()
