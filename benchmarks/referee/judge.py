"""Is a side right? Logits and an FM's training against the formulas in float64, DeepFM's against the reference backend.

    logit = sum_f w_f + 1/2 (|sum_f v_f|^2 - sum_f |v_f|^2) + MLP([v_1 .. v_F, numbers])      Rendle, ICDM 2010

Bounds: a logit by LOGIT times the largest, at least 1; a loss by LOSS; a row after the checked steps by CHANGE of its
largest change plus two roundings. A side with an update rule of its own is held to the first loss, one with initial
weights of its own to falling losses and, where quality is judged, to its area under the curve.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.referee.problem import ADAM_RATE, CHECKED, RATE, Problem

LOGIT, LOSS, CHANGE = 1e-5, 1e-5, 2e-2


def formula(problem: Problem, samples: np.ndarray) -> np.ndarray:
    """[B] float64 logits of these samples from the initial weights."""
    rows = problem.rows[problem.ids[samples]].astype(np.float64)
    e = rows[..., : problem.dim]
    logits = rows[..., problem.dim].sum(1) + 0.5 * (e.sum(1) ** 2 - (e * e).sum(1)).sum(1)
    if problem.hidden:
        x = np.concatenate([e.reshape(len(e), -1), problem.numbers[samples]], axis=1)
        for layer in problem.layers[:-1]:
            x = np.maximum(x @ layer, 0.0)
        logits += (x @ problem.layers[-1])[:, 0]
    return logits


def fm_training(problem: Problem) -> list[float]:
    """Losses of the first CHECKED steps of an FM and the probed rows after them, in float64: log-loss, Adagrad on the
    rows (Duchi et al., JMLR 2011) with dw = sum g and dv = sum g S - (sum g) v, Adam on the bias."""
    batches = [problem.batch_ids(number) for number in range(CHECKED)]
    touched = np.unique(np.concatenate(batches))
    rows = problem.rows[touched].astype(np.float64)
    state, dim = np.full_like(rows, problem.accumulator), problem.dim
    bias, first, second, losses = 0.0, 0.0, 0.0, []
    for step, ids in enumerate(batches, 1):
        labels, place = problem.labels[problem.samples(step - 1)], np.searchsorted(touched, ids)
        e = rows[place]
        total = e.sum(1)
        squares = (e[..., :dim] ** 2).sum((1, 2))
        logits = bias + total[:, dim] + 0.5 * ((total[:, :dim] ** 2).sum(1) - squares)
        losses.append(float(np.mean(np.logaddexp(0.0, logits) - labels * logits)))
        g = (1 / (1 + np.exp(-logits)) - labels) / len(labels)
        total[:, dim] = 1.0
        gradient = _summed(place, g[:, None] * total, len(rows))
        gradient[:, :dim] -= gradient[:, dim:] * rows[:, :dim]
        state += gradient**2
        rows -= RATE * gradient / np.sqrt(state)
        first, second = 0.9 * first + 0.1 * g.sum(), 0.999 * second + 0.001 * g.sum() ** 2
        bias -= ADAM_RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return [*losses, *rows[np.searchsorted(touched, problem.probes)].reshape(-1).tolist()]


def _summed(place: np.ndarray, source: np.ndarray, rows: int) -> np.ndarray:
    """[rows, C]: the samples' sources [B, C], summed over the entries place [B, F] of each row."""
    columns = (np.bincount(place.reshape(-1), np.repeat(column, place.shape[1]), rows) for column in source.T)
    return np.stack(list(columns), axis=1)


def wrong_logits(found: Sequence[float], truth: np.ndarray) -> str:
    """ "" or by how much they are wrong."""
    if len(found) != len(truth):
        return f"{len(found)} values instead of {len(truth)}"
    gap = float(np.abs(np.asarray(found) - truth).max())
    return "" if gap <= LOGIT * max(1.0, float(np.abs(truth).max())) else f"wrong by {gap:.1e}"


def wrong_training(found: Sequence[float], truth: Sequence[float], before: np.ndarray, judged: str) -> str:
    """ "" or what is wrong; found and truth are losses, then rows; ``before`` [k, D + 1] the initial rows."""
    losses = np.asarray(found[:CHECKED])
    if judged == "own":
        return "" if np.isfinite(found).all() and found[-1] < found[0] else f"losses do not fall: {found}"
    if judged == "first":
        return wrong_losses(losses[:1], truth[:1])
    return wrong_losses(losses, truth[:CHECKED]) or wrong_rows(found[CHECKED:], truth[CHECKED:], before)


def wrong_losses(found: Sequence[float] | np.ndarray, truth: Sequence[float]) -> str:
    """ "" or by how much."""
    gap = float(np.abs(np.asarray(found) - np.asarray(truth)).max())
    return "" if gap <= LOSS else f"losses wrong by {gap:.1e}"


def wrong_rows(found: Sequence[float], truth: Sequence[float], before: np.ndarray) -> str:
    """ "" or by how much of a row's change."""
    if len(found) != len(truth):
        return f"{len(found)} weights instead of {len(truth)}"
    ours, theirs = (np.reshape(np.asarray(values), before.shape) for values in (truth, found))
    change = np.abs(ours - before).max(axis=1, keepdims=True)
    rounding = 2 * np.spacing(np.abs(before).astype(np.float32))
    excess = np.abs(theirs - ours) - CHANGE * change - rounding
    if not np.isfinite(excess).all():
        return "rows are not finite"
    return "" if (excess <= 0).all() else f"rows wrong by {float(np.abs(theirs - ours).max()):.1e}"


def area(logits: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve, ties counted half."""
    _, place, counts = np.unique(logits, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positive = labels > 0.5
    wins = ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(wins / (positive.sum() * (~positive).sum()))
