"""How good predictions are: AUC and its standard error, average precision, log-loss, normalized entropy, calibration,
RMSE, MAE, and within groups GAUC, HR@k and NDCG@k.

Labels [N] are 0 or 1 (real numbers for RMSE and MAE), scores and probabilities [N] floats; everything is computed in
float64 and unweighted. What is undefined (the AUC of one class, say) is NaN. Groups [N] are whole numbers from 0, of a
user or a query, say. Equal scores count as the mean over all their orders, so no metric depends on the order of rows.

Sources: Hanley & McNeil, "The Meaning and Use of the Area under a ROC Curve", Radiology 143, 1982 (AUC as the
Mann-Whitney statistic, its standard error); He et al., "Practical Lessons from Predicting Clicks on Ads at Facebook",
ADKDD 2014 (normalized entropy, calibration); Zhu et al., "Optimized Cost per Click in Taobao Display Advertising", KDD
2017, and "Deep Interest Network", KDD 2018 (GAUC); Järvelin & Kekäläinen, TOIS 2002 (NDCG); McSherry & Najork,
"Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores", ECIR 2008.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

NAN = float("nan")
CUT = 10  # k of HR@k and NDCG@k in the metrics file


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)) in float64, [N], without overflow: exp only ever sees numbers <= 0."""
    logits = np.asarray(logits, np.float64)
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The chance that a positive scores above a negative, a tie counting one half; NaN when one class is missing."""
    positive = np.asarray(labels) > 0.5
    scores = np.asarray(scores, np.float64)
    positives, negatives = np.sort(scores[positive]), np.sort(scores[~positive])
    if not len(positives) or not len(negatives):
        return NAN
    below = np.searchsorted(negatives, positives, "left").sum()
    up_to = np.searchsorted(negatives, positives, "right").sum()
    return (int(below) + int(up_to)) / (2 * len(positives) * len(negatives))


def auc_standard_error(area: float, positives: int, negatives: int) -> float:
    """sqrt((A(1-A) + (P-1)(Q1-A^2) + (N-1)(Q2-A^2)) / PN) with Q1 = A/(2-A), Q2 = 2A^2/(1+A): Hanley & McNeil."""
    if not positives or not negatives:
        return NAN
    two_positives, two_negatives = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (positives - 1) * (two_positives - area**2)
    spread += (negatives - 1) * (two_negatives - area**2)
    return math.sqrt(max(spread, 0.0) / (positives * negatives))


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve as a step function: the sum of precision times the recall gained, over
    the distinct scores from the highest down; NaN without a positive."""
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    positive, ordered = np.asarray(labels)[order] > 0.5, np.asarray(scores, np.float64)[order]
    if not positive.any():
        return NAN
    lasts = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    found = np.cumsum(positive)[lasts]
    return float(np.sum(np.diff(found, prepend=0) * (found / (lasts + 1))) / found[-1])


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of -y ln p - (1-y) ln(1-p), in nats; p is kept one float64 epsilon away from 0 and 1."""
    labels = np.asarray(labels, np.float64)
    epsilon = np.finfo(np.float64).eps
    p = np.clip(np.asarray(probabilities, np.float64), epsilon, 1 - epsilon)
    return float(-np.mean(labels * np.log(p) + (1 - labels) * np.log1p(-p))) if len(p) else NAN


def normalized_entropy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Log-loss over the log-loss of always answering these labels' own base rate; below 1 is better than that."""
    labels = np.asarray(labels, np.float64)
    base = float(np.mean(labels)) if len(labels) else NAN
    if not 0 < base < 1:
        return NAN
    return log_loss(labels, probabilities) / -(base * math.log(base) + (1 - base) * math.log1p(-base))


def calibration(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean prediction over mean label; 1 is perfect. NaN without a positive label."""
    total = float(np.sum(labels, dtype=np.float64))
    return float(np.sum(probabilities, dtype=np.float64)) / total if total else NAN


def rmse(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Root of the mean squared error, in the label's unit."""
    errors = np.asarray(predictions, np.float64) - np.asarray(labels, np.float64)
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else NAN


def mae(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean absolute error, in the label's unit."""
    errors = np.asarray(predictions, np.float64) - np.asarray(labels, np.float64)
    return float(np.mean(np.abs(errors))) if len(errors) else NAN


class Ranked(NamedTuple):
    """Rows sorted by group, then by falling score.

    positive    [N] bool
    group       [N] number of the row's group, from 0 without gaps
    place       [N] position within the group, from 0
    run         [N] number of the row's run of equal scores within a group, from 0
    first, end  [R] places where each run begins and where the next one would
    """

    positive: np.ndarray
    group: np.ndarray
    place: np.ndarray
    run: np.ndarray
    first: np.ndarray
    end: np.ndarray

    def per_group(self, values: np.ndarray) -> np.ndarray:
        """The sums of values [N] over each group, [G]."""
        return np.bincount(self.group, values)

    def share(self) -> np.ndarray:
        """[N] share of positives in the row's run: its expected label over all orders of equal scores."""
        return (np.bincount(self.run, self.positive) / (self.end - self.first))[self.run]


def ranked(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> Ranked:
    """The rows in the order that metrics of groups look at."""
    scores, groups = np.asarray(scores, np.float64), np.asarray(groups)
    order = np.lexsort((-scores, groups))
    score, name = scores[order], groups[order]
    new_group = np.append(True, name[1:] != name[:-1])[: len(name)]
    new_run = new_group | np.append(True, score[1:] != score[:-1])[: len(name)]
    group, run = np.cumsum(new_group) - 1, np.cumsum(new_run) - 1
    place = np.arange(len(name)) - np.flatnonzero(new_group)[group]
    first = place[new_run]
    return Ranked(np.asarray(labels)[order] > 0.5, group, place, run, first, first + np.bincount(run))


def grouped_auc(rows: Ranked) -> float:
    """GAUC: the mean of the AUCs of all groups with both classes, each counting by its number of rows."""
    size, positives = rows.per_group(np.ones(len(rows.group))), rows.per_group(rows.positive)
    pairs = positives * (size - positives)
    middle = ((rows.first + rows.end - 1) / 2)[rows.run]  # mean place of the row's run
    above = rows.per_group(np.where(rows.positive, middle, 0.0)) - positives * (positives - 1) / 2
    both = pairs > 0
    if not both.any():
        return NAN
    return float(np.average(1 - above[both] / pairs[both], weights=size[both]))


def hit_rate(rows: Ranked, k: int) -> float:
    """HR@k: the share of the groups with a positive that have one among their k highest scores.

    A run of m equal scores with p positives of which t fit among the k hits with probability 1 - C(m-p, t) / C(m, t).
    """
    positives = np.bincount(rows.run, rows.positive)
    size, fitting = rows.end - rows.first, np.clip(k - rows.first, 0, rows.end - rows.first)
    missed = np.ones(len(size))
    for drawn in range(k):
        left = size - drawn
        chance = np.clip(left - positives, 0, None) / np.maximum(left, 1)
        missed *= np.where(drawn < fitting, chance, 1.0)
    group_of_run = rows.group[np.flatnonzero(np.diff(rows.run, prepend=-1))]
    missed_by_group = np.multiply.reduceat(missed, np.flatnonzero(np.diff(group_of_run, prepend=-1)))
    judged = rows.per_group(rows.positive) > 0
    return float(np.mean(1 - missed_by_group[judged])) if judged.any() else NAN


def ndcg(rows: Ranked, k: int) -> float:
    """NDCG@k with gain 1 and discount 1 / log2(place + 2), the mean over the groups with a positive."""
    discount = np.where(rows.place < k, 1 / np.log2(rows.place + 2.0), 0.0)
    gained = rows.per_group(discount * rows.share())
    positives = rows.per_group(rows.positive).astype(np.int64)
    ideal = np.append(0.0, np.cumsum(1 / np.log2(np.arange(k) + 2.0)))[np.minimum(positives, k)]
    judged = positives > 0
    return float(np.mean(gained[judged] / ideal[judged])) if judged.any() else NAN


def grouped(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Everything about 0/1 labels within groups, named as in the metrics file."""
    rows = ranked(labels, scores, groups)
    return {"gauc": grouped_auc(rows), f"hr@{CUT}": hit_rate(rows, CUT), f"ndcg@{CUT}": ndcg(rows, CUT)}


def binary(labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None = None) -> dict[str, float]:
    """Everything about probabilities of 0/1 labels, named as in the metrics file; with groups what ``grouped`` says."""
    area, positives = auc(labels, probabilities), int(np.sum(np.asarray(labels) > 0.5))
    return {
        "rows": len(labels),
        "positives": positives,
        "auc": area,
        "auc_se": auc_standard_error(area, positives, len(labels) - positives),
        "pr_auc": average_precision(labels, probabilities),
        "logloss": log_loss(labels, probabilities),
        "normalized_entropy": normalized_entropy(labels, probabilities),
        "calibration": calibration(labels, probabilities),
        **({} if groups is None else grouped(labels, probabilities, groups)),
    }


def regression(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Everything about predictions of real-valued labels, named as in the metrics file."""
    return {"rows": len(labels), "rmse": rmse(labels, predictions), "mae": mae(labels, predictions)}
