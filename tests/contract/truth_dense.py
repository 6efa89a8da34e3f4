"""Ground truth of the dense kernels, the interactions, the updates and Philox; conventions as in ``truth``."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.contract import Array, DropoutKey, RowPlan, RowSource

from . import truth
from .truth import WIDE, Expected

MASK = 0xFFFFFFFF


def philox_block(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox4x32-10 of one counter in plain integers (Salmon et al., SC 2011, section 3)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


def draw(key: DropoutKey, index: int) -> int:
    """The 32-bit draw of element ``index``."""
    block, word = divmod(index, 4)
    seed = (key.seed & MASK, key.seed >> 32 & MASK)
    return philox_block((block & MASK, key.step, key.layer, block >> 32), seed)[word]


def dropout(x: Array, rate: float, key: DropoutKey) -> Expected:
    """x / (1 - rate) where the draw is not below rate * 2^32."""
    kept = np.array([draw(key, j) >= rate * 2**32 for j in range(x.size)], bool).reshape(x.shape)
    return Expected(x * kept / (1 - WIDE(rate)), np.abs(x) * kept / (1 - WIDE(rate)))


def bias_relu_dropout(x: Array, bias: Array, rate: float, key: DropoutKey | None) -> Expected:
    """max(x + bias, 0), then dropout."""
    activated, magnitude = (x + bias) * (x + bias > 0), np.abs(x) + np.abs(bias)
    if key is None or rate == 0:
        return Expected(activated, magnitude)
    return Expected(dropout(activated, rate, key).value, magnitude / (1 - WIDE(rate)))


def bias_relu_dropout_backward(grad: Array, output: Array, rate: float) -> dict[str, Expected]:
    """grad / (1 - rate) where the output is positive, and its column sums."""
    dx = np.zeros(grad.shape, WIDE)
    for place in zip(*np.nonzero(output > 0), strict=True):
        dx[place] = grad[place] / (1 - WIDE(rate))
    return {"dx": Expected(dx, np.abs(dx)), "dbias": Expected(dx.sum(axis=0), np.abs(dx).sum(axis=0))}


def matmul(left: Array, right: Array) -> Expected:
    """Row times column."""
    return Expected(
        (left[:, :, None] * right[None]).sum(axis=1), (np.abs(left)[:, :, None] * np.abs(right)[None]).sum(axis=1)
    )


def batch_norm(x: Array, gamma: Array, beta: Array, eps: float) -> dict[str, Expected]:
    """Mean and variance as E[x] and E[x^2] - E[x]^2, which extended precision allows."""
    mean, size = x.mean(axis=0), np.abs(x).mean(axis=0)
    variance = (x**2).mean(axis=0) - mean**2
    scale = gamma / np.sqrt(variance + WIDE(eps))
    return {
        "y": Expected(scale * (x - mean) + beta, np.abs(scale) * (np.abs(x) + size) + np.abs(beta)),
        "mean": Expected(mean, size),
        "variance": Expected(variance, (x**2).mean(axis=0) + size**2),
    }


def batch_norm_backward(
    grad: Array, x: Array, gamma: Array, mean: Array, variance: Array, eps: float
) -> dict[str, Expected]:
    """dx through the Jacobian of each column: dy_b/dx_a = gamma/std (1[a = b] - 1/B - xhat_a xhat_b / B)."""
    deviation = np.sqrt(variance + WIDE(eps))
    normalized = (x - mean) / deviation
    dx, magnitude = truth.zeros(x.shape)
    for h in range(x.shape[1]):
        column = normalized[:, h]
        jacobian = np.eye(len(x), dtype=WIDE) - (1 + np.outer(column, column)) / len(x)
        dx[:, h] = gamma[h] / deviation[h] * (grad[:, h] @ jacobian)
        sizes = np.eye(len(x), dtype=WIDE) + (1 + np.abs(np.outer(column, column))) / len(x)
        magnitude[:, h] = np.abs(gamma[h]) / deviation[h] * (np.abs(grad[:, h]) @ sizes)
    products = grad * normalized
    sizes = np.abs(grad) * (np.abs(x) + np.abs(mean)) / deviation
    return {
        "dx": Expected(dx, magnitude),
        "dgamma": Expected(products.sum(axis=0), sizes.sum(axis=0)),
        "dbeta": Expected(grad.sum(axis=0), np.abs(grad).sum(axis=0)),
    }


def bce_with_logits(logits: Array, labels: Array, weights: Array | None) -> dict[str, Expected]:
    """-y log p - (1 - y) log(1 - p), with log p = -log(1 + e^-z)."""
    one = WIDE(1)
    losses = labels * np.logaddexp(0 * one, -logits) + (1 - labels) * np.logaddexp(0 * one, logits)
    sigmoid = np.exp(-np.logaddexp(0 * one, -logits))
    return _weighted_mean(losses, sigmoid - labels, np.abs(logits) + losses, sigmoid + np.abs(labels), weights)


def mean_squared_error(predictions: Array, labels: Array, weights: Array | None) -> dict[str, Expected]:
    """(p - y)^2."""
    error, size = predictions - labels, np.abs(predictions) + np.abs(labels)
    return _weighted_mean(error**2, 2 * error, size**2, 2 * size, weights)


def softmax_cross_entropy(logits: Array, weights: Array | None) -> dict[str, Expected]:
    """-log p_0 with log p_c = -log sum_d exp(z_d - z_c), each difference and its sum in extended precision."""
    apart = logits[:, None, :] - logits[:, :, None]
    largest = apart.max(axis=2)
    losses = largest + np.log(np.exp(apart - largest[:, :, None]).sum(axis=2))
    softmax = np.exp(-losses)
    slopes = softmax - np.eye(1, logits.shape[1], dtype=WIDE)
    slopes[:, 0] = -softmax[:, 1:].sum(axis=1)
    sizes = np.abs(logits).max(axis=1) + losses[:, 0]
    return _weighted_mean(losses[:, 0], slopes, sizes, np.abs(slopes) + softmax, weights)


def bpr(logits: Array, weights: Array | None) -> dict[str, Expected]:
    """-log sigmoid(z_0 - z_c), averaged over c > 0."""
    apart = logits[:, 1:] - logits[:, :1]
    negatives = max(apart.shape[1], 1)
    losses = np.logaddexp(WIDE(0), apart).sum(axis=1) / negatives
    by_negative = np.exp(-np.logaddexp(WIDE(0), -apart)) / negatives
    slopes = np.concatenate([-by_negative.sum(axis=1, keepdims=True), by_negative], axis=1)
    sizes = np.abs(logits).max(axis=1) + losses
    return _weighted_mean(losses, slopes, sizes, np.abs(slopes) + 1 / WIDE(negatives), weights)


def _weighted_mean(
    losses: Array, slopes: Array, loss_sizes: Array, slope_sizes: Array, weights: Array | None
) -> dict[str, Expected]:
    w = np.ones(len(losses), WIDE) if weights is None else weights
    if len(losses) == 0:
        return {"loss": Expected(WIDE(0), WIDE(0)), "gradient": Expected(slopes, slopes)}
    share = w / w.sum()
    return {
        "loss": Expected((share * losses).sum(), (share * loss_sizes).sum()),
        "gradient": Expected((share * slopes.T).T, (share * slope_sizes.T).T),
    }


def bi_interaction(fields: Array) -> Expected:
    """sum over f < g of e_f * e_g, per dim."""
    value = np.zeros((len(fields), fields.shape[2]), WIDE)
    for f in range(fields.shape[1]):
        for g in range(f):
            value += fields[:, f] * fields[:, g]
    return Expected(value, (np.abs(fields).sum(axis=1) ** 2 + (fields**2).sum(axis=1)) / 2)


def bi_interaction_backward(grad: Array, fields: Array) -> Expected:
    """grad times the sum of the other fields."""
    value, magnitude = truth.zeros(fields.shape)
    for f in range(fields.shape[1]):
        value[:, f] = grad * np.delete(fields, f, axis=1).sum(axis=1)
        magnitude[:, f] = np.abs(grad) * (np.abs(fields).sum(axis=1) + np.abs(fields[:, f]))
    return Expected(value, magnitude)


def update(rule: str, arrays: dict[str, Array], plan: RowPlan, source: RowSource, **hyper: Any) -> dict[str, Expected]:
    """Every array after the update: the materialised gradient, then the dense rule on the plan's rows alone."""
    hyper = {key: WIDE(value) for key, value in hyper.items()}
    old = {key: array[plan.rows] for key, array in arrays.items()}
    gradient, size = truth.row_gradient(arrays["table"], plan, source)
    scale, l2 = hyper.get("grad_scale", WIDE(1)), hyper.get("l2", WIDE(0))
    g, g_size = scale * gradient + l2 * old["table"], scale * size + l2 * np.abs(old["table"])
    changed = RULES[rule](old, g, g_size, hyper)
    result = {}
    for key, array in arrays.items():
        value, magnitude = array.copy(), np.abs(array)
        value[plan.rows], magnitude[plan.rows] = changed[key]
        result[key] = Expected(value, magnitude)
    return result


def catch_up(
    rule: str, arrays: dict[str, Array], last: Array, rows: Array | None, step: int, rates: Array, **hyper: Any
) -> dict[str, Expected]:
    """Every array and last after the catch-up: row by row and step by step the dense rule with g = l2 w. Magnitudes are
    those of all steps together, each of which rounds."""
    hyper = {key: WIDE(value) for key, value in hyper.items()}
    values, magnitudes = {k: a.copy() for k, a in arrays.items()}, {k: np.abs(a) for k, a in arrays.items()}
    now = last.copy()
    for row in range(len(last)) if rows is None else rows:
        for missed in range(last[row] + 1, step + 1):
            old = {key: array[row : row + 1] for key, array in values.items()}
            g, numbers = hyper["l2"] * old["table"], {"lr": rates[missed - step - 1], "step": missed}
            for key, moved in RULES[rule](old, g, np.abs(g), hyper | numbers).items():
                values[key][row], magnitudes[key][row] = moved.value[0], magnitudes[key][row] + moved.magnitude[0]
        now[row] = step
    return {key: Expected(values[key], magnitudes[key]) for key in arrays} | {"last": Expected(now)}


def _squared_size(g: Array, g_size: Array) -> Array:
    """Magnitude of g^2: what is wrong with g by d is wrong with its square by 2 |g| d."""
    return 2 * np.abs(g) * g_size


def _sgd(old: dict, g: Array, g_size: Array, hyper: dict) -> dict[str, Expected]:
    w, lr = old["table"], hyper["lr"]
    return {"table": Expected(w - lr * g, np.abs(w) + lr * g_size)}


def _adagrad(old: dict, g: Array, g_size: Array, hyper: dict) -> dict[str, Expected]:
    w, a = old["table"], old["accumulator"] + g**2
    rate = hyper["lr"] / (np.sqrt(a) + hyper["eps"])
    return {
        "table": Expected(w - rate * g, np.abs(w) + rate * g_size),
        "accumulator": Expected(a, old["accumulator"] + _squared_size(g, g_size)),
    }


def _rowwise_adagrad(old: dict, g: Array, g_size: Array, hyper: dict) -> dict[str, Expected]:
    w, dims = old["table"], max(g.shape[1], 1)
    a = old["accumulator"] + (g**2).sum(axis=1) / dims
    rate = (hyper["lr"] / (np.sqrt(a) + hyper["eps"]))[:, None]
    return {
        "table": Expected(w - rate * g, np.abs(w) + rate * g_size),
        "accumulator": Expected(a, old["accumulator"] + _squared_size(g, g_size).sum(axis=1) / dims),
    }


def _adam(old: dict, g: Array, g_size: Array, hyper: dict) -> dict[str, Expected]:
    w, b1, b2, step = old["table"], hyper["beta1"], hyper["beta2"], hyper["step"]
    m, m_size = b1 * old["moment1"] + (1 - b1) * g, b1 * np.abs(old["moment1"]) + (1 - b1) * g_size
    v, v_size = (b2 * old["moment2"] + (1 - b2) * square for square in (g**2, _squared_size(g, g_size)))
    rate = hyper["lr"] / ((1 - b1**step) * (np.sqrt(v / (1 - b2**step)) + hyper["eps"]))
    w = w - hyper["lr"] * hyper.get("weight_decay", WIDE(0)) * w
    return {
        "table": Expected(w - rate * m, np.abs(w) + rate * m_size),
        "moment1": Expected(m, m_size),
        "moment2": Expected(v, v_size),
    }


def _ftrl(old: dict, g: Array, g_size: Array, hyper: dict) -> dict[str, Expected]:
    """z from the subgradient that the weights satisfy: 0 = z_old + w / eta_old + l1 sign(w) + ridge w where w is not
    0, so with sigma = 1/eta - 1/eta_old: z = z_old + g - sigma w = g - w / eta - l1 sign(w) - ridge w."""
    w, z, l1, ridge = old["table"], old["dual"], hyper["l1"], hyper["ridge"]
    n = old["accumulator"] + g**2
    inverse_eta = (hyper["beta"] + np.sqrt(n)) / hyper["lr"]
    start = np.where(w == 0, z, -l1 * np.sign(w) - ridge * w)
    z, z_size = start + g - inverse_eta * w, np.abs(start) + g_size + inverse_eta * np.abs(w)
    shrunk = np.sign(z) * np.maximum(np.abs(z) - l1, 0)
    return {
        "table": Expected(-shrunk / (inverse_eta + ridge), (z_size + l1) / (inverse_eta + ridge)),
        "dual": Expected(z, z_size),
        "accumulator": Expected(n, old["accumulator"] + _squared_size(g, g_size)),
    }


RULES = {
    "sgd": _sgd, "adagrad": _adagrad, "rowwise_adagrad": _rowwise_adagrad, "adam": _adam, "adamw": _adam, "ftrl": _ftrl,
}  # fmt: skip
