"""How a training shows itself on stderr: a bar per epoch in a terminal, one line per epoch everywhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TextIO

from fastfm_core.errors import InputError


def say(line: str) -> None:
    """One line for the reader of the terminal; results go to stdout, everything else here."""
    print(line, file=sys.stderr, flush=True)


class EpochProgress:
    """Shows epochs of ``rows`` training rows: a tqdm bar while one runs, if the stream is a terminal, then its line.

    remark  asked once, at the first evaluation, for a line to show before its own; None: nothing to say
    """

    def __init__(
        self, rows: int, remark: Callable[[], str | None] = lambda: None, stream: TextIO | None = None
    ) -> None:
        self.rows, self.remark, self.stream = rows, remark, stream or sys.stderr
        self.bar: Any = None
        self.remarked = False

    def start(self, epoch: int, done: float = 0.0) -> None:
        """``done`` is the share of the epoch that was trained before."""
        if self.stream.isatty():
            self.bar = _tqdm()(
                total=self.rows, initial=round(done * self.rows), desc=f"epoch {epoch}", unit=" rows",
                unit_scale=True, leave=False, file=self.stream,
            )  # fmt: skip

    def step(self, rows: int, loss: float) -> None:
        if self.bar is not None:
            self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            self.bar.update(rows)

    def end(self, record: dict[str, Any]) -> None:
        self.close()
        remark = None if self.remarked else self.remark()
        self.remarked = True
        for line in filter(None, (remark, epoch_line(record))):
            print(line, file=self.stream, flush=True)

    def close(self) -> None:
        """Clears the bar of an epoch that did not end."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class PassProgress:
    """Shows one pass over a file: a tqdm bar while it lasts, if the stream is a terminal, else nothing.

    ``with PassProgress("encoding clicks.csv") as progress: ... progress(done, size)``
    """

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        self.name, self.stream = name, stream or sys.stderr
        self.bar: Any = None

    def __enter__(self) -> PassProgress:
        return self

    def __call__(self, done: int, size: int) -> None:
        if self.bar is None and self.stream.isatty():
            self.bar = _tqdm()(
                total=size, desc=self.name, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
                leave=False, file=self.stream,
            )  # fmt: skip
        if self.bar is not None:
            self.bar.update(done - self.bar.n)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


def epoch_line(record: dict[str, Any]) -> str:
    """The closing line of an epoch, or of the part of one that ends with an evaluation."""
    valid, position = record["valid"], record["position"]
    name, value = ("AUC", valid["auc"]) if "auc" in valid else ("RMSE", valid["rmse"])
    where = f"{position:>3.5g}" if position == int(position) else f"{position:>6.5g}"
    return (
        f"epoch {where}  {thousands(record['rows_per_second']):>5} rows/s  loss {record['train_loss']:.4f}"
        f"  validation {name} {value:.4f}  lr {record['lr']:.3g}"
    )


def thousands(number: float) -> str:
    """12345 -> '12.3k', 1234567 -> '1.23M'."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        raise InputError("showing the progress needs tqdm: pip install 'fastfm-core[train]'") from None
    return tqdm
