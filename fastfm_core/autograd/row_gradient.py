"""RowGradient: the gradient of a table that was looked up, kept as where it comes from until somebody consumes it.

A part is a row plan and a row source (``fastfm_core.contract``): dv_i = c_i (g_b (S_b - e_s) + G_s). Nothing of size
[V, D] or [N, D] is built; optimizers hand plan and source to one fused update kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd.tensor import Tensor
from fastfm_core.contract import RowPlan, RowSource
from fastfm_core.errors import StaleGradient


class RowGradient:
    """Sum of the parts' row gradients of one table, valid until the table changes."""

    __array_ufunc__ = None  # NumPy leaves array + RowGradient to __radd__

    def __init__(self, table: Tensor, parts: list[tuple[RowPlan, RowSource]]) -> None:
        self.table = table
        self.rows = table.data if table.data.ndim == 2 else table.data[:, None]  # [V, D]; first-order weights as [V, 1]
        self.parts = parts
        self.version = table.version

    def __add__(self, other: Any) -> Any:
        """More parts for another lazy gradient of the table; an array for an array."""
        if not isinstance(other, RowGradient):
            return self.dense() + other
        self._check()
        other._check()
        return RowGradient(self.table, self.parts + other.parts)

    __radd__ = __add__

    def combined(self) -> tuple[RowPlan, RowSource]:
        """One plan and source for update kernels: a single part as it is, several summed over their rows' union."""
        self._check()
        if len(self.parts) == 1:
            return self.parts[0]
        self.parts = [self.table.backend.combine_rows(self.rows, self.parts)]
        return self.parts[0]

    def materialize(self) -> tuple[np.ndarray, np.ndarray]:
        """(rows [U] ascending, summed gradient of each [U, D]); parts are added in the order they arrived."""
        self._check()
        return self.table.backend.sum_rows(self.rows, self.parts)

    def norm2(self) -> Any:
        """|gradient|^2, a float or a device's 0-d array, by a pass of its own over the sources."""
        return self.table.backend.row_gradient_norm2(self.rows, *self.combined())

    def dense(self) -> np.ndarray:
        """The gradient as an array of the table's shape."""
        rows, values = self.materialize()
        full = self.table.backend.xp.zeros_like(self.rows)
        full[rows] = values
        return full.reshape(self.table.data.shape)

    def _check(self) -> None:
        if self.version != self.table.version:
            raise StaleGradient("this row gradient was made before the table changed; run forward and backward again")
