"""RowGradient: the gradient of a table that was looked up, kept as where it comes from until somebody consumes it.

A part is a row plan and a row source (``fastfm_core.contract``): dv_i = c_i (g_b (S_b - e_s) + G_s). Nothing of the
table's or the batch's size times D is built; optimizers hand plan and source to one fused update kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd.tensor import Tensor
from fastfm_core.contract import RowPlan, RowSource, every_row
from fastfm_core.errors import StaleGradient


class RowGradient:
    """Sum of the parts' row gradients of one table, valid until the table changes.

    ``rows`` is the table's data as [V, D]; a first-order weight vector [V] is seen as [V, 1].
    """

    __array_ufunc__ = None  # NumPy leaves array + RowGradient to __radd__

    def __init__(self, table: Tensor, parts: list[tuple[RowPlan, RowSource]]) -> None:
        self.table = table
        self.rows = table.data.reshape(len(table.data), -1) if table.data.ndim != 2 else table.data
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
        rows, values = self.materialize()
        return every_row(len(rows))._replace(rows=rows), RowSource(1, slot_grad=values[:, None, :])

    def materialize(self) -> tuple[np.ndarray, np.ndarray]:
        """(rows [U] ascending, summed gradient of each [U, D]); parts are added in the order they arrived."""
        self._check()
        rows, places = self.table.backend.merge_plans([plan for plan, _ in self.parts])
        values = np.zeros((len(rows), self.rows.shape[1]), self.rows.dtype)
        for (plan, source), place in zip(self.parts, places, strict=True):
            values[place] += self.table.backend.materialize_rows(self.rows, plan, source)
        return rows, values

    def norm2(self) -> float:
        """|gradient|^2, by a pass of its own over the sources."""
        return self.table.backend.row_gradient_norm2(self.rows, *self.combined())

    def dense(self) -> np.ndarray:
        """The gradient as an array of the table's shape."""
        rows, values = self.materialize()
        full = np.zeros_like(self.rows)
        full[rows] = values
        return full.reshape(self.table.data.shape)

    def _check(self) -> None:
        if self.version != self.table.version:
            raise StaleGradient("this row gradient was made before the table changed; run forward and backward again")
