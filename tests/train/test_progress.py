"""What the reader of the terminal sees while a model trains."""

from __future__ import annotations

import io

from fastfm_core.progress import EpochProgress, epoch_line, thousands

RECORD = {"epoch": 3, "position": 3.0, "train_loss": 0.54321, "lr": 1e-3, "rows_per_second": 123456.0, "seconds": 1.0}
CLOSING = "epoch   3   123k rows/s  loss 0.5432  validation AUC 0.8123  lr 0.001"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(stream: io.StringIO) -> str:
    progress = EpochProgress(rows=10, stream=stream)
    progress.start(3)
    progress.step(6, 0.6)
    progress.step(4, 0.5)
    progress.end(RECORD | {"valid": {"auc": 0.81234}})
    return stream.getvalue()


def test_a_log_gets_one_line_per_epoch():
    assert run(io.StringIO()) == CLOSING + "\n"


def test_a_terminal_gets_a_bar_and_then_the_same_line():
    shown = run(Terminal())
    assert "epoch 3:" in shown and "\r" in shown and "rows" in shown
    assert shown.endswith(CLOSING + "\n")


def test_an_evaluation_within_an_epoch_shows_where_it_stands():
    assert epoch_line(RECORD | {"position": 2.25, "valid": {"auc": 0.5}}).startswith("epoch   2.25   123k rows/s")


def test_a_resumed_epochs_bar_starts_where_it_stood():
    stream = Terminal()
    progress = EpochProgress(10, stream=stream)
    progress.start(3, 0.5)
    assert (progress.bar.n, progress.bar.total) == (5, 10)
    progress.close()


def test_regression_shows_its_rmse():
    assert "validation RMSE 0.9123" in epoch_line(RECORD | {"valid": {"rmse": 0.9123}})


def test_large_numbers_are_short():
    assert [thousands(n) for n in (7.0, 999.0, 1234.0, 45678.0, 1.5e6)] == ["7", "999", "1.23k", "45.7k", "1.5M"]


def test_the_remark_is_asked_once_and_stands_before_the_first_epochs_line():
    stream = io.StringIO()
    progress = EpochProgress(10, lambda: "compiled 3 kernels in 2.0 s", stream)
    for epoch in (1, 2):
        progress.start(epoch)
        progress.end(RECORD | {"epoch": epoch, "position": float(epoch), "valid": {"auc": 0.5}})
    lines = stream.getvalue().splitlines()
    assert [line[:8] for line in lines] == ["compiled", "epoch   ", "epoch   "]


def test_an_epoch_that_breaks_off_leaves_no_bar():
    stream = Terminal()
    progress = EpochProgress(10, stream=stream)
    progress.start(1)
    progress.close()
    assert progress.bar is None and stream.getvalue().endswith("\r")
