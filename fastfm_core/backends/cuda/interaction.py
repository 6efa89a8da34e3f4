"""The FM interaction of given field vectors, summed or kept per dim. Shapes and formulas: the contract."""

from __future__ import annotations

from typing import Any

from fastfm_core.backends.cuda.device import THREADS, blocks_for, column_vectors, instance, lanes_for, launch, xp
from fastfm_core.backends.cuda.shapes import WIDTHS

FILE = "interaction.cu"
NAMES = ("fm_interaction", "bi_interaction", "interaction_backward")
INSTANCES = {FILE: [instance(name, *width) for name in NAMES for width in WIDTHS]}


def fm_interaction(fields: Any) -> Any:
    samples, _, dim = fields.shape
    width = column_vectors(dim, fields)
    across = lanes_for(dim, width)
    out = xp.empty(samples, fields.dtype)
    name = instance("fm_interaction", fields.dtype, width)
    launch(FILE, name, blocks_for(samples, THREADS // across), fields, out, *fields.shape, across)
    return out


def fm_interaction_backward(grad: Any, fields: Any) -> Any:
    return _backward(grad, fields, column_vectors(fields.shape[2], fields))


def bi_interaction(fields: Any) -> Any:
    samples, _, dim = fields.shape
    width = column_vectors(dim, fields)
    out = xp.empty((samples, dim), fields.dtype)
    name = instance("bi_interaction", fields.dtype, width)
    launch(FILE, name, blocks_for(samples * dim // width), fields, out, *fields.shape)
    return out


def bi_interaction_backward(grad: Any, fields: Any) -> Any:
    return _backward(grad, fields, column_vectors(fields.shape[2], fields, grad))


def _backward(grad: Any, fields: Any, width: int) -> Any:
    samples, _, dim = fields.shape
    out = xp.empty_like(fields)
    name = instance("interaction_backward", fields.dtype, width)
    launch(FILE, name, blocks_for(samples * dim // width), grad, fields, out, *fields.shape, grad.ndim == 2)
    return out
