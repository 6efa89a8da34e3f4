"""DeepFM trained in one @njit step: lookup, FM, loss and the rows' update are fastfm_numba's, the layers are np.dot.

python python/examples/curve.py FOLDER && python python/examples/deepfm_numba.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numba import njit

import curve
import fastfm_numba as fm

LR, EPS, ZERO = np.float32(curve.LR), np.float32(1e-10), np.float32(0)


@njit
def adagrad_(weight, summed, gradient):
    summed += gradient * gradient
    weight -= LR * gradient / (np.sqrt(summed) + EPS)


@njit
def step(ids, labels, rows, weights, rows_summed, weights_summed, memory):
    """One step; the loss before it. rows [V, D + 1]: the last number of a row is its first-order weight."""
    weight1, bias1, weight2, bias2, bias = weights
    first, pair, sums, deep, grad = memory
    (batch, fields), dim = ids.shape, rows.shape[1] - 1

    fm.embedding_fm(rows[:, :dim], rows[:, dim], ids, first, pair, sums, deep)
    hidden = np.maximum(np.dot(deep, weight1) + bias1, ZERO)
    logits = first + pair + np.dot(hidden, weight2) + bias2 + bias
    loss = fm.bce_with_logits(logits, labels, None, grad)

    hidden_grad = np.where(hidden > 0, np.outer(grad, weight2), ZERO)
    deep_grad = np.dot(hidden_grad, weight1.T).reshape(batch, fields, dim)
    plan = fm.plan_rows(ids, len(rows))
    source = fm.row_source(fields, pair_grad=grad, sums=sums, slot_grad=deep_grad, first_grad=grad)
    fm.update_rows_adagrad_(rows, rows_summed, plan, source, LR)

    adagrad_(weight1, weights_summed[0], np.dot(deep.T, hidden_grad))
    adagrad_(bias1, weights_summed[1], hidden_grad.sum(axis=0))
    adagrad_(weight2, weights_summed[2], np.dot(hidden.T, grad))
    adagrad_(bias2, weights_summed[3], grad.sum())
    adagrad_(bias, weights_summed[4], grad.sum())
    return loss


def main(folder: Path) -> int:
    """Trains on the folder of curve.py; 1 where the losses are not the library's, else 0."""
    given = curve.read(folder)
    rows = np.concatenate([given["table"], given["linear"][:, None]], axis=1)
    weights = tuple(given[name] for name in ("weight1", "bias1", "weight2", "bias2", "bias"))
    summed = tuple(np.full_like(weight, curve.INITIAL) for weight in (rows, *weights))
    batch, width = given["batch"], given["fields"] * given["dim"]
    shapes = (batch, batch, (batch, given["dim"]), (batch, width), batch)
    memory = tuple(np.empty(shape, np.float32) for shape in shapes)
    batches = zip(given["ids"], given["labels"], strict=True)
    losses = [step(ids, labels, rows, weights, summed[0], summed[1:], memory) for ids, labels in batches]
    return curve.show(losses, folder)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
