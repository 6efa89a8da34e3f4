"""One data set, one split, one seed: the package's model and its PyTorch twin trained on the same batches.

Both start from the same weights and follow the same rule (train.fit): early stopping on the validation AUC, plateau
schedule, best weights restored. The test part is read once, for the final AUC.

    ours   the package's default: exact Adam, rows of the batch updated and missed steps caught up when a row is read
    lazy   rows outside the batch are left alone, by Adam's moments and by L2 alike
    twin   PyTorch, torch.optim.Adam, weight_decay on the tables: every row moves at every step
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import tempfile
import time
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats

from fastfm_core import backends, models, optim, train
from fastfm_core.bench.machine import print_table
from fastfm_core.config import TrainConfig
from fastfm_core.data import Batches, Encoder, Schema
from fastfm_core.data.columns import Table
from fastfm_core.models import Model
from twin import torch_fit
from twin.torch_model import from_state

SIDES = ("ours", "lazy", "twin")
MODELS = ("fm", "deepfm")
Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


class Problem(NamedTuple):
    """A split table ready for training: the fitted encoder and the batches of its three parts."""

    encoder: Encoder
    labels: np.ndarray
    train: Batches
    valid: Batches
    test: Batches
    config: TrainConfig


def prepare(table: Table, labels: np.ndarray, schema: Schema, parts: Parts, config: TrainConfig, seed: int) -> Problem:
    """Vocabularies are fitted on the training part alone."""
    config = config.resolved(len(parts[0]))
    encoder = Encoder.fit(table, schema, parts[0], min_count=config.min_count)
    encoded = encoder.transform(table, labels)
    training = Batches(encoded, parts[0], config.batch_size or 0, seed, drop_to_unknown=encoder.drop_to_unknown)
    valid, test = (Batches(encoded, rows, 4096, shuffle=False) for rows in parts[1:])
    return Problem(encoder, labels[parts[0]], training, valid, test, config)


def build(problem: Problem, name: str, seed: int) -> Model:
    """A freshly initialised model of the package."""
    config, encoder = problem.config, problem.encoder
    rate = float(problem.labels.mean())
    return models.build(
        name,
        rows=encoder.rows,
        fields=encoder.fields,
        dense=encoder.dense,
        backend=backends.get(),
        seed=seed,
        bias=math.log(rate / (1 - rate)),
        zero_rows=encoder.zero_rows,
        dim=config.dim,
        hidden=config.hidden,
        dropout=config.dropout,
        init_std=config.init_std,
    )


def fit_ours(problem: Problem, name: str, seed: int, rows: str) -> float:
    """Test AUC of the package's model; ``rows`` as in fastfm-core train."""
    config = dataclasses.replace(problem.config, rows=rows)
    model = build(problem, name, seed)
    optimizer = optim.build("adam", model, lr=config.lr, embedding_l2=config.embedding_l2, rows=rows)
    with tempfile.TemporaryDirectory() as folder:
        train.fit(model, optimizer, problem.train, problem.valid, config, snapshot_dir=folder)
    return train.evaluate(model, problem.test)["auc"]


def fit_twin(problem: Problem, name: str, seed: int) -> float:
    """Test AUC of the PyTorch twin."""
    torch.set_num_threads(1)  # at these batch sizes more threads only wait for each other
    torch.manual_seed(seed)
    state = build(problem, name, seed).state_dict()
    model = from_state(state, problem.encoder.fields, problem.config.dropout)
    torch_fit.fit(model, problem.train, problem.valid, problem.config)
    return torch_fit.area(model, problem.test)


def compare(problem: Problem, name: str, seed: int) -> dict[str, float]:
    """Test AUC of every side."""
    areas = {}
    for side in SIDES:
        start = time.perf_counter()
        if side == "twin":
            areas[side] = fit_twin(problem, name, seed)
        else:
            areas[side] = fit_ours(problem, name, seed, "exact" if side == "ours" else side)
        print(f"  {name} seed {seed} {side}: {areas[side]:.4f} ({time.perf_counter() - start:.1f} s)", flush=True)
    return areas


def print_comparison(areas: dict[str, list[dict[str, float]]]) -> None:
    """Per model and seed the test AUC of each side, then the means, and ours - twin with its interval."""
    for name, seeds in areas.items():
        rows = [[f"{name} seed {seed}", *(area[side] for side in SIDES)] for seed, area in enumerate(seeds)]
        rows.append([f"{name} mean", *(statistics.mean(area[side] for area in seeds) for side in SIDES)])
        print_table(["test AUC", *SIDES, "ours - twin"], [[*row, row[1] - row[3]] for row in rows])
        if len(seeds) > 1:
            mean, half = paired([area["ours"] - area["twin"] for area in seeds])
            print(f"{name}: ours - twin {mean:+.4f} +- {half:.4f} (95 % interval of the paired mean)\n")


def paired(differences: list[float]) -> tuple[float, float]:
    """The mean of paired differences and half the width of its 95 % interval, by Student's t."""
    spread = statistics.stdev(differences) / math.sqrt(len(differences))
    return statistics.mean(differences), float(stats.t.ppf(0.975, len(differences) - 1)) * spread


def arguments(description: str | None, seeds: int) -> argparse.ArgumentParser:
    """The options shared by the quality scripts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=seeds, help=f"seeds 0..N-1 (default {seeds})")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in fastfm-core train")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser
