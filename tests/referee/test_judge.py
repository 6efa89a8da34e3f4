"""The judge lets right sides pass and refuses wrong ones; our backends pass in every kind of case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.referee import judge
from benchmarks.referee.problem import CHECKED, Case, Problem
from benchmarks.referee.worker import Requests
from benchmarks.referee.workers import fastfm
from fastfm_core import metrics
from fastfm_core.backends import Backend

TRUTH = np.array([0.5, -2.0, 3.0])


def test_logits_may_differ_by_rounding_alone() -> None:
    assert judge.wrong_logits((TRUTH + 1e-6).tolist(), TRUTH) == ""
    assert judge.wrong_logits([0.5, -1.999, 3.0], TRUTH) == "wrong by 1.0e-03"
    assert judge.wrong_logits([0.5, float("nan"), 3.0], TRUTH) == "wrong by nan"
    assert judge.wrong_logits([0.5], TRUTH) == "1 values instead of 3"


BEFORE = np.array([[0.1, -0.2], [0.3, 0.1]])
AFTER = BEFORE + np.array([[1e-3, -2e-3], [1e-6, 0.0]])
LOSSES = [0.7, 0.69, 0.68]


def training(rows: np.ndarray, losses: list[float] = LOSSES) -> list[float]:
    return [*losses, *rows.ravel().tolist()]


def test_training_that_does_the_same_passes() -> None:
    found = training(AFTER.astype(np.float32), [loss + 1e-7 for loss in LOSSES])
    assert judge.wrong_training(found, training(AFTER), BEFORE, "exact") == ""


@pytest.mark.parametrize("row", [0, 1])
def test_rows_that_were_not_updated_are_found_even_where_they_hardly_change(row: int) -> None:
    rows = AFTER.copy()
    rows[row] = BEFORE[row]
    assert judge.wrong_training(training(rows), training(AFTER), BEFORE, "exact").startswith("rows wrong by")


def test_another_loss_is_refused() -> None:
    found = training(AFTER, [0.7, 0.69, 0.6801])
    assert judge.wrong_training(found, training(AFTER), BEFORE, "exact") == "losses wrong by 1.0e-04"
    assert judge.wrong_training(found, training(AFTER), BEFORE, "first") == ""
    assert judge.wrong_training([0.71, 0.69, 0.68], training(AFTER), BEFORE, "first") == "losses wrong by 1.0e-02"


def test_a_side_with_weights_of_its_own_must_learn() -> None:
    assert judge.wrong_training([0.7, 0.69, 0.6], training(AFTER), BEFORE, "own") == ""
    assert judge.wrong_training([0.6, 0.6, 0.6], training(AFTER), BEFORE, "own").startswith("losses do not fall")


def test_area_counts_ties_half() -> None:
    draw = np.random.default_rng(0)
    logits, labels = draw.integers(0, 9, 300).astype(float), (draw.random(300) < 0.3).astype(np.float32)
    assert judge.area(logits, labels) == pytest.approx(metrics.auc(labels, logits), abs=1e-12)


CASES = [("kernel", "fm"), ("update", "fm"), ("step", "fm"), ("step", "8-8"), ("score", "fm"), ("score", "8-8")]


@pytest.mark.parametrize(("kind", "hidden"), CASES)
def test_our_backends_pass(backend: Backend, tiny: Path, kind: str, hidden: str) -> None:
    case = Case(kind, "tiny", hidden, 64)
    problem = Problem(tiny, case)
    found = Requests(fastfm.build, str(tiny), backend.name)[f"check:{case.name}"](CHECKED)
    if kind in ("kernel", "score"):
        assert judge.wrong_logits(found, judge.formula(problem, problem.samples(0))) == ""
    else:
        reference = Requests(fastfm.build, str(tiny), "reference")
        truth = reference[f"check:{case.name}"](CHECKED) if problem.hidden else judge.fm_training(problem)
        before = problem.rows[problem.probes].astype(np.float64)
        assert len(found) == CHECKED + before.size
        assert judge.wrong_training(found, truth, before, "exact") == ""
        still = [*truth[:CHECKED], *before.ravel()]
        assert judge.wrong_training(still, truth, before, "exact") != ""
