"""Who takes part: one line per peer, the interpreter that has it, and its worker processes.

A peer's interpreter is named by FASTFM_<KEY>_PYTHON; without it the current one counts if it can import the peer.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.timing import Side

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
# NumPy's and OpenBLAS's own switches would make the sides unequal
NEUTRAL = ("OMP_WAIT_POLICY", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "KMP_BLOCKTIME", "GOMP_SPINCOUNT")

THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "FASTFM_REFEREE_THREADS")


class Peer(NamedTuple):
    """One line of the tables.

    name      as it is printed
    key       the family, by which --peers chooses and the interpreter is found
    worker    module in workers/
    settings  ways to run it, all of them tried; the likely best first, for --quick tries ``quick`` of them alone
    imports   what must be importable, and what the footprint imports
    packages  the distributions behind it, for versions and install size
    waits     it runs on OpenMP: the best settings are tried with passive and with default waiting
    """

    name: str
    key: str
    worker: str
    settings: tuple[str, ...]
    imports: str
    packages: tuple[str, ...]
    waits: bool = False
    quick: int = 2


FBGEMM = ("one eager", "many eager", "one compiled", "many compiled")
ORT = ("one", "calm", "spin")
OURS = "fastfm_core native"
PEERS = (
    Peer(OURS, "fastfm", "fastfm", ("native",), "fastfm_core.train", ("fastfm-core",)),
    Peer("fastfm_core numba", "fastfm", "fastfm", ("numba",), "fastfm_core.backends.numba_cpu", ("fastfm-core",)),
    Peer("torch eager", "torch", "torch_plain", ("lane eager", "two eager"), "torch", ("torch",), True, 1),
    Peer("torch compiled", "torch", "torch_plain", ("two compiled", "lane compiled"), "torch", ("torch",), True, 1),
    Peer("torch best", "torch", "torch_best", ("one", "two"), "torch", ("torch",), True),
    Peer("FBGEMM", "fbgemm", "fbgemm", FBGEMM, "fbgemm_gpu", ("fbgemm-gpu-cpu", "torch"), True, 1),
    Peer("JAX", "jax", "jax_rows", ("sorted", "scatter"), "jax", ("jax", "jaxlib"), quick=1),
    Peer("ONNX Runtime", "onnxruntime", "onnx_runtime", ORT, "onnxruntime", ("onnxruntime",), quick=3),
    Peer("DeepCTR-Torch", "deepctr", "deepctr", ("",), "deepctr_torch", ("deepctr-torch", "torch"), True),
    Peer("modern_fm", "modern_fm", "modern_fm_epochs", ("",), "modern_fm", ("modern-fm",)),
    Peer("xlearn", "xlearn", "xlearn_text", ("",), "xlearn", ("xlearn",)),
)  # fmt: skip
CEILINGS = {
    "rows": Peer(
        "rows read once", "fastfm", "ceilings", ("rows 64x4", "rows 64", "rows 32", "rows 64x32"), "", (), quick=1
    ),
    "state": Peer("weights and state moved", "fastfm", "ceilings", ("state 64", "state 32"), "", (), quick=1),
    "gemm": Peer("matrix products", "fastfm", "ceilings", ("gemm pool", "gemm numpy"), "", ()),
    "copy": Peer("STREAM copy", "fastfm", "ceilings", ("copy",), "", ()),
    "gather": Peer("random gather", "fastfm", "ceilings", ("gather",), "", ()),
    "product": Peer("GEMM", "fastfm", "ceilings", ("product",), "", ()),
}
REFERENCE = Peer("reference", "fastfm", "fastfm", ("reference",), "", ())


@functools.cache
def interpreter(key: str, imports: str) -> str | None:
    """The Python that has the peer; None: not installed."""
    python = os.environ.get(f"FASTFM_{key.upper()}_PYTHON", sys.executable)
    if key == "fastfm":
        return sys.executable
    package = imports.partition(".")[0]
    program = f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"
    try:
        found = subprocess.run([python, "-c", program], capture_output=True, cwd="/").returncode == 0
    except OSError:
        found = False
    return python if found else None


class Failed(Exception):
    """A worker ended; the text says why."""


class Worker:
    """A peer's process with certain settings, started when it is first asked and again after it failed."""

    def __init__(self, peer: Peer, settings: str, passive: bool, folder: Path, threads: int) -> None:
        self.peer, self.settings, self.passive = peer, settings, passive
        self.folder, self.threads = folder, threads
        self.side: Side | None = None
        self.holds = False  # the data and weights of a case
        self.calls, self.wins = 0, 0  # calls of a turn in the case under way; cases in which it was the fastest

    @property
    def label(self) -> str:
        """The settings in words."""
        words = [self.settings] if len(self.peer.settings) > 1 else []
        if self.peer.waits:
            words.append("passive wait" if self.passive else "default wait")
        return ", ".join(words)

    def ask(self, verb: str, case: str, calls: int) -> list:
        """The worker's answer; Failed where it has none."""
        try:
            self.start()
            assert self.side is not None
            self.holds = verb != "drop"
            return self.side.ask(f"{verb}:{case}", calls)
        except (RuntimeError, BrokenPipeError) as error:
            self.side, self.holds = None, False
            self.errors.seek(0)
            lines = [line for line in self.errors.read().splitlines() if line.strip()]
            raise Failed(lines[-1][:200] if lines else str(error)) from error

    def start(self) -> None:
        """Starts the process where none runs."""
        self.side = self.side or self._started()

    def _started(self) -> Side:
        python = interpreter(self.peer.key, self.peer.imports)
        assert python is not None
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the worker)
        environment = {name: str(self.threads) for name in THREAD_COUNTS}
        environment |= PASSIVE if self.passive else {}
        module = f"benchmarks.referee.workers.{self.peer.worker}"
        arguments = [str(self.folder), self.settings]
        return Side(module, arguments, environment, python, stderr=self.errors)

    def let_go(self) -> None:
        """Lets the process end, without waiting for it."""
        if self.side is not None and self.side.process.stdin is not None:
            self.side.process.stdin.close()

    def close(self) -> None:
        """Ends the process."""
        if self.side is not None:
            self.side.close()
            self.errors.close()
            self.side = None
