"""FM interactions of field vectors that are given. Formulas: ``fastfm_core.contract``."""

from __future__ import annotations

import functools
from typing import Any

import jax

from fastfm_core.errors import InputError
from fastfm_jax.calls import Array, call, floats, result


@jax.jit
def fm_interaction(fields: Array) -> jax.Array:
    """e [..., F, D] float32 or float64 -> 1/2 sum_d ((sum_f e_fd)^2 - sum_f e_fd^2), [...]."""
    return _interact(False, _vectors(fields))


@jax.jit
def bi_interaction(fields: Array) -> jax.Array:
    """e [..., F, D] float32 or float64 -> 1/2 ((sum_f e_f)^2 - sum_f e_f^2) kept per dim, [..., D]."""
    return _interact(True, _vectors(fields))


def _vectors(fields: Array) -> jax.Array:
    fields = floats("fields", fields, dims=-1)
    if fields.ndim < 2:
        raise InputError(f"fields must have shape [..., F, D], got {fields.shape}")
    return fields


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _interact(per_dim: bool, e: Array) -> Any:
    shape = (*e.shape[:-2], e.shape[-1]) if per_dim else e.shape[:-2]
    return call("interact", result(e, *shape), e, vmap="broadcast_all", per_dim=per_dim)


def _forward(per_dim: bool, e: Array) -> tuple[Any, Any]:
    return _interact(per_dim, e), e


def _backward(per_dim: bool, e: Array, grad: Array) -> tuple[Any]:
    return (call("interact_backward", result(e, *e.shape), grad, e, vmap="broadcast_all", per_dim=per_dim),)


_interact.defvjp(_forward, _backward)
