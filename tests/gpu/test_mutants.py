"""Bugs that are planted in the kernels are caught, each by the check and in the mode that are meant to."""

from __future__ import annotations

import json
import re
import sys

import pytest
from emulated_cupy import compiling

from . import mutants, processes

MODES = sorted({mutant.mode for mutant in mutants.MUTANTS})


@pytest.mark.parametrize("mode", MODES)
def test_planted_bugs_are_caught(mode: str) -> None:
    if mode != "plain" and sys.platform != "linux":
        pytest.skip("only Linux's loader loads a sanitizer first")
    done = processes.run_module(mode, "mutants", mode)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    planted = [mutant for mutant in mutants.MUTANTS if mutant.mode == mode]
    checks = {mutant.check for mutant in planted}
    assert {name: said[name] for name in checks if said[name]} == {}, "checks fail without a bug"
    missed = {mutant.name: said[mutant.name] for mutant in planted if not re.search(mutant.said, said[mutant.name])}
    assert missed == {}


def test_there_are_bugs_of_every_mode() -> None:
    assert len(mutants.MUTANTS) >= 20 and sorted(compiling.SANITIZED) == MODES
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)
