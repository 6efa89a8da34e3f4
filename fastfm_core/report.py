"""What a run leaves to read: the metrics file, the closing lines, the folder it all goes to, time and memory used."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastfm_core import checkpoint
from fastfm_core.errors import InputError


class Stopwatch:
    """Seconds by name: encode, compile, train (whatever is measured), total. Compilation counts under compile alone."""

    def __init__(self, backend: Any) -> None:
        self._compiled = getattr(backend, "compile_seconds", lambda: 0.0)
        self._started, self._compiled_before = time.perf_counter(), self._compiled()
        self._seconds: dict[str, float] = {}

    def clock(self) -> float:
        """Seconds since an arbitrary moment; the clock stands still while kernels compile."""
        return time.perf_counter() - self._compiled()

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        started = self.clock()
        yield
        self._seconds[name] = self.clock() - started

    @property
    def seconds(self) -> dict[str, float]:
        """What was measured so far, and the total until now."""
        compiled = self._compiled() - self._compiled_before
        total = time.perf_counter() - self._started
        encode = {name: value for name, value in self._seconds.items() if name == "encode"}
        return encode | {"compile": compiled} | self._seconds | {"total": total}


def peak_memory_mb() -> float | None:
    """The largest resident size of this process so far, in MiB; None where the system does not tell (Windows)."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def score_line(part: str, measured: Mapping[str, float]) -> str:
    """The closing line: 'test AUC 0.8123 ± 0.0091, log-loss 0.5321 (2,537 rows)'."""
    if "rmse" in measured:
        scores = f"RMSE {measured['rmse']:.4f}, MAE {measured['mae']:.4f}"
    elif math.isnan(measured["auc"]):
        scores = f"AUC undefined (one class only), log-loss {measured['logloss']:.4f}"
    else:
        scores = f"AUC {measured['auc']:.4f} ± {measured['auc_se']:.4f}, log-loss {measured['logloss']:.4f}"
    return f"{part} {scores} ({measured['rows']:,} rows)"


@contextmanager
def run_folder(out: str | Path | None, stem: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Makes the run's folder, ``out`` or the next free runs/<stem>-<n>; when the block fails, it is removed if empty.

    Raises InputError when ``out`` already holds a model and ``overwrite`` is not set.
    """
    folder = Path(out) if out else _next_free(Path("runs"), stem)
    if checkpoint.holds_model(folder) and not overwrite:
        raise InputError(f"{folder}: already holds a model; name another --out, or add --overwrite to replace it")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        with suppress(OSError):
            for path in missing:
                path.rmdir()
        raise


def _next_free(parent: Path, stem: str) -> Path:
    numbers = [path.name.removeprefix(f"{stem}-") for path in parent.glob("*") if path.name.startswith(f"{stem}-")]
    return parent / f"{stem}-{max((int(number) for number in numbers if number.isdecimal()), default=0) + 1}"
