"""scikit-learn's own checks of all five estimators, on arrays of numbers."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from .cases import KINDS, make

WEIGHTS = "a weight counts a row's loss, but batches, held-out rows and standardisation count rows"
GUESSED = "a DataFrame's columns of few whole numbers are guessed to be categories, an array's are numbers"
ROUNDING = "BLAS rounds a row's float32 products differently by the number of rows beside it: last bits differ"
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": WEIGHTS,
    "check_sample_weight_equivalence_on_sparse_data": WEIGHTS,
    "check_sample_weight_equivalence": WEIGHTS,  # their name before scikit-learn 1.7
    "check_classifier_data_not_an_array": GUESSED,
}
EXPECTED_DEEP = {"check_methods_subset_invariance": ROUNDING, "check_methods_sample_order_invariance": ROUNDING}


def expected_failures(estimator: Any) -> dict[str, str]:
    return EXPECTED | (EXPECTED_DEEP if hasattr(estimator, "hidden") else {})


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([make(name) for name in KINDS], expected_failed_checks=expected_failures)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)
