"""The first 100 training losses of FM and DeepFM, ours and the twin's, from the same weights on the same batches.

    python benchmarks/twin/losses.py [--steps 100] [--set KEY=VALUE]... [--json FILE]

Coupon data, dropout 0, no L2, every row updated at every step (rows=dense): nothing random is left, so the two may
differ by rounding alone. In float64 that rounding is out of sight. In float32 a hidden unit whose input is zero but for
rounding is on for one and off for the other, and Adam makes much of the difference; the last column, the twin in
float32 against itself in float64, says how much of that is the model's own.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator
from itertools import chain, count, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from comparison import MODELS, Problem, build, prepare
from fastfm_core import optim, train
from fastfm_core.config import parse_settings
from fastfm_core.contract import Batch
from fastfm_core.data import Categorical, Schema, read_table
from fastfm_core.data import split as splits
from fastfm_core.data.bundled import COUPON_LABEL, coupon_path
from fastfm_core.data.labels import label_values
from fastfm_core.models import Model
from machine import print_header, print_table, write_json
from twin import torch_fit
from twin.torch_model import TorchFM, from_state

FIXED = ("dropout=0", "rows=dense", "embedding_l2=0", "min_count=1")
OPTIMIZERS = {"adam": torch_fit.adam, "sgd": lambda model, config: torch.optim.SGD(model.parameters(), lr=config.lr)}


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
    optimizer = optim.build(config.optimizer, model, lr=config.lr, rows="dense")
    numbered = enumerate(batches(problem, steps, dtype), 1)
    return np.array([train.train_step(model, optimizer, batch, task="binary", step=step) for step, batch in numbered])


def twin_losses(problem: Problem, twin: TorchFM, steps: int, dtype: str) -> np.ndarray:
    """[steps] of a copy of the twin."""
    copied = copy.deepcopy(twin).to(getattr(torch, dtype))
    optimizer = OPTIMIZERS[problem.config.optimizer](copied, problem.config)
    return np.array([torch_fit.step(copied, optimizer, batch) for batch in batches(problem, steps, dtype)])


def compare_losses(problem: Problem, name: str, steps: int) -> list[tuple[str, float, float, float]]:
    """Per dtype its name, ours at the last step, the largest difference to the twin, and the twin's own to float64."""
    rows = []
    for dtype in ("float64", "float32"):
        model = build(problem, name, seed=0)
        twin = from_state(model.state_dict(), problem.encoder.fields)
        ours, theirs, exact = (
            our_losses(problem, model, steps, dtype),
            twin_losses(problem, twin, steps, dtype),
            twin_losses(problem, twin, steps, "float64"),
        )
        rows.append((dtype, float(ours[-1]), float(abs(ours - theirs).max()), float(abs(theirs - exact).max())))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in fastfm-core train")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print_header(f"The first {options.steps} losses, dropout 0, dense optimizers")
    rows = []
    for optimizer in OPTIMIZERS:
        problem = coupon([*options.set, f"optimizer={optimizer}"])
        for name in MODELS:
            for dtype, last, gap, own in compare_losses(problem, name, options.steps):
                rows.append([name, f"{optimizer} {problem.config.lr}", dtype, last, f"{gap:.1e}", f"{own:.1e}"])
    columns = ["model", "optimizer", "dtype", "last loss", "largest difference", "twin's own to float64"]
    print_table(columns, rows)
    write_json(options.json, {"columns": columns, "rows": rows})


if __name__ == "__main__":
    main()
