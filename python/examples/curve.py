"""The loss curve that every host's example must reproduce: the library's own DeepFM on the bundled data.

    python python/examples/curve.py FOLDER [--steps N]

Writes what a trainer in any language needs, little-endian and without headers, and the library's losses:

    sizes.txt     lines "name number": steps, batch, fields, rows, dim, hidden
    ids.bin       [steps, batch, fields] int32, rows of the table
    labels.bin    [steps, batch] float32
    table.bin     [rows, dim] float32     linear.bin  [rows]      the initial weights of lookup and first order
    weight1.bin   [fields * dim, hidden]  bias1.bin  [hidden]    weight2.bin  [hidden]    bias2.bin, bias.bin  [1]
    losses.bin    [steps] float64, before each step

The model: logit = bias + bias2 + sum_f linear[id_f] + FM(e) + weight2 . relu(e weight1 + bias1) with e_f = table[id_f];
the loss: mean binary cross-entropy; the rule of all weights: Adagrad, a += g^2; w -= LR g / (sqrt(a) + 1e-10), a from
0.1. Hosts add in another order, so their losses differ by rounding: a share TOLERANCE of the loss is allowed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

LR, INITIAL, TOLERANCE = 0.05, 0.1, 1e-5
DIM, HIDDEN, BATCH = 8, 32, 256
WEIGHTS = {
    "bias": "bias", "weight1": "mlp.layers.0.weight", "bias1": "mlp.layers.0.bias", "weight2": "mlp.head.weight",
    "bias2": "mlp.head.bias",
}  # fmt: skip


def write(folder: Path, steps: int) -> None:
    """Trains the library's model for ``steps`` batches of 256 and leaves the folder's files."""
    from fastfm_core import optim, train

    model, batches = _problem(steps)
    shown = _arrays(model)
    for name, array in shown.items():
        array.tofile(folder / f"{name}.bin")
    optimizer = optim.build("adagrad", model, lr=LR, initial_accumulator=INITIAL)
    losses = [train.train_step(model, optimizer, batch, task="binary", step=s) for s, batch in enumerate(batches, 1)]
    np.array(losses).tofile(folder / "losses.bin")
    np.concatenate([batch.entries.ids for batch in batches]).astype(np.int32).tofile(folder / "ids.bin")
    np.concatenate([batch.labels for batch in batches]).tofile(folder / "labels.bin")
    rows, dim = shown["table"].shape
    sizes = {"steps": steps, "batch": BATCH, "fields": batches[0].entries.fields, "rows": rows, "dim": dim}
    text = "".join(f"{name} {number}\n" for name, number in {**sizes, "hidden": HIDDEN}.items())
    (folder / "sizes.txt").write_text(text)


def read(folder: Path) -> dict[str, Any]:
    """The folder's numbers and arrays by name, for hosts that are Python."""
    sizes = {name: int(number) for name, number in map(str.split, (folder / "sizes.txt").read_text().splitlines())}
    steps, batch, fields, rows, dim, hidden = sizes.values()
    shapes = {
        "labels": (steps, batch), "table": (rows, dim), "linear": (rows,), "weight1": (fields * dim, hidden),
        "bias1": (hidden,), "weight2": (hidden,), "bias2": (1,), "bias": (1,),
    }  # fmt: skip
    arrays = {name: np.fromfile(folder / f"{name}.bin", np.float32).reshape(shape) for name, shape in shapes.items()}
    ids = np.fromfile(folder / "ids.bin", np.int32).reshape(steps, batch, fields)
    return {**sizes, **arrays, "ids": ids, "losses": np.fromfile(folder / "losses.bin")}


def furthest(losses: Sequence[float] | np.ndarray, folder: Path) -> float:
    """The largest difference of a host's losses [steps] to the library's, as a share of the latter."""
    own = np.fromfile(folder / "losses.bin")
    return float(np.max(np.abs(np.asarray(losses, np.float64) - own) / own))


def show(losses: Sequence[float] | np.ndarray, folder: Path) -> int:
    """Prints the first and last loss and the difference to the library's; 1 where that is above TOLERANCE, else 0."""
    apart = furthest(losses, folder)
    print(f"loss {losses[0]:.6f} -> {losses[-1]:.6f}; furthest from the library's: {apart:.1e} (allowed {TOLERANCE:g})")
    return int(not apart <= TOLERANCE)


def _problem(steps: int) -> tuple[Any, list[Any]]:
    """The model, and ``steps`` whole batches of the bundled data, in which every column is a category."""
    from fastfm_core import backends, models
    from fastfm_core.data import Batches, Categorical, Encoder, Schema, read_table
    from fastfm_core.data.bundled import COUPON_LABEL, coupon_path
    from fastfm_core.data.labels import label_values

    table = read_table(coupon_path())
    labels = label_values(table, COUPON_LABEL)
    schema = Schema([Categorical(column) for column in table if column != COUPON_LABEL])
    encoder = Encoder.fit(table, schema, np.arange(len(labels)), min_count=1)
    epochs = Batches(encoder.transform(table, labels), batch_size=BATCH)
    whole = (batch for epoch in count() for batch in epochs.epoch(epoch) if len(batch.labels) == BATCH)
    model = models.build(
        "deepfm", rows=encoder.rows, fields=encoder.fields, dense=0, backend=backends.get(), dim=DIM, hidden=(HIDDEN,),
        dropout=0.0,
    )  # fmt: skip
    return model, list(islice(whole, steps))


def _arrays(model: Any) -> dict[str, np.ndarray]:
    """The model's weights by the names of their files."""
    table = model.embedding.table.data
    state = model.state_dict()
    return {
        "table": np.ascontiguousarray(table[:, :DIM]), "linear": np.ascontiguousarray(table[:, DIM]),
        **{file: state[name] for file, name in WEIGHTS.items()},
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="write the curve that hosts reproduce")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    write(options.folder, options.steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
