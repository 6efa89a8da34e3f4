"""Settings are tried and the faster ones are taken; wrong, absent and failing sides have no time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from benchmarks.referee import judge, rounds, sides
from benchmarks.referee.cases import tiny as tiny_plan
from benchmarks.referee.problem import Case, Problem
from benchmarks.referee.rounds import Referee
from benchmarks.referee.sides import Failed, Peer, Worker

CASE = Case("kernel", "tiny", "fm", 64)
TWO = Peer("two", "fastfm", "-", ("slow", "fast"), "", (), waits=True)


class Scripted(Worker):
    """Answers without a process: right logits, and the seconds that its settings are said to take."""

    TAKEN: ClassVar = {("slow", True): 4e-3, ("fast", True): 2e-3, ("fast", False): 1e-3, ("", False): 3e-3}

    def ask(self, verb: str, case: str, calls: int) -> list[Any]:
        self.asked = [*getattr(self, "asked", []), verb]
        if verb == "offers":
            return ["exact", ""]
        if verb == "check":
            if self.peer.name == "broken":
                raise Failed("ImportError: no such thing")
            problem = Problem(self.folder, Case.parse(case))
            logits = judge.formula(problem, problem.samples(0))
            return (logits + (1e-2 if self.peer.name == "wrong" else 0.0)).tolist()
        return [self.TAKEN[self.settings, self.passive]] * calls if verb == "time" else []


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "Worker", Scripted)
    monkeypatch.setattr(rounds.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(rounds, "ceilings", lambda case: ())


def plain(name: str) -> Peer:
    return Peer(name, "fastfm", "-", ("",), "", ())


def referee(folder: Path, *peers: Peer, quick: bool = False) -> Referee:
    return Referee(folder, peers, tiny_plan(), 2, quick)


@pytest.mark.usefixtures("scripted")
def test_the_fastest_settings_are_taken_with_the_faster_way_of_waiting(tiny: Path) -> None:
    (side,) = referee(tiny, TWO).measure(CASE)["sides"]
    assert side["tried"] == {"slow, passive wait": 4e-3, "fast, passive wait": 2e-3, "fast, default wait": 1e-3}
    assert (side["settings"], side["median"]) == ("fast, default wait", 1e-3)


@pytest.mark.usefixtures("scripted")
def test_a_quick_run_tries_the_likely_settings_alone(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Scripted.TAKEN, ("slow", False), 5e-3)
    (side,) = referee(tiny, TWO._replace(quick=1), quick=True).measure(CASE)["sides"]
    assert side["tried"] == {"slow, passive wait": 4e-3, "slow, default wait": 5e-3}
    assert side["settings"] == "slow, passive wait"


@pytest.mark.usefixtures("scripted")
def test_a_wrong_a_broken_and_an_absent_side_are_named_and_not_timed(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTFM_NOSUCH_PYTHON", "/no/such/python")
    sides.interpreter.cache_clear()
    absent = Peer("absent", "nosuch", "-", ("",), "nosuch", ())
    found = referee(tiny, plain(sides.OURS), plain("wrong"), plain("broken"), absent)
    record = found.measure(CASE)
    status = {side["side"]: side["status"] for side in record["sides"]}
    assert status == {
        sides.OURS: "timed",
        "wrong": "wrong by 1.0e-02",
        "broken": "failed: ImportError: no such thing",
        "absent": "not installed",
    }
    assert [side["side"] for side in record["sides"] if "median" in side] == [sides.OURS]
    assert "time" not in found.workers["wrong", "", False].asked


def test_a_process_is_checked_timed_and_its_quality_judged(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "ceilings", lambda case: ())
    found = referee(tiny, Peer(sides.OURS, "fastfm", "fastfm", ("reference",), "", ()))
    try:
        (side,) = found.measure(CASE)["sides"]
        (judged,) = found.quality(Case("quality", "tiny", "fm", 64))["sides"]
    finally:
        found.close()
    assert side["status"] == "timed" and len(side["rounds"]) == 1 and side["times_ours"] == 1.0
    assert judged["status"] == "measured" and 0 <= judged["auc"] <= 1 and np.isfinite(judged["median"])


def test_a_worker_that_ends_says_why(tiny: Path) -> None:
    worker = Worker(Peer("ends", "fastfm", "no_such_worker", ("",), "", ()), "", False, tiny, 1)
    with pytest.raises(Failed, match="no_such_worker"):
        worker.ask("offers", CASE.name, 0)
