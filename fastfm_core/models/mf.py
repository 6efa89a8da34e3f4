"""Biased matrix factorization: z = bias + b_u + b_i + <p_u, q_i> (Koren, Bell & Volinsky, IEEE Computer 2009).

It is the FM of two fields, a user and an item: their first-order weights are the biases, their only pair the product.
With several columns a side, a side's vector is the sum of theirs, and its bias too. Parameters: V (D + 1) + 1.
"""

from __future__ import annotations

from fastfm_core.backends import Backend
from fastfm_core.models.base import Shape
from fastfm_core.models.fm import FM


class MF(FM):
    """An FM whose pairs have one field of the user and one of the item; other columns take no part."""

    def __init__(self, shape: Shape, backend: Backend, *, dim: int = 16, init_std: float = 0.01, seed: int = 0) -> None:
        super().__init__(shape.of_sides("mf"), backend, dim=dim, init_std=init_std, pairs="user*item", seed=seed)
