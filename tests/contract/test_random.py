"""Philox4x32-10 against Random123's known answers and a scalar implementation; thresholds and generators."""

from __future__ import annotations

import numpy as np
import pytest

from fastfm_core.contract import DropoutKey
from fastfm_core.random import generator, keep_threshold, philox

from .truth_dense import draw, philox_block

KNOWN_ANSWERS = [  # counter, key, output: the file kat_vectors of Random123
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS)
def test_scalar_philox_gives_the_known_answers(counter: str, key: str, output: str) -> None:
    assert philox_block(words(counter), words(key)) == words(output)


def test_philox_gives_the_known_answer() -> None:
    assert philox(0, 0, 0, 4).tolist() == list(words(KNOWN_ANSWERS[0][2]))


@pytest.mark.parametrize("key", [(0, 0, 0), (1, 2, 3), (2**64 - 1, 2**32 - 1, 2**32 - 1), (2**40 + 5, 7, 2**31)])
def test_philox_is_the_scalar_one_at_every_index(key: tuple[int, int, int]) -> None:
    draws = philox(*key, 103)
    assert draws.dtype == np.uint32
    assert draws.tolist() == [draw(DropoutKey(*key), j) for j in range(103)]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5])
def test_a_shorter_stream_is_the_start_of_a_longer_one(count: int) -> None:
    assert philox(9, 8, 7, count).tolist() == philox(9, 8, 7, 50)[:count].tolist()


def test_draws_are_spread_evenly() -> None:
    counts = np.bincount(philox(5, 6, 7, 64_000) >> 28, minlength=16)
    assert ((counts - 4_000) ** 2 / 4_000).sum() < 37.7  # chi-square, 15 degrees of freedom, p = 0.001


def test_keep_threshold() -> None:
    assert [keep_threshold(rate) for rate in (0.0, 0.25, 0.5, 1.0)] == [0, 2**30, 2**31, 2**32 - 1]


def test_generator_is_named_by_seed_and_stream() -> None:
    names = [(1,), (2,), (1, 1), (1, 2), (1, 1, 1), (1, 0, 1), (2**64 - 1, 2**21 - 1, 5)]
    streams = [tuple(generator(*name).integers(0, 2**63, 4).tolist()) for name in names]
    assert len(set(streams)) == len(names)
    assert streams == [tuple(generator(*name).integers(0, 2**63, 4).tolist()) for name in names]
