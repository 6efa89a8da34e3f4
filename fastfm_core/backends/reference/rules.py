"""The optimizers' rules on rows w [U, D] and their gradients g [U, D]: new weights and new states, nothing in place.

Formulas and papers: ``fastfm_core.contract``, update_rows_*.
"""

from __future__ import annotations

import numpy as np

from fastfm_core.contract import Array


def sgd(w: Array, g: Array, lr: float) -> Array:
    """w - lr g."""
    return w - lr * g


def adagrad(w: Array, a: Array, g: Array, lr: float, eps: float) -> tuple[Array, Array]:
    """a + g^2;  w - lr g / (sqrt(a) + eps)."""
    a = a + g * g
    return w - lr * g / (np.sqrt(a) + eps), a


def rowwise_adagrad(w: Array, a: Array, g: Array, lr: float, eps: float) -> tuple[Array, Array]:
    """a [U] + mean_d(g_d^2);  w - lr g / (sqrt(a) + eps). Rows of no dims add nothing."""
    a = a + (g * g).sum(axis=1) / max(w.shape[1], 1)
    return w - lr * g / (np.sqrt(a)[:, None] + eps), a


def adam(
    w: Array, m: Array, v: Array, g: Array, step: int, lr: float, beta1: float, beta2: float, eps: float, decay: float
) -> tuple[Array, Array, Array]:
    """m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
    (1 - lr decay) w - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    move = lr / (1 - beta1**step) * m / (np.sqrt(v) / (1 - beta2**step) ** 0.5 + eps)
    return (1 - lr * decay) * w - move, m, v


def ftrl(
    w: Array, z: Array, n: Array, g: Array, lr: float, beta: float, l1: float, ridge: float
) -> tuple[Array, Array, Array]:
    """n + g^2;  r = (beta + sqrt(n)) / lr;  z = (-sign(w) l1 - ridge w, where w is not 0, else z) + g - r w;
    w = -(z - sign(z) l1) / (r + ridge) where |z| > l1, else 0."""
    n = n + g * g
    r = (beta + np.sqrt(n)) / lr
    z = np.where(w != 0, -np.sign(w) * l1 - ridge * w, z) + g - r * w
    return np.where(np.abs(z) > l1, (np.sign(z) * l1 - z) / (r + ridge), 0), z, n
