"""Sides: the field vectors of the user and those of the item, apart."""

from __future__ import annotations

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend


class Sides:
    """user, item: [F] bool each, among all fields of a lookup that reads theirs alone."""

    def __init__(self, user: np.ndarray, item: np.ndarray, backend: Backend) -> None:
        read = user | item
        self._user, self._item = (backend.to_device(np.flatnonzero(side[read])) for side in (user, item))

    def vectors(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """[B, F, D] -> ([B, user's fields, D], [B, item's fields, D])."""
        return ops.take_fields(vectors, self._user), ops.take_fields(vectors, self._item)

    def sums(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """[B, F, D] -> the sums of the two sides' vectors, [B, D] each."""
        user, item = self.vectors(vectors)
        return ops.sum_fields(user), ops.sum_fields(item)
