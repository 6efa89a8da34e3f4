"""Class weights: their numbers, and that they act as sample weights in training alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fastfm_core import backends, models, optim, train
from fastfm_core.config import TrainConfig
from fastfm_core.data import Batches, Encoded
from fastfm_core.errors import InputError
from fastfm_core.weighting import class_weights, shares

LABELS = np.array([1, 0, 0, 0, 1, 0, 0, 0, 0, 1], np.float32)


def table(weights=None) -> Encoded:
    ids = np.arange(20, dtype=np.int32).reshape(10, 2) % 6
    return Encoded(ids, 6, 2, np.array([-1, -1]), labels=LABELS, weights=weights)


def test_balanced_weights_make_both_classes_count_as_much():
    weights = class_weights("balanced", SimpleNamespace(labels=LABELS))
    assert weights is not None
    np.testing.assert_allclose(weights, [10 / 14, 10 / 6])
    assert weights[0] * 7 == pytest.approx(weights[1] * 3)


def test_given_weights_are_taken_and_none_changes_nothing():
    given = class_weights((0.5, 2), None)
    assert given is not None and given.tolist() == [0.5, 2]
    assert class_weights("none", None) is None


def test_labels_of_one_class_cannot_be_balanced():
    with pytest.raises(InputError, match="one class only"):
        class_weights("balanced", SimpleNamespace(labels=np.ones(3)))


def fitted(encoded: Encoded, setting) -> tuple[dict, list]:
    model = models.build("fm", rows=6, fields=2, dense=0, backend=backends.get("reference"), dim=2)
    batches, config = Batches(encoded, batch_size=4), TrainConfig(epochs=2, class_weight=setting)
    result = train.fit(model, optim.build("sgd", model, lr=0.3), batches, Batches(table(), shuffle=False), config)
    return model.state_dict(), result.history


@pytest.mark.parametrize("own", [None, np.linspace(0.5, 2, 10, dtype=np.float32)])
def test_class_weights_multiply_the_samples_weights(own):
    per_sample = np.where(LABELS == 1, np.float32(3), np.float32(0.5)) * (np.float32(1) if own is None else own)
    found, history = fitted(table(own), (0.5, 3))
    expected, expected_history = fitted(table(per_sample), "none")
    plain, _ = fitted(table(own), "none")
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    assert any((plain[name] != array).any() for name, array in expected.items())
    assert [record["valid"] for record in history] == [record["valid"] for record in expected_history]


def test_shares_are_the_parts_of_the_samples_weights():
    first, second, third = Batches(table(np.arange(10, dtype=np.float32)), batch_size=4, shuffle=False).epoch(0)
    assert shares([first, second, third]) == pytest.approx([6 / 45, 22 / 45, 17 / 45])
    assert shares([second]) == [1.0]
    first, second, third = Batches(table(), batch_size=4, shuffle=False).epoch(0)
    assert shares([first, second, third]) == pytest.approx([0.4, 0.4, 0.2])
    nothing = first._replace(weights=np.zeros(4, np.float32))
    assert shares([nothing, nothing]) == [0.0, 0.0]
