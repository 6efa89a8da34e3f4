"""Rows of a SciPy matrix as samples: every nonzero x_j of a row is an entry, id = column j, value = x_j, no fields.

With pooling "none" the pairs of a row's entries are the classic FM's: sum over i < j of <v_i, v_j> x_i x_j.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.contract import Pooling
from fastfm_core.data.encode import Encoder
from fastfm_core.data.encoded import Encoded
from fastfm_core.errors import InputError


class SparseColumns:
    """Stands where an ``Encoder`` stands, for matrices with ``rows`` columns. Values are taken as they are.

    zero_rows  [k] int64, columns without a nonzero in training: they start at 0, so that they never score from noise
    """

    fields, dense = 1, 0
    bags, weighted = np.ones(1, bool), True
    pooling: Pooling = "none"
    uses = None
    field_names, sides, dense_names = (), (), ()
    bases = np.zeros(1, np.int64)
    drop_to_unknown = np.zeros(1, bool)
    unknown_rows = np.full(1, -1)
    histories, visits, ranges = (), {}, None

    def __init__(self, rows: int, zero_rows: np.ndarray | None = None) -> None:
        self.rows, self.sizes = rows, np.array([rows])
        self.zero_rows = np.zeros(0, np.int64) if zero_rows is None else zero_rows

    @classmethod
    def fit(cls, matrix: Any, train_rows: np.ndarray) -> SparseColumns:
        """matrix: SciPy CSR [n, V]; train_rows [k]."""
        met = np.bincount(matrix[train_rows].indices, minlength=matrix.shape[1])
        return cls(matrix.shape[1], np.flatnonzero(met == 0))

    def transform(self, matrix: Any, labels: np.ndarray | None = None, weights: np.ndarray | None = None) -> Encoded:
        """SciPy CSR [n, V] (duplicates are summed) or an array of that shape -> samples. Labels and weights [n]."""
        if isinstance(matrix, dict):
            raise InputError("this model was trained on a sparse matrix, not on a table: predict with its estimator")
        if isinstance(matrix, np.ndarray):
            return self._encoded(*_nonzeros(matrix), labels, weights)
        if not matrix.has_canonical_format or not matrix.data.all():
            matrix = matrix.copy()
            matrix.sum_duplicates()
            matrix.eliminate_zeros()
        return self._encoded(matrix.indices, matrix.indptr, matrix.data, labels, weights)

    def _encoded(
        self, columns: np.ndarray, offsets: np.ndarray, values: np.ndarray, labels: np.ndarray | None,
        weights: np.ndarray | None,
    ) -> Encoded:  # fmt: skip
        return Encoded(
            columns.astype(np.int32 if self.rows < 2**31 else np.int64),
            self.rows,
            self.fields,
            self.unknown_rows,
            offsets=offsets.astype(np.int64),
            values=values.astype(np.float32),
            labels=None if labels is None else np.asarray(labels, np.float32),
            weights=None if weights is None else np.asarray(weights, np.float32),
            pooling=self.pooling,
        )

    def scaling(self) -> dict[str, dict[str, Any]]:
        """No numbers."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, read back by ``encoder_from_dict``."""
        return {"sparse_columns": self.rows}


def _nonzeros(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A dense matrix [n, V] as the (column numbers, row offsets, values) of its nonzeros."""
    rows, columns = np.nonzero(matrix)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(matrix)))])
    return columns, offsets, matrix[rows, columns]


def encoder_from_dict(description: dict[str, Any]) -> Any:
    """The ``Encoder`` or ``SparseColumns`` that its ``to_dict`` described."""
    if "sparse_columns" in description:
        return SparseColumns(description["sparse_columns"])
    return Encoder.from_dict(description)
