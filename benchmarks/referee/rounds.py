"""Measures a case: every side is checked, its fastest settings are found, and all that are right take turns."""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.referee import judge
from benchmarks.referee.cases import Plan, ceilings, computed, moved
from benchmarks.referee.problem import CHECKED, Case, Problem
from benchmarks.referee.sides import CEILINGS, OURS, REFERENCE, Failed, Peer, Worker, interpreter
from benchmarks.timing import IDLE
from fastfm_core.bench.machine import Others

MOST_CALLS = 4000
Record = dict[str, Any]


def say(text: str) -> None:
    """Progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Referee:
    """Holds the workers; ``measure`` gives a case's record."""

    def __init__(self, folder: Path, peers: Sequence[Peer], plan: Plan, threads: int, quick: bool) -> None:
        self.folder, self.peers, self.plan, self.threads, self.quick = folder, peers, plan, threads, quick
        self.workers: dict[tuple[str, str, bool], Worker] = {}
        self.steppers: dict[str, Worker] = {}  # the fastest in training steps, by peer

    def worker(self, peer: Peer, settings: str, passive: bool) -> Worker:
        """The peer's process with these settings; one for all cases."""
        key = peer.name, settings, passive
        if key not in self.workers:
            self.workers[key] = Worker(peer, settings, passive, self.folder, self.threads)
        return self.workers[key]

    def start(self) -> None:
        """Starts the processes that are needed in any case, several at once, for most of their time is imports."""
        present = [peer for peer in self.peers if not self._absent(peer)]
        needed = [self.worker(peer, way, peer.waits) for peer in present for way in self._tried(peer)]
        with ThreadPoolExecutor(self.threads) as pool, contextlib.suppress(RuntimeError):
            list(pool.map(Worker.start, needed))  # who fails to start says so when it is asked

    def _tried(self, peer: Peer) -> tuple[str, ...]:
        """Its settings that this run tries."""
        return peer.settings[: peer.quick] if self.quick else peer.settings

    def close(self) -> None:
        """Ends all workers, all at once."""
        for worker in self.workers.values():
            worker.let_go()
        for worker in self.workers.values():
            worker.close()

    def measure(self, case: Case) -> Record:
        """Name, ceilings and sides of the case; every peer is in it, be it only with the reason why it has no time."""
        say(f"{case.name}")
        others, problem = Others(), Problem(self.folder, case)
        truth = self._truth(problem)
        sides: list[Record] = []
        chosen: dict[str, Worker] = {}
        for peer in self.peers:
            side, worker = self._prepared(peer, problem, truth)
            sides.append(side)
            if worker:
                chosen[peer.name] = worker
        floors = {name: self._floor(name, case) for name in ceilings(case)}
        self._drop_all(case, [*chosen.values(), *floors.values()])
        calls = self._take_turns(case, chosen | floors)
        record = {"case": case.name, "ceilings": {name: rounds(calls[name]) for name in floors}, "sides": sides}
        for side in sides:
            if side["side"] in chosen:
                turns = calls[side["side"]]
                side |= figures(turns, case) if turns else {"status": "failed in the rounds"}
        complete(record, problem)
        self._drop_all(case, [])
        return record | {"other_cores": max(0.0, round(others.cores(), 2))}

    def machine(self) -> Record:
        """Bytes or operations per second of the machine's own ceilings."""
        case = Case("machine", "tiny", "fm", 64)
        chosen = {name: self.worker(CEILINGS[name], name, False) for name in ("copy", "gather", "product")}
        amounts = {"copy": 2 * 4 * 64e6, "gather": 64 * 65_536 * 26, "product": 2 * 2048**3}
        found = {}
        for name, turns in self._take_turns(case, chosen).items():
            found[name] = {"per_second": amounts[name] / statistics.median(rounds(turns)), "seconds": rounds(turns)}
        for worker in chosen.values():
            worker.close()
        return found

    def quality(self, case: Case) -> Record:
        """Area under the curve of the tested samples after the plan's epochs, and the seconds of the training."""
        say(f"{case.name}")
        problem, sides = Problem(self.folder, case), []
        labels = problem.labels[problem.tested]
        for peer in self.peers:
            side: Record = {"side": peer.name, **self._absent(peer)}
            sides.append(side)
            if "status" in side:
                continue
            worker = self._favourite(peer)
            try:
                offer = worker.ask("offers", case.name, 0)
                side |= {"status": "not offered"} if not offer else {"note": offer[1], "judged": offer[0]}
                if offer:
                    time.sleep(IDLE)
                    seconds, *logits = worker.ask("quality", case.name, self.plan.epochs)
                    auc = judge.area(np.asarray(logits), labels)
                    trained = self.plan.epochs * problem.batches * problem.batch
                    side |= {"status": "measured", "auc": auc, "median": seconds, "settings": worker.label}
                    side["samples_per_second"] = trained / seconds
                    say(f"  {peer.name}: AUC {auc:.4f} in {seconds:.2f} s")
                worker.ask("drop", "", 0)
            except Failed as error:
                side |= {"status": f"failed: {error}"}
        return {"case": case.name, "epochs": self.plan.epochs, "sides": sides}

    def _favourite(self, peer: Peer) -> Worker:
        """The worker that was chosen most often so far, else the first settings."""
        own = [worker for worker in self.workers.values() if worker.peer == peer]
        return max(own, key=lambda worker: worker.wins, default=None) or self.worker(peer, peer.settings[0], peer.waits)

    def _absent(self, peer: Peer) -> Record:
        return {} if interpreter(peer.key, peer.imports) else {"status": "not installed"}

    def _truth(self, problem: Problem) -> Any:
        """What the case must give."""
        if problem.case.kind in ("kernel", "score"):
            return judge.formula(problem, problem.samples(0))
        if not problem.hidden:
            return judge.fm_training(problem)
        return self.worker(REFERENCE, "reference", False).ask("check", problem.case.name, CHECKED)

    def _prepared(self, peer: Peer, problem: Problem, truth: Any) -> tuple[Record, Worker | None]:
        """The side's record, and its worker with the fastest settings; None where there is nothing to be timed."""
        side: Record = {"side": peer.name, **self._absent(peer)}
        if "status" in side:
            return side, None
        worker, tried = self._fastest(peer, problem.case, lambda worker: self._verdict(worker, problem, truth, side))
        side["tried"] = {name: seconds for name, seconds in tried.items() if isinstance(seconds, float)}
        side["refused"] = {name: why for name, why in tried.items() if isinstance(why, str)}
        if worker is None:
            reasons = [why for why in side["refused"].values() if why != "not offered"]
            side["status"] = reasons[0] if reasons else "not offered"
        else:
            worker.wins += 1
            side |= {"status": "timed", "settings": worker.label}
            if problem.case.kind == "step":
                side["peak_mib"] = worker.ask("peak", "", 0)[0]
        say(f"  {peer.name}: {side['status']}" + "".join(f"; {n} {t * 1e3:.3g} ms" for n, t in side["tried"].items()))
        return side, worker

    def _floor(self, name: str, case: Case) -> Worker:
        """The ceiling in its fastest way; Failed where it has none, for then no share can be told."""
        worker, tried = self._fastest(CEILINGS[name], case)
        if worker is None:
            raise Failed(f"the ceiling {name} of {case.name}: {tried}")
        return worker

    def _verdict(self, worker: Worker, problem: Problem, truth: Any, side: Record) -> str:
        """ "" or why the worker is not timed."""
        case = problem.case
        offer = worker.ask("offers", case.name, 0)
        if not offer:
            return "not offered"
        side["judged"], side["note"] = offer
        found = worker.ask("check", case.name, CHECKED)
        if case.kind in ("kernel", "score"):
            return judge.wrong_logits(found, truth)
        return judge.wrong_training(found, truth, problem.rows[problem.probes].astype(np.float64), offer[0])

    def _fastest(
        self, peer: Peer, case: Case, verdict: Callable[[Worker], str] = lambda worker: ""
    ) -> tuple[Worker | None, dict[str, float | str]]:
        """All settings with passive waiting, then the best with default waiting; seconds of each, or why none.

        A quick run finds settings and waiting in its first training step: the next ones take both, other cases with
        batches of more than one sample the waiting.
        """
        tried: dict[str, float | str] = {}
        best: tuple[float, Worker | None] = (float("inf"), None)
        ways = [(settings, peer.waits) for settings in self._tried(peer)]
        defaults = int(peer.waits)  # trials with default waiting that are still to come
        if self.quick and case.batch > 1 and (earlier := self.steppers.get(peer.name)):
            settings = [earlier.settings] if case.kind == "step" else self._tried(peer)
            ways, defaults = [(way, earlier.passive) for way in settings], 0
        while ways:
            worker = self.worker(peer, *ways.pop(0))
            try:
                found = verdict(worker) or self._trial(worker, case)
            except Failed as error:
                found = f"failed: {error}"
            tried[worker.label] = found
            if isinstance(found, float) and found < best[0]:
                best = found, worker
            elif worker is not best[1]:
                self._drop(worker)
            if not ways and best[1] is not None and defaults:
                ways, defaults = [(best[1].settings, False)], 0
        if case.kind == "step" and best[1] is not None:
            self.steppers[peer.name] = best[1]
        return best[1], tried

    def _trial(self, worker: Worker, case: Case) -> float:
        """The lesser median of two short turns, the first of two calls; of one where they fill a turn."""
        least = statistics.median(worker.ask("time", case.name, 2))
        worker.calls = self._calls(least)
        if worker.calls > 1:
            time.sleep(IDLE)
            least = min(least, statistics.median(worker.ask("time", case.name, worker.calls)))
            worker.calls = self._calls(least)
        return least

    def _calls(self, seconds: float) -> int:
        """How many calls of so many seconds make a turn."""
        return max(1, min(MOST_CALLS, round(self.plan.turn / seconds)))

    def _take_turns(self, case: Case, chosen: dict[str, Worker]) -> dict[str, list[list[float]]]:
        """Seconds of every call, by name and round; each turn after IDLE seconds of silence."""
        turns: dict[str, list[list[float]]] = {name: [] for name in chosen}
        for worker in chosen.values():
            if not worker.calls:
                self._trial(worker, case)
        for _ in range(self.plan.rounds):
            for name, worker in chosen.items():
                time.sleep(IDLE)
                with contextlib.suppress(Failed):  # a side that fails in every round has no time
                    turns[name].append(worker.ask("time", case.name, worker.calls))
        return turns

    def _drop_all(self, case: Case, kept: Sequence[Worker | None]) -> None:
        for worker in self.workers.values():
            if worker not in kept:
                self._drop(worker)

    def _drop(self, worker: Worker) -> None:
        """Frees the case's memory; the process stays."""
        if worker.holds:
            worker.ask("drop", "", 0)
        worker.calls = 0


def rounds(turns: Sequence[Sequence[float]]) -> list[float]:
    """The median of each turn."""
    return [statistics.median(turn) for turn in turns]


def figures(turns: Sequence[Sequence[float]], case: Case) -> Record:
    """Median, extremes and raw rounds; of scores also the 50th and 99th percentile of all calls."""
    medians = rounds(turns)
    found: Record = {"median": statistics.median(medians), "min": min(medians), "max": max(medians), "rounds": medians}
    found["samples_per_second"] = case.batch / found["median"]
    if case.kind == "score":
        calls = np.concatenate([np.asarray(turn) for turn in turns])
        found |= {"p50": float(np.quantile(calls, 0.5)), "p99": float(np.quantile(calls, 0.99)), "calls": len(calls)}
    return found


def complete(record: Record, problem: Problem) -> None:
    """Adds GB/s, GFLOP/s, the share of the ceiling and the ratio to ours to the timed sides."""
    case = problem.case
    distinct = float(np.mean([len(np.unique(problem.batch_ids(number))) for number in range(min(problem.batches, 2))]))
    record |= {"bytes": moved(case, problem.dim, distinct), "flops": computed(case, problem.widths)}
    floor = sum(statistics.median(seconds) for seconds in record["ceilings"].values())
    if floor:
        record["ceiling_seconds"] = floor
    floors = [sum(parts) for parts in zip(*record["ceilings"].values(), strict=True)]
    ours = next((side.get("rounds") for side in record["sides"] if side["side"] == OURS), None)
    for side in record["sides"]:
        if "median" not in side:
            continue
        side["gigabytes_per_second"] = record["bytes"] / side["median"] / 1e9
        side["gigaflops"] = record["flops"] / side["median"] / 1e9
        if floor:
            side["share_of_ceiling"] = median_ratio(floors, side["rounds"])
        if ours:
            side["times_ours"] = median_ratio(side["rounds"], ours)


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median over rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(over, under, strict=False))
