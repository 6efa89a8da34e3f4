"""The first 100 training losses of FM and DeepFM, ours and the twin's, from the same weights on the same batches.

    python benchmarks/twin/losses.py [--steps 100] [--seeds 1] [--set KEY=VALUE]... [--json FILE]

Coupon data, dropout 0, exact rows, L2 of the whole table: nothing random is left, and the twin moves every row at every
step, so the two may differ by rounding alone. In float64 that rounding is out of sight, and every model and optimizer
is held to TOLERANCE: beyond it the script ends with status 1. In float32 a hidden unit whose input is zero but for
rounding is on for one and off for the other, and Adam makes much of the difference. The last columns say how much of
that is the model's own: each side against itself in float64, and PyTorch in float64 against itself with every initial
weight moved by at most a rounding to float32, a share of 2^-24. So float32 is shown, not judged.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from comparison import MODELS, Problem, build, prepare
from fastfm_core import optim, train
from fastfm_core.bench.machine import print_header, print_table, write_json
from fastfm_core.config import parse_settings
from fastfm_core.contract import Batch
from fastfm_core.data import Categorical, Schema, read_table
from fastfm_core.data import split as splits
from fastfm_core.data.bundled import COUPON_LABEL, coupon_path
from fastfm_core.data.labels import label_values
from fastfm_core.models import Model
from twin import torch_fit
from twin.torch_model import TorchFM, from_state

FIXED = ("dropout=0", "min_count=1")
TOLERANCE, ROUNDING = 1e-4, 2.0**-24
OPTIMIZERS = {"adam": torch_fit.adam, "sgd": torch_fit.sgd}


def coupon(settings: list[str]) -> Problem:
    """The first stratified split."""
    table = read_table(coupon_path())
    labels = label_values(table, COUPON_LABEL)
    schema = Schema([Categorical(column) for column in table if column != COUPON_LABEL])
    return prepare(table, labels, schema, splits.stratified(labels), parse_settings([*settings, *FIXED]), seed=0)


def batches(problem: Problem, steps: int, dtype: str) -> Iterator[Batch]:
    """The first batches of training, labels in the dtype."""
    endless = chain.from_iterable(problem.train.epoch(epoch) for epoch in count(1))
    for batch in islice(endless, steps):
        yield batch._replace(labels=batch.labels.astype(dtype))


def our_losses(problem: Problem, model: Model, steps: int, dtype: str) -> np.ndarray:
    """[steps] of the package's model, trained in place."""
    config = problem.config
    for tensor in model.parameters():
        tensor.data = tensor.data.astype(dtype)
    optimizer = optim.build(config.optimizer, model, lr=config.lr, embedding_l2=config.embedding_l2, rows=config.rows)
    numbered = enumerate(batches(problem, steps, dtype), 1)
    return np.array([train.train_step(model, optimizer, batch, task="binary", step=step) for step, batch in numbered])


def moved(twin: TorchFM, seed: int) -> TorchFM:
    """A copy in float64 whose weights are moved by shares drawn between -ROUNDING and ROUNDING."""
    copied = copy.deepcopy(twin).double()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in copied.parameters():
            weight *= 1 + ROUNDING * (2 * torch.rand(weight.shape, generator=draw, dtype=torch.float64) - 1)
    return copied


def twin_losses(problem: Problem, twin: TorchFM, steps: int, dtype: str) -> np.ndarray:
    """[steps] of a copy of the twin."""
    copied = copy.deepcopy(twin).to(getattr(torch, dtype))
    optimizer = OPTIMIZERS[problem.config.optimizer](copied, problem.config)
    return np.array([torch_fit.step(copied, optimizer, batch) for batch in batches(problem, steps, dtype)])


class Gaps(NamedTuple):
    """The largest difference between two curves of losses, one value per initialisation."""

    twin: list[float]  # ours to the twin's, both in the dtype
    ours_exact: list[float]  # ours in the dtype to ours in float64
    twin_exact: list[float]  # the twin's in the dtype to the twin's in float64
    twin_moved: list[float]  # the twin's in float64 to that with its initial weights moved


def compare_losses(problem: Problem, name: str, dtype: str, options: argparse.Namespace) -> Gaps:
    """Both sides from the same initial weights, of seeds 0 to options.seeds - 1."""
    gaps = Gaps([], [], [], [])
    for seed in range(options.seeds):
        curves = {}
        for used in {dtype, "float64"}:
            model = build(problem, name, seed=seed)
            twin = from_state(model.state_dict(), problem.encoder.fields)
            curves["ours", used] = our_losses(problem, model, options.steps, used)
            curves["twin", used] = twin_losses(problem, twin, options.steps, used)
        near = twin_losses(problem, moved(twin, seed), options.steps, "float64")
        gaps.twin.append(largest(curves["ours", dtype] - curves["twin", dtype]))
        gaps.ours_exact.append(largest(curves["ours", dtype] - curves["ours", "float64"]))
        gaps.twin_exact.append(largest(curves["twin", dtype] - curves["twin", "float64"]))
        gaps.twin_moved.append(largest(near - curves["twin", "float64"]))
    return gaps


def largest(differences: np.ndarray) -> float:
    """The largest absolute value; NaN if there is one."""
    return float(np.abs(differences).max())


def show(gaps: Sequence[float]) -> str:
    """The median over the initialisations, and how many of them lie beyond TOLERANCE."""
    return f"{np.median(gaps):.1e} ({sum(not gap <= TOLERANCE for gap in gaps)} of {len(gaps)} beyond)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=1, help="how many initialisations")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in fastfm-core train")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print_header(f"The first {options.steps} losses: largest difference, median (how many beyond {TOLERANCE})")
    rows, failed = [], []
    for optimizer in OPTIMIZERS:
        problem = coupon([*options.set, f"optimizer={optimizer}"])
        for name in MODELS:
            for dtype in ("float64", "float32"):
                gaps = compare_losses(problem, name, dtype, options)
                rows.append([name, f"{optimizer} {problem.config.lr}", dtype, *map(show, gaps)])
                if dtype == "float64" and not max(gaps.twin) <= TOLERANCE:
                    failed.append(f"{name} with {optimizer} by {max(gaps.twin):.1e}")
    compared = ["ours to the twin", "ours to its float64", "twin to its float64", "float64 twin to it moved"]
    columns = ["model", "optimizer", "dtype", *compared]
    print_table(columns, rows)
    write_json(options.json, {"columns": columns, "rows": rows})
    if failed:
        sys.exit(f"in float64 the losses differ by more than {TOLERANCE}: " + "; ".join(failed))


if __name__ == "__main__":
    main()
