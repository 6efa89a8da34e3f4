"""Crosses: chosen pairs of fields, with weights that are learned or are all 1."""

from __future__ import annotations

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.nn.layers import parameter
from fastfm_core.nn.module import Module
from fastfm_core.nn.pairs import all_pairs


class Crosses(Module):
    """sum over p of r_p <e_f, e_g>, (f, g) = pairs[p]; a pair that is not listed costs nothing.

    pairs     [P, 2] int32 positions among the fields of the pairs
    weighted  r [P] is learned and starts at 1 (FwFM: Pan et al., WWW 2018); else every r is 1
    """

    def __init__(self, pairs: np.ndarray, backend: Backend, *, weighted: bool = False) -> None:
        self._pairs, self._placed = pairs, backend.to_device(pairs)
        self.weight = parameter(np.ones(len(pairs)), backend) if weighted else None

    @property
    def pairs(self) -> np.ndarray:
        """[P, 2] int32."""
        return self._pairs

    def forward(self, vectors: Tensor) -> Tensor:
        """[B, F, D] -> [B]."""
        return ops.pair_interaction(vectors, self._placed, self.weight)


def weighted_pairs(crosses: Crosses | None, fields: int) -> tuple[np.ndarray, np.ndarray]:
    """What an embedding's part "pairs" sums: (pairs [P, 2], r [P]); without crosses, all pairs of ``fields`` fields."""
    pairs = all_pairs(fields) if crosses is None else crosses.pairs
    weight = None if crosses is None else crosses.weight
    return pairs, np.ones(len(pairs)) if weight is None else weight.backend.to_host(weight.data)
