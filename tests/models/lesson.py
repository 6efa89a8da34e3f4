"""The DeepFM networks of the SparrowRecSys lesson, transcribed to NumPy: one-hot columns, dense layers, concatenation.

Each function computes what the lesson's Keras code does (DeepFM.py and DeepFM_v2.py, github.com/wzhe06/SparrowRecSys):
``DenseFeatures`` of an indicator column is a one-hot row, of an embedding column that row times a matrix, ``Dense`` is
x W + b, ``Dot`` a sum of products, ``concatenate`` puts columns side by side. One value a column.
"""

from __future__ import annotations

import numpy as np


def one_hot(values: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """values [B, F], counted from 0 in each column -> F indicator matrices [B, size]."""
    return [np.eye(size)[values[:, f]] for f, size in enumerate(sizes)]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def deepfm_v1(
    indicators: list[np.ndarray], numbers: np.ndarray, embeddings: list[np.ndarray], deep_embeddings: list[np.ndarray],
    pairs: list[tuple[int, int]], layers: list[tuple[np.ndarray, np.ndarray]], head: np.ndarray, bias: float,
) -> np.ndarray:  # fmt: skip
    """Logits [B]. head: one weight for each column of [indicators, products, last hidden layer]."""
    embedded = [indicator @ matrix for indicator, matrix in zip(indicators, embeddings, strict=True)]
    products = [(embedded[left] * embedded[right]).sum(axis=1, keepdims=True) for left, right in pairs]
    deep = np.concatenate([i @ m for i, m in zip(indicators, deep_embeddings, strict=True)] + [numbers], axis=1)
    for weight, offset in layers:
        deep = relu(deep @ weight + offset)
    return np.concatenate([*indicators, *products, deep], axis=1) @ head + bias


def deepfm_v2(
    indicators: list[np.ndarray], numbers: np.ndarray, embeddings: list[np.ndarray],
    first: tuple[np.ndarray, float], first_numbers: tuple[np.ndarray, float],
    projections: list[tuple[np.ndarray, np.ndarray]], number_projection: tuple[np.ndarray, np.ndarray],
    layers: list[tuple[np.ndarray, np.ndarray]], head: np.ndarray, bias: float,
) -> np.ndarray:  # fmt: skip
    """Logits [B]. head: one weight for each column of [first order, FM vector, last hidden layer]."""
    first_order = (
        np.concatenate(indicators, axis=1) @ first[0] + first[1] + numbers @ first_numbers[0] + first_numbers[1]
    )
    columns = [
        (indicator @ matrix) @ weight + offset
        for indicator, matrix, (weight, offset) in zip(indicators, embeddings, projections, strict=True)
    ]
    stacked = np.stack([*columns, numbers @ number_projection[0] + number_projection[1]], axis=1)
    deep = stacked.reshape(len(stacked), -1)
    for weight, offset in layers:
        deep = relu(deep @ weight + offset)
    total = stacked.sum(axis=1)
    second_order = total * total - (stacked * stacked).sum(axis=1)
    return np.concatenate([first_order[:, None], second_order, deep], axis=1) @ head + bias
