"""Calls of the handlers, checks of what they are given, and how they meet vmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fastfm_core.errors import InputError

Array = Any  # jax.Array, or what JAX makes one of; None where it is absent


def call(
    target: str, results: Any, *arguments: Array | None, vmap: str = "sequential",
    aliases: dict[int, int] | None = None, **attributes: int | float,
) -> Any:  # fmt: skip
    """The results (shapes and dtypes) of a handler; arguments that are None are left out."""
    told = {name: (np.float64 if isinstance(value, float) else np.int64)(value) for name, value in attributes.items()}
    made = jax.ffi.ffi_call(f"fastfm_{target}", results, vmap_method=vmap, input_output_aliases=aliases)
    return made(*(argument for argument in arguments if argument is not None), **told)


def result(like: Array, *shape: int) -> jax.ShapeDtypeStruct:
    """A result of the dtype of an array."""
    return jax.ShapeDtypeStruct(shape, like.dtype)


def floats(name: str, array: Array, *, dims: int, like: Array | None = None) -> jax.Array:
    """The array, if it is float32 or float64 with so many dims (-1: any), and has the dtype of ``like``."""
    array = jnp.asarray(array)
    if array.dtype not in (np.float32, np.float64):
        raise InputError(f"{name} must be float32 or float64, got {array.dtype}")
    if like is not None and array.dtype != like.dtype:
        raise InputError(f"{name} must be {like.dtype} as the table is, got {array.dtype}")
    if dims >= 0 and array.ndim != dims:
        raise InputError(f"{name} must have {dims} dimension{'s' * (dims != 1)}, got shape {array.shape}")
    return array


def integers(name: str, array: Array, *, least_dims: int = 0) -> jax.Array:
    """The array, if it is int32 or int64 with at least so many dims."""
    array = jnp.asarray(array)
    if array.dtype not in (np.int32, np.int64):
        raise InputError(f"{name} must be int32 or int64, got {array.dtype}")
    if array.ndim < least_dims:
        raise InputError(f"{name} must have at least {least_dims} dimension, got shape {array.shape}")
    return array


def require_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """InputError where it has another one."""
    if array.shape != shape:
        raise InputError(f"{name} must have shape {shape}, got {array.shape}")


def folding(function: Callable[..., Any], shared: int) -> Callable[..., Any]:
    """The function, which takes leading dims of all arguments but the first ``shared``, with its rule for vmap: where
    those are not mapped a mapped call is one call with one more leading dim, else one call after the other."""
    mapped = jax.custom_batching.custom_vmap(function)

    @mapped.def_vmap
    def rule(size: int, batched: list[Any], *arguments: Array | None) -> tuple[Any, Any]:
        if any(jax.tree.leaves(batched[:shared])):
            axes = [0 if each else None for each in batched]
            out = jax.vmap(function, in_axes=axes, axis_size=size)(*arguments)
        else:
            spread = [
                argument if argument is None or each else jnp.broadcast_to(argument, (size, *argument.shape))
                for argument, each in zip(arguments[shared:], batched[shared:], strict=True)
            ]
            out = mapped(*arguments[:shared], *spread)
        return out, jax.tree.map(lambda _: True, out)

    return mapped
