"""The one list of cases that every backend runs: see ``op_case.OpCase``."""

from __future__ import annotations

from .dense_cases import DENSE_CASES
from .pair_cases import PAIR_CASES
from .sparse_cases import SPARSE_CASES

CASES = SPARSE_CASES + DENSE_CASES + PAIR_CASES
