"""Learning rates by step: warmup, cosine and linear, each against its formula."""

from __future__ import annotations

import math

import pytest

from fastfm_core.config import TrainConfig
from fastfm_core.schedule import rate_factor


def rates(steps: int, **settings) -> list[float]:
    return [rate_factor(TrainConfig(**settings), step, steps) for step in range(1, steps + 1)]


@pytest.mark.parametrize("schedule", ["plateau", "none"])
def test_plateau_and_none_leave_the_rate_alone(schedule):
    assert rates(5, lr_schedule=schedule) == [1.0] * 5


def test_cosine_falls_from_the_full_rate_to_nothing():
    assert rates(4, lr_schedule="cosine") == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2])
    assert rate_factor(TrainConfig(lr_schedule="cosine"), 5, 4) == pytest.approx(0)


def test_linear_falls_by_equal_steps():
    assert rates(4, lr_schedule="linear") == pytest.approx([1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize("schedule", ["plateau", "none", "cosine", "linear"])
def test_warmup_grows_linearly_and_then_the_schedule_begins(schedule):
    found = rates(10, lr_schedule=schedule, warmup=4)
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1])
    assert found[4:] == pytest.approx(rates(6, lr_schedule=schedule))


def test_a_warmup_longer_than_the_training_never_ends():
    assert rates(3, lr_schedule="cosine", warmup=6) == pytest.approx([1 / 6, 2 / 6, 3 / 6])
