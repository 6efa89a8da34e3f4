"""Rows of a sparse matrix as entries without fields, against loops over its nonzeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from fastfm_core.data import Encoder
from fastfm_core.data.sparse import SparseColumns, encoder_from_dict
from fastfm_core.errors import InputError

from .tables import FLAT_SCHEMA, small_table

DENSE = np.array([[0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [3.0, -1.0, 0.0, 0.0]])


def rows_of(encoded: Any) -> list[dict[int, float]]:
    """column -> value of each row."""
    found = []
    for b in range(len(encoded)):
        places = range(encoded.offsets[b], encoded.offsets[b + 1])
        row = {int(encoded.ids[i]): float(encoded.values[i]) for i in places}
        assert len(row) == len(places)
        found.append(row)
    return found


def expected_rows() -> list[dict[int, float]]:
    return [{column: value for column, value in enumerate(row) if value} for row in DENSE.tolist()]


def messy() -> sp.csr_array:
    """DENSE with a duplicate, an explicit zero and unsorted indices."""
    indices, offsets = np.array([3, 1, 1, 2, 1, 0]), np.array([0, 4, 4, 6])
    return sp.csr_array((np.array([1.0, 0.5, 1.5, 0.0, -1.0, 3.0]), indices, offsets), shape=(3, 4))


@pytest.mark.parametrize("matrix", [sp.csr_array(DENSE), sp.csr_matrix(DENSE), messy(), DENSE])
def test_every_nonzero_is_an_entry(matrix: Any) -> None:
    before = matrix.copy()
    encoded = SparseColumns(4).transform(matrix, np.array([0, 1, 0]), np.array([1, 2, 3]))
    assert rows_of(encoded) == expected_rows()
    assert (encoded.rows, encoded.fields, encoded.pooling, len(encoded)) == (4, 1, "none", 3)
    assert (encoded.ids.dtype, encoded.offsets.dtype, encoded.values.dtype) == (np.int32, np.int64, np.float32)
    assert encoded.labels.tolist() == [0, 1, 0] and encoded.weights.tolist() == [1, 2, 3]
    batch = encoded.take(np.array([2, 0]))
    assert batch.entries.pooling == "none" and batch.entries.ids.tolist()[:2] == encoded.ids.tolist()[2:4]
    if not isinstance(matrix, np.ndarray):
        np.testing.assert_array_equal(matrix.data, before.data)
        np.testing.assert_array_equal(matrix.indices, before.indices)


def test_columns_without_a_training_nonzero_start_at_zero() -> None:
    fitted = SparseColumns.fit(sp.csr_array(DENSE), np.array([0, 1]))
    assert fitted.rows == 4 and fitted.zero_rows.tolist() == [0, 2]


def test_a_table_is_refused() -> None:
    with pytest.raises(InputError, match="trained on a sparse matrix, not on a table"):
        SparseColumns(4).transform(small_table())


def test_descriptions_lead_back_to_their_encoder() -> None:
    assert encoder_from_dict(SparseColumns(7, np.array([1])).to_dict()).rows == 7
    encoder = Encoder.fit(small_table(), FLAT_SCHEMA)
    assert encoder_from_dict(encoder.to_dict()).to_dict() == encoder.to_dict()
