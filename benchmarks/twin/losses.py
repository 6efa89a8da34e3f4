"""The first 100 training losses of DeepFM and FM, ours and the twin's, from the same weights on the same batches.

    python benchmarks/twin/losses.py [--steps 100] [--json FILE]

Coupon data, dropout 0, Adam on every row at every step (rows=dense), no L2: nothing random is left, so the two may
differ by rounding alone.
"""

from __future__ import annotations

import argparse
import sys
from itertools import chain, count, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from comparison import MODELS, build, prepare
from fastfm_core import optim, train
from fastfm_core.config import TrainConfig
from fastfm_core.data import Categorical, Schema, read_table
from fastfm_core.data import split as splits
from fastfm_core.data.bundled import COUPON_LABEL, coupon_path
from fastfm_core.data.labels import label_values
from machine import print_header, print_table, write_json
from twin import torch_fit
from twin.torch_model import from_state

CONFIG = TrainConfig(dropout=0.0, rows="dense", embedding_l2=0.0, min_count=1)


def losses(name: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """[steps] ours and the twin's."""
    table = read_table(coupon_path())
    labels = label_values(table, COUPON_LABEL)
    schema = Schema([Categorical(column) for column in table if column != COUPON_LABEL])
    problem = prepare(table, labels, schema, splits.stratified(labels), CONFIG, seed=0)
    config = problem.config
    ours = build(problem, name, seed=0)
    twin = from_state(ours.state_dict(), problem.encoder.fields)
    optimizer = optim.build("adam", ours, lr=config.lr, embedding_l2=config.embedding_l2, rows="dense")
    twin_optimizer = torch_fit.adam(twin, config)
    batches = chain.from_iterable(problem.train.epoch(epoch) for epoch in count(1))
    pairs = [
        (
            train.train_step(ours, optimizer, batch, task="binary", step=step),
            torch_fit.step(twin, twin_optimizer, batch),
        )
        for step, batch in enumerate(islice(batches, steps), 1)
    ]
    our_losses, twin_losses = np.array(pairs).T
    return our_losses, twin_losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print_header(f"The first {options.steps} losses, dropout 0, dense Adam")
    rows, figures = [], {}
    for name in MODELS:
        ours, twin = losses(name, options.steps)
        gap = float(np.abs(ours - twin).max())
        rows.append([name, float(ours[0]), float(ours[-1]), float(twin[-1]), f"{gap:.1e}"])
        figures[name] = {"ours": ours.tolist(), "twin": twin.tolist(), "largest_difference": gap}
    print_table(["model", "first loss", "last loss", "twin's last loss", "largest difference"], rows)
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
