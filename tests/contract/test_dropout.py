"""Dropout depends on its key and the element's index alone: kept share, scale, each part of the key, common masks."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastfm_core.contract import DropoutKey
from fastfm_core.random import philox

KEY = DropoutKey(seed=123, step=4, layer=5)
DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_kept_share_and_scale(backend: ModuleType, rate: float, dtype: Any) -> None:
    output = backend.dropout(np.ones(40_000, dtype), rate, KEY)
    kept = output[output != 0]
    assert abs(len(kept) / 40_000 - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / 40_000)
    np.testing.assert_allclose(kept, 1 / (1 - rate), rtol=float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_draw_at_the_threshold_is_kept(backend: ModuleType, dtype: Any) -> None:
    draws = philox(*KEY, 8)
    for j, at in enumerate(draws.tolist()):
        assert ((backend.dropout(np.ones(8, dtype), at / 2**32, KEY) != 0) == (draws >= at)).all()
        assert backend.dropout(np.ones(8, dtype), (at + 1) / 2**32, KEY)[j] == 0


@pytest.mark.parametrize("change", [{"seed": 124}, {"seed": 123 + 2**32}, {"step": 5}, {"layer": 6}])
def test_every_part_of_the_key_counts(backend: ModuleType, change: dict[str, int]) -> None:
    x = np.ones(2_000, np.float32)
    first, second = backend.dropout(x, 0.5, KEY), backend.dropout(x, 0.5, KEY._replace(**change))
    assert 0.4 < np.mean((first != 0) == (second != 0)) < 0.6


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mask_depends_on_the_index_alone(backend: ModuleType, dtype: Any) -> None:
    flat = backend.dropout(np.ones(12 * 35, dtype), 0.3, KEY) != 0
    assert ((backend.dropout(np.ones((12, 35), dtype), 0.3, KEY) != 0).reshape(-1) == flat).all()
    assert ((backend.dropout(np.ones(101, dtype), 0.3, KEY) != 0) == flat[:101]).all()
    transposed = np.ones((35, 12), dtype).T
    assert ((backend.dropout(transposed, 0.3, KEY) != 0).reshape(-1) == flat).all()
    activated = np.ones((12, 35), dtype)
    backend.bias_relu_dropout_(activated, np.zeros(35, dtype), 0.3, KEY)
    assert ((activated != 0).reshape(-1) == flat).all()


def test_backward_passes_what_forward_kept(backend: ModuleType) -> None:
    output = np.ones((20, 30))
    backend.bias_relu_dropout_(output, np.zeros(30), 0.25, KEY)
    dx, dbias = backend.bias_relu_dropout_backward(np.ones((20, 30)), output, 0.25)
    np.testing.assert_array_equal(dx, backend.dropout(np.ones((20, 30)), 0.25, KEY))
    np.testing.assert_allclose(dbias, dx.sum(axis=0), rtol=1e-14)
