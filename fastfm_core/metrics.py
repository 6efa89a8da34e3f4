"""How good predictions are: AUC and its standard error, log-loss, normalized entropy, calibration, RMSE, MAE.

Labels [N] are 0 or 1 (real numbers for RMSE and MAE), scores and probabilities [N] floats; everything is computed in
float64. What is undefined (the AUC of one class, say) is NaN.

Sources: Hanley & McNeil, "The Meaning and Use of the Area under a ROC Curve", Radiology 143, 1982 (AUC as the
Mann-Whitney statistic, its standard error); He et al., "Practical Lessons from Predicting Clicks on Ads at Facebook",
ADKDD 2014 (normalized entropy, calibration).
"""

from __future__ import annotations

import math

import numpy as np

NAN = float("nan")


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


def binary(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Everything about probabilities of 0/1 labels, named as in the metrics file."""
    area, positives = auc(labels, probabilities), int(np.sum(np.asarray(labels) > 0.5))
    return {
        "rows": len(labels),
        "positives": positives,
        "auc": area,
        "auc_se": auc_standard_error(area, positives, len(labels) - positives),
        "logloss": log_loss(labels, probabilities),
        "normalized_entropy": normalized_entropy(labels, probabilities),
        "calibration": calibration(labels, probabilities),
    }


def regression(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Everything about predictions of real-valued labels, named as in the metrics file."""
    return {"rows": len(labels), "rmse": rmse(labels, predictions), "mae": mae(labels, predictions)}
