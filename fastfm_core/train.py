"""Training: epochs of steps, validation after each, early stopping, the best weights restored.

One step is forward, loss, backward, (clipped) update. ``EarlyStopping`` judges the epochs by the validation metric:
the AUC for task="binary", the RMSE for task="regression". Clipping multiplies the whole gradient by
min(1, clip_norm / |g|), with |g| the norm over all parameters: Pascanu et al., ICML 2013.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastfm_core import checkpoint, metrics, ops, optim
from fastfm_core.config import TrainConfig
from fastfm_core.contract import Batch
from fastfm_core.errors import InputError, NonFiniteLoss

PLATEAU_FACTOR = 0.1
Record = dict[str, Any]


class Progress(Protocol):
    """Who is told how the training goes."""

    def start(self, epoch: int) -> None: ...
    def step(self, rows: int, loss: float) -> None: ...
    def end(self, record: Record) -> None: ...


class Silent:
    """Progress that shows nothing."""

    def start(self, epoch: int) -> None: ...
    def step(self, rows: int, loss: float) -> None: ...
    def end(self, record: Record) -> None: ...


class Training(NamedTuple):
    """What ``fit`` returns.

    history     one dict per epoch: epoch, train_loss (mean over its rows, dropout on, weights moving), lr, seconds and
                rows_per_second (of its steps), valid (metrics of the validation part)
    best_epoch  the epoch, counted from 1, whose weights the model now has
    """

    history: list[Record]
    best_epoch: int


class EarlyStopping:
    """Judges epochs by a score, higher is better.

    ``patience`` epochs in a row without a better score end the training. With lr_schedule="plateau" the learning rate
    is multiplied by PLATEAU_FACTOR when half of them (rounded up) have passed. One bad epoch says little: the
    scores of an FM on few rows are noisy while it learns slowly, and a lower rate would end it early.
    """

    def __init__(self, patience: int, lr_schedule: str = "plateau") -> None:
        self.patience, self.lr_schedule = patience, lr_schedule
        self.best, self.best_epoch, self.misses = -math.inf, 0, 0

    def improved(self, score: float, epoch: int) -> bool:
        """Takes the epoch's score; True when it is the best so far."""
        if score > self.best:
            self.best, self.best_epoch, self.misses = score, epoch, 0
            return True
        self.misses += 1
        return False

    @property
    def stop(self) -> bool:
        return self.misses >= self.patience

    @property
    def lr_factor(self) -> float:
        """What to multiply the learning rate with before the next epoch."""
        wait = (self.patience + 1) // 2
        due = self.lr_schedule == "plateau" and self.misses and self.misses % wait == 0
        return PLATEAU_FACTOR if due else 1.0


def fit(
    model: Any,
    optimizer: Any,
    train_batches: Any,
    valid_batches: Any,
    config: TrainConfig,
    *,
    snapshot_dir: str | Path,
    task: str = "binary",
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Training:
    """Trains in place and leaves the model with the weights of its best epoch.

    train_batches, valid_batches  have ``epoch(number)``, which yields ``Batch``es with labels
    snapshot_dir                  an existing folder; the best weights rest there while training goes on
    clock                         seconds; the history's times are read from it

    Raises NonFiniteLoss naming epoch and batch, InputError when the validation labels are all the same.
    """
    progress = progress or Silent()
    steps = itertools.count(1)
    stopping = EarlyStopping(config.patience, config.lr_schedule)
    history: list[Record] = []
    with _Snapshot(snapshot_dir) as snapshot:
        for epoch in range(1, config.epochs + 1):
            progress.start(epoch)
            model.train()
            started, rows, loss_sum = clock(), 0, 0.0
            for number, batch in enumerate(train_batches.epoch(epoch), 1):
                loss = train_step(model, optimizer, batch, task=task, step=next(steps), clip_norm=config.clip_norm)
                if not math.isfinite(loss):
                    raise NonFiniteLoss(f"epoch {epoch}, batch {number}: the loss is {loss}; lower lr or set clip_norm")
                rows, loss_sum = rows + batch.entries.samples, loss_sum + loss * batch.entries.samples
                progress.step(batch.entries.samples, loss)
            record: Record = {"epoch": epoch, "train_loss": loss_sum / rows, "lr": optimizer.lr}
            record |= speed(rows, clock() - started)
            record["valid"] = evaluate(model, valid_batches, task)
            history.append(record)
            progress.end(record)
            if stopping.improved(selection_score(record["valid"]), epoch):
                snapshot.take(model)
            if stopping.stop:
                break
            optimizer.lr *= stopping.lr_factor
        snapshot.restore(model)
    return Training(history, stopping.best_epoch)


def train_step(model: Any, optimizer: Any, batch: Batch, *, task: str, step: int, clip_norm: float = 0.0) -> float:
    """One update on one batch; returns the loss before it. A loss that is not finite updates nothing.

    step  counted from 1, names the dropout draw;  clip_norm  the largest gradient norm, 0: no clipping
    """
    if batch.labels is None:
        raise InputError("the batch has no labels to learn from; give the encoder labels, too")
    loss_function = ops.mse if task == "regression" else ops.bce_with_logits
    model.begin_step(step)
    optimizer.zero_grad()
    loss = loss_function(model(batch), batch.labels, batch.weights)
    value = float(loss.item())
    if math.isfinite(value):
        loss.backward()
        optimizer.step(grad_scale=_clip_scale(model, clip_norm))
    return value


def predict(model: Any, batches: Any, task: str = "binary") -> np.ndarray:
    """Probabilities (predictions for task="regression") of all rows in the batches' order, [N] float64."""
    return _outputs([model.predict(batch) for batch in batches.epoch(0)], task)


def evaluate(model: Any, batches: Any, task: str = "binary") -> dict[str, float]:
    """The metrics of the batches' rows, named as in the metrics file."""
    labels, logits = [np.zeros(0)], []
    for batch in batches.epoch(0):
        labels.append(batch.labels)
        logits.append(model.predict(batch))
    measure = metrics.regression if task == "regression" else metrics.binary
    return measure(np.concatenate(labels), _outputs(logits, task))


def _outputs(logits: list[np.ndarray], task: str) -> np.ndarray:
    outputs = np.concatenate([np.zeros(0), *logits])
    if not np.isfinite(outputs).all():
        raise NonFiniteLoss("the model's predictions are not finite; lower lr or set clip_norm and train again")
    return outputs if task == "regression" else metrics.sigmoid(outputs)


def selection_score(measured: dict[str, float]) -> float:
    """What early stopping maximises: the AUC, or minus the RMSE."""
    score = measured["auc"] if "auc" in measured else -measured["rmse"]
    if math.isnan(score):
        raise InputError("the validation part has labels of one class only, so no epoch can be chosen; give more rows")
    return score


def speed(rows: int, seconds: float) -> dict[str, float]:
    return {"rows_per_second": rows / max(seconds, 1e-9), "seconds": seconds}


def _clip_scale(model: Any, clip_norm: float) -> float:
    if not clip_norm:
        return 1.0
    norm = optim.gradient_norm(model.parameters())
    return min(1.0, clip_norm / norm) if norm else 1.0


class _Snapshot:
    """The best weights so far, in a file that is gone when the block is left, whichever way."""

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / ".best.safetensors"

    def __enter__(self) -> _Snapshot:
        return self

    def take(self, model: Any) -> None:
        checkpoint.write_weights(self.path, model.state_dict())

    def restore(self, model: Any) -> None:
        model.load_state_dict(checkpoint.read_weights(self.path))

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)
