"""The peers of the native targets' training steps: how each is started, held against ours, the fastest found and timed.

A step is: assemble a shuffled batch, row plan, forward, backward, Adagrad (lr 0.05) on embedding and first-order rows,
Adam on the rest. Peers are PyTorch with sparse gradients (torch.optim.Adagrad) and FBGEMM with Adagrad fused into its
tables' backward pass. All start from the same weights, and the losses of the first steps must agree. Ceilings are timed
in our process in the same rounds: the step's matrix products through NumPy, and its looked-up rows read once.

FBGEMM and xlearn want interpreters of their own (README.md says how to install them), named by the environment
variables FASTFM_FBGEMM_PYTHON and FASTFM_XLEARN_PYTHON; without them the current one counts if it can import them.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
from typing import NamedTuple

from fastfm_core.bench.machine import print_table
from timing import Side, interleave, ratios, spread

Turns = dict[str, list[float]]
TOLERANCE, CHECKED, TRIES = 1e-5, 3, 3
CORES = str(os.cpu_count())
INTERPRETERS = {"fbgemm_gpu": "FASTFM_FBGEMM_PYTHON", "xlearn": "FASTFM_XLEARN_PYTHON"}


class Step(NamedTuple):
    """A training step: workload "w1", "uniform" or "zipf", samples of a batch, hidden layers such as 64-64, or fm."""

    workload: str
    batch: int
    hidden: str


class Peer(NamedTuple):
    """One way to run a peer; threads "0" is its own default, else OpenMP's threads wait passively."""

    name: str
    script: str
    threads: str
    settings: tuple[str, ...]
    python: str = sys.executable

    def start(self, step: Step) -> Side:
        """Its process, ready to be asked."""
        environment = {"OMP_WAIT_POLICY": "PASSIVE"} if self.threads != "0" else {}
        arguments = [step.workload, str(step.batch), step.hidden, self.threads, *self.settings]
        return Side(self.script, arguments, environment, self.python)


def interpreter(package: str) -> str | None:
    """The Python that has the package; None: not installed."""
    named = os.environ.get(INTERPRETERS[package])
    return named or (sys.executable if importlib.util.find_spec(package) else None)


def installed() -> str:
    """Each peer's interpreter and the versions of what it runs on, in words."""
    program = "import importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in %r.split()), sep=', ')"
    words = []
    for package, names in {"fbgemm_gpu": "fbgemm-gpu-cpu torch numpy", "xlearn": "xlearn numpy"}.items():
        python = interpreter(package)
        if python is None:
            words.append(f"{package} not installed")
        else:
            found = subprocess.run([python, "-c", program % names], capture_output=True, text=True, check=True)
            words.append(found.stdout.strip())
    return "; ".join(words)


def torch_peers() -> list[Peer]:
    """Two tables or one, threads by default or passive."""
    return [
        Peer(f"torch {layout}{', passive' if threads != '0' else ''}", "step_torch.py", threads, (layout,))
        for layout in ("two", "lane")
        for threads in ("0", CORES)
    ]


def fbgemm_peer(python: str, threads: str, layout: str, head: str) -> Peer:
    """FBGEMM with those settings, which step_fbgemm.py explains."""
    name = f"fbgemm {layout} {head}{', passive' if threads != '0' else ''}"
    return Peer(name, "step_fbgemm.py", threads, (layout, head), python)


def start_ours(step: Step, backend: str) -> tuple[Side, list[float]]:
    """Our side, and the losses of its first steps, to which every peer is held."""
    side = Side("step_ours.py", [step.workload, str(step.batch), step.hidden, backend])
    return side, side.ask("losses", CHECKED)


def seconds(peer: Peer, step: Step, losses: list[float]) -> float:
    """The least median of a few short turns of a peer, after its first losses were found equal to ours."""
    side = peer.start(step)
    require_equal(peer.name, side.ask("losses", CHECKED), losses)
    calls = side.calls_of_a_turn("step")
    least = min(side.turn("step", calls) for _ in range(TRIES))
    side.close()
    print(f"  {step.hidden} B={step.batch}, {peer.name}: {least * 1e3:.1f} ms", flush=True)
    return least


def require_equal(name: str, found: list[float], expected: list[float]) -> None:
    """Ends the program where a peer's losses differ from ours by more than float32's rounding."""
    gap = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    if not gap <= TOLERANCE:
        sys.exit(f"{name} computes something else: its first losses differ from ours by {gap:.1e}")


def fastest_torch(step: Step, losses: list[float]) -> list[Peer]:
    """The faster layout with default threads, and with passive ones."""
    return fastest_by_threads({peer: seconds(peer, step, losses) for peer in torch_peers()})


def fastest_fbgemm(step: Step, losses: list[float]) -> list[Peer]:
    """The layout that is faster eager and passive; with that the better head for each threads. []: not installed."""
    python = interpreter("fbgemm_gpu")
    if python is None:
        return []
    first = [fbgemm_peer(python, CORES, layout, "eager") for layout in ("one", "many")]
    taken = {peer: seconds(peer, step, losses) for peer in first}
    layout = min(first, key=lambda peer: taken[peer]).settings[0]
    ways = [("0", "eager"), (CORES, "compiled"), ("0", "compiled")]
    others = [fbgemm_peer(python, threads, layout, head) for threads, head in ways]
    return fastest_by_threads(taken | {peer: seconds(peer, step, losses) for peer in others})


def fastest_by_threads(taken: dict[Peer, float]) -> list[Peer]:
    """A peer for each threads setting: both take part in the rounds, for which one wins hangs on who else computes."""
    settings = dict.fromkeys(peer.threads for peer in taken)
    return [
        min((peer for peer in taken if peer.threads == threads), key=lambda peer: taken[peer]) for threads in settings
    ]


def measure(step: Step, backend: str, rounds: int, peers: tuple[str, ...] = ("torch", "fbgemm")) -> Turns:
    """Seconds per step of every side in every round: ours, gather, gemm (with an MLP), and the peers by their names."""
    ours, losses = start_ours(step, backend)
    find = {"torch": fastest_torch, "fbgemm": fastest_fbgemm}
    found = [peer for name in peers for peer in find[name](step, losses)]
    sides = {peer.name: peer.start(step) for peer in found}
    timed = {
        "ours": (ours, "step"),
        **{name: (side, "step") for name, side in sides.items()},
        "gather": (ours, "gather"),
    }
    if step.hidden != "fm":
        timed["gemm"] = (ours, "gemm")
    turns = interleave({name: (*of, of[0].calls_of_a_turn(of[1])) for name, of in timed.items()}, rounds)
    for side in (ours, *sides.values()):
        side.close()
    return turns


def times_as_fast(turns: Turns, peer: str) -> list[float] | None:
    """The time of the peer's faster side over ours in each round; None where it took no part."""
    sides = [seconds for name, seconds in turns.items() if name.startswith(peer)]
    return ratios(min(sides, key=statistics.median), turns["ours"]) if sides else None


def report(step: Step, turns: Turns) -> dict[str, float]:
    """Prints one table; returns the ratios that matter."""
    rows = []
    for name, seconds in turns.items():
        rate = f"{step.batch / statistics.median(seconds) / 1e3:.1f}k"
        rows.append([name, spread(seconds, 1e3), rate, spread(ratios(seconds, turns["ours"]))])
    print_table([f"{step.hidden}, B={step.batch}", "ms per step (least-largest)", "samples/s", "time over ours"], rows)
    floor = [sum(parts) for parts in zip(*(turns[name] for name in ("gather", "gemm") if name in turns), strict=True)]
    speedups = {peer: times_as_fast(turns, peer) for peer in ("torch", "fbgemm")}
    figures = {f"over_{peer}": values for peer, values in speedups.items() if values is not None}
    figures["over_ceiling"] = ratios(turns["ours"], floor)
    print("; ".join(f"{name} {spread(values)}" for name, values in figures.items()), end="")
    print(" (the ceiling: its rows read once plus its matrix products)\n")
    return {name: statistics.median(values) for name, values in figures.items()}
