"""Dense helpers: bias + ReLU + dropout and its backward, dropout. Shapes and formulas: the contract."""

from __future__ import annotations

from typing import Any

from fastfm_core import random
from fastfm_core.backends.cuda.columns import column_sums
from fastfm_core.backends.cuda.device import blocks_for, column_vectors, here_or_there, instance, launch, xp
from fastfm_core.backends.cuda.shapes import WIDTHS, cut_columns
from fastfm_core.contract import DropoutKey

FILE = "dense.cu"
NAMES = ("bias_relu_dropout", "bias_relu_dropout_backward", "dropout")
INSTANCES = {FILE: [instance(name, *width) for name in NAMES for width in WIDTHS]}
NO_MASK = (0, 0, 0, 0, 0, 1.0, None, None)


def bias_relu_dropout_(x: Any, bias: Any, rate: float, key: DropoutKey | None) -> None:
    columns = x.shape[1]
    mask = NO_MASK if key is None or rate == 0 else _mask(rate, key)
    name = instance("bias_relu_dropout", x.dtype, column_vectors(columns, x, bias))
    launch(FILE, name, blocks_for(-(-x.size // 8)), x, bias, columns, x.size, mask is not NO_MASK, *mask)


def bias_relu_dropout_backward(grad: Any, output: Any, rate: float) -> tuple[Any, Any]:
    rows, columns = grad.shape
    width = column_vectors(columns, grad, output)
    cut = cut_columns(rows, columns, width)
    dx, parts = xp.empty_like(grad), xp.empty((cut.pieces, columns), grad.dtype)
    name = instance("bias_relu_dropout_backward", grad.dtype, width)
    scale = 1.0 / (1.0 - rate)
    launch(FILE, name, cut.blocks, grad, output, dx, parts, rows, columns, cut.across, cut.height, scale)
    return dx, column_sums(parts)


def dropout(x: Any, rate: float, key: DropoutKey) -> Any:
    x = xp.ascontiguousarray(x)
    out = xp.empty_like(x)
    name = instance("dropout", x.dtype, column_vectors(x.size, x.reshape(-1)))
    launch(FILE, name, blocks_for(-(-x.size // 4)), x, out, x.size, *_mask(rate, key))
    return out


def _mask(rate: float, key: DropoutKey) -> tuple[Any, ...]:
    """What names a dropout mask to the kernels: the seed's halves, step, layer, the draws' threshold, and the scale;
    then seed and step where they are in device memory."""
    low = 0xFFFFFFFF
    (seed, live_seed), (step, live_step) = here_or_there(key.seed), here_or_there(key.step)
    named = seed & low, seed >> 32 & low, step & low, key.layer & low, random.keep_threshold(rate), 1.0 / (1.0 - rate)
    return (*named, live_seed, live_step)
