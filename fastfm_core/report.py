"""What a run leaves to read: the metrics file, the closing lines, the folder it all goes to, time and memory used."""

from __future__ import annotations

import math
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastfm_core import checkpoint
from fastfm_core.backends import Backend
from fastfm_core.errors import InputError
from fastfm_core.run import Run, unfinished
from fastfm_core.train import Training
from fastfm_core.trained import TrainedModel

WORTH_A_LINE = 0.5


class Stopwatch:
    """Seconds by name: what was measured, and the total. Time spent compiling kernels counts as "compile" alone."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._before = backend.compile_seconds, backend.compiled_kernels
        self._started = time.perf_counter()
        self._measured: dict[str, float] = {}

    def clock(self) -> float:
        """Seconds since an arbitrary moment; stands still while kernels compile."""
        return time.perf_counter() - self._backend.compile_seconds

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        started = self.clock()
        yield
        self._measured[name] = self.clock() - started

    @property
    def compiled(self) -> float:
        """Seconds of compilation so far."""
        return self._backend.compile_seconds - self._before[0]

    @property
    def seconds(self) -> dict[str, float]:
        """What was measured so far, in order, with compile and total."""
        total = time.perf_counter() - self._started
        return {"encode": 0.0, "compile": self.compiled} | self._measured | {"total": total}

    def compile_line(self) -> str | None:
        """What the compiler took so far, when that is worth a line."""
        if self.compiled <= WORTH_A_LINE:
            return None
        kernels = self._backend.compiled_kernels - self._before[1]
        return f"compiled {kernels} kernels in {self.compiled:.1f} s, cached for the next run"


def train_metrics(
    model: TrainedModel, backend: Backend, watch: Stopwatch, training: Training, scores: dict[str, Any]
) -> dict[str, Any]:
    """The metrics file of a training; ``scores`` has the parts' metrics by name."""
    rows = sum(record["rows"] for record in training.history)
    seconds = sum(record["seconds"] for record in training.history)
    return {
        "model": model.name,
        "backend": backend.name,
        "seed": model.seed,
        "parameters": model.parameters,
        "epochs": training.history[-1]["epoch"],
        "best_epoch": training.best_epoch,
        "seconds": watch.seconds,
        "rows_per_second": rows / seconds,
        "peak_memory_mb": peak_memory_mb(),
        "config": asdict(model.config),
        **scores,
        "history": training.history,
    }


def evaluate_metrics(model: TrainedModel, backend: Backend, watch: Stopwatch, score: dict[str, Any]) -> dict[str, Any]:
    """The metrics file of an evaluation: the same names, the table as its test part."""
    return {
        "model": model.name,
        "backend": backend.name,
        "seed": model.seed,
        "parameters": model.parameters,
        "seconds": watch.seconds,
        "rows_per_second": score["rows"] / watch.seconds["evaluate"],
        "peak_memory_mb": peak_memory_mb(),
        "config": asdict(model.config),
        "test": score,
    }


def peak_memory_mb() -> float | None:
    """The largest resident size of this process so far, in MiB; None where the system does not tell (Windows).

    Linux counts it from the program's start as VmHWM; getrusage there begins with the parent's, however large that is.
    """
    with suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()):
            return int(found[1]) / 2**10
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def score_line(part: str, measured: Mapping[str, Any]) -> str:
    """The closing line: 'test AUC 0.8123 ± 0.0091, log-loss 0.5321 (2,537 rows)'."""
    if "rmse" in measured:
        scores = f"RMSE {measured['rmse']:.4f}, MAE {measured['mae']:.4f}"
    elif measured["auc"] is None or math.isnan(measured["auc"]):
        scores = f"AUC undefined (one class only), log-loss {measured['logloss']:.4f}"
    else:
        scores = f"AUC {measured['auc']:.4f} ± {measured['auc_se']:.4f}, log-loss {measured['logloss']:.4f}"
    within = {"gauc": "GAUC", "hr@10": "HR@10", "ndcg@10": "NDCG@10"}
    known = [f", {shown} {measured[name]:.4f}" for name, shown in within.items() if measured.get(name) is not None]
    return f"{part} {scores}{''.join(known)} ({measured['rows']:,} rows)"


def require_free(out: str | Path, *, overwrite: bool) -> None:
    """InputError when no model can be put there: a file has that name, or the folder holds a model or a training.

    overwrite  the latter may be replaced
    """
    for path in (Path(out), *Path(out).parents):
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: is a file; name another folder with --out")
    if not overwrite and unfinished(out):
        raise InputError(f"{out}: holds an unfinished training; add --resume to go on with it, or --overwrite")
    if not overwrite and checkpoint.holds_model(out):
        raise InputError(f"{out}: already holds a model; name another --out, or add --overwrite to replace it")


@contextmanager
def new_run(out: str | Path | None, stem: str, options: Mapping[str, Any], fingerprint: str) -> Iterator[Run]:
    """Starts a run in ``out`` or the next free runs/<stem>-<n>. If the block fails, it is kept if it can be resumed."""
    folder = Path(out) if out else _next_free(Path("runs"), stem)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    run = None
    try:
        run = Run.start(folder, options, fingerprint)
        with resumable(run):
            yield run
    except BaseException:
        if run is None or (run.position is None and not run.finished):
            with suppress(OSError):
                if run is not None:
                    run.forget()
                for path in missing:
                    path.rmdir()
        raise


@contextmanager
def resumable(run: Run) -> Iterator[Run]:
    """Says how to go on when Ctrl-C stops the block at once and there is a checkpoint."""
    try:
        yield run
    except KeyboardInterrupt:
        if run.position is None:
            raise
        raise run.interrupted(signal.SIGINT) from None


@contextmanager
def old_run(folder: str | Path, fingerprint: str) -> Iterator[Run]:
    """Opens the run in ``folder`` to go on with it. InputError when the data are other ones."""
    run = Run.open(folder)
    run.require_data(fingerprint)
    run.clean()
    with resumable(run):
        yield run


def _next_free(parent: Path, stem: str) -> Path:
    numbers = [path.name.removeprefix(f"{stem}-") for path in parent.glob("*") if path.name.startswith(f"{stem}-")]
    return parent / f"{stem}-{max((int(number) for number in numbers if number.isdecimal()), default=0) + 1}"
