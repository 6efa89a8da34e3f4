"""Training: epochs of steps, validations, early stopping, checkpoints to resume from, the best weights restored.

One step is forward, loss, backward, (clipped) update. ``EarlyStopping`` judges evaluations by the validation metric
that the settings name. Clipping multiplies the whole gradient by min(1, clip_norm / |g|), with |g| the norm over all
parameters: Pascanu et al., ICML 2013. Rows that are behind the optimizer's steps (rows="exact") catch up before every
evaluation and checkpoint, and in the end.

Batches, dropout and learning rates are named by seed and position, so a training that goes on from a checkpoint makes
the bits of one that was never interrupted.
"""

from __future__ import annotations

import functools
import itertools
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from fastfm_core import metrics, optim, weighting
from fastfm_core.config import LOSSES, TrainConfig
from fastfm_core.contract import Batch
from fastfm_core.errors import InputError, NonFiniteLoss
from fastfm_core.objective import Objective
from fastfm_core.run import Run
from fastfm_core.schedule import EarlyStopping, rate_factor

if TYPE_CHECKING:
    from fastfm_core.saved_arrays import SavedArrays

Record = dict[str, Any]
LESS_IS_BETTER = ("logloss", "normalized_entropy", "rmse", "mae")


class Progress(Protocol):
    """Who is told how the training goes; ``done`` is the share of the epoch that was trained before."""

    def start(self, epoch: int, done: float) -> None: ...
    def step(self, rows: int, loss: float) -> None: ...
    def end(self, record: Record) -> None: ...


class Silent:
    """Progress that shows nothing."""

    def start(self, epoch: int, done: float) -> None: ...
    def step(self, rows: int, loss: float) -> None: ...
    def end(self, record: Record) -> None: ...


class Training(NamedTuple):
    """What ``fit`` returns.

    history     one dict per evaluation: epoch (counted from 1), position (epochs done, 2.5 is the middle of the third),
                rows and train_loss (mean over them, dropout on, weights moving) since the evaluation before, lr (of the
                last step), rows_per_second and seconds (of the steps), valid (metrics of the validation part)
    best_epoch  the epoch, counted from 1, from which the weights are that the model now has
    """

    history: list[Record]
    best_epoch: int


def fit(
    model: Any,
    optimizer: Any,
    train_batches: Any,
    valid_batches: Any,
    config: TrainConfig,
    *,
    snapshot_dir: str | Path | None = None,
    run: Run | None = None,
    task: str = "binary",
    valid_groups: np.ndarray | None = None,
    negatives: int = 0,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
    interrupted: Callable[[], int] = lambda: 0,
) -> Training:
    """Trains in place and leaves model and optimizer as they were at the best evaluation.

    train_batches, valid_batches  have ``epoch(number, start)``, which yields ``Batch``es with labels, and a length
    snapshot_dir                  an existing folder for the best weights while training goes on; None: a temporary one
    run                           goes on from its latest checkpoint, if it has one, and makes checkpoints there; None:
                                  what was trained is lost when it breaks off
    valid_groups                  [n] the groups of the validation rows, in the batches' order; None: they have none
    negatives                     how many follow each positive of the training batches
    clock                         seconds; the history's times are read from it
    interrupted                   asked after each step: a signal's number stops the training, 0 lets it go on

    Raises NonFiniteLoss naming epoch and batch, InputError when the validation labels are all the same, Interrupted
    after a checkpoint when it was told to stop.
    """
    config.require_task(task, grouped=valid_groups is not None, negatives=negatives)
    config, objective = replace(config, monitor=config.monitored(task)), Objective.of(config, task, negatives)
    with _run_or_temporary(run, snapshot_dir) as run:
        evaluation = functools.partial(evaluate, model, valid_batches, task, valid_groups)
        loop = _Loop(model, optimizer, train_batches, evaluation, config, objective, run, progress or Silent(), clock)
        while not loop.finished:
            loop.epoch(interrupted)
        _load(model, optimizer, run.best())
    return Training(loop.position.history, loop.stopping.best_epoch)


@contextmanager
def _run_or_temporary(run: Run | None, folder: str | Path | None) -> Iterator[Run]:
    if run is not None:
        yield run
        return
    with tempfile.TemporaryDirectory(prefix=".fit-", dir=folder) as temporary:
        yield Run.start(temporary, {})


@dataclass
class _Position:
    """Where a training stands, in JSON values.

    epoch, batch             the epoch under way, from 1, and how many of its batches are done
    lr                       the plateau's learning rate
    rows, loss_sum, seconds  since the last evaluation
    """

    lr: float
    epoch: int = 1
    batch: int = 0
    rows: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: list[Record] = field(default_factory=list)


class _Loop:
    """A training under way; ``epoch`` runs the rest of the current epoch."""

    def __init__(
        self, model: Any, optimizer: Any, train_batches: Any, evaluation: Callable[[], dict[str, float]],
        config: TrainConfig, objective: Objective, run: Run, progress: Progress, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.model, self.optimizer, self.config, self.objective = model, optimizer, config, objective
        self.train_batches, self.evaluation = train_batches, evaluation
        self.run, self.progress, self.clock = run, progress, clock
        self.stopping = EarlyStopping(config.patience, config.lr_schedule)
        self.position = _Position(optimizer.lr)
        self.class_weights = weighting.class_weights(config.class_weight, train_batches)
        self.batches = len(train_batches)
        self.steps = -(-self.batches // config.accumulate)  # of an epoch
        parts = config.evaluations_per_epoch
        ends = (-(-self.steps * part // parts) * config.accumulate for part in range(1, parts + 1))
        self.evaluations = {min(end, self.batches) for end in ends}  # batches done by then
        if run.position is not None:
            self._resume(run.position)

    @property
    def finished(self) -> bool:
        return self.stopping.stop or self.position.epoch > self.config.epochs

    def epoch(self, interrupted: Callable[[], int]) -> None:
        """Steps, evaluations and checkpoints up to the end of the epoch, or of the training."""
        batches = iter(self.train_batches.epoch(self.position.epoch, self.position.batch))
        self._begin()
        while group := list(itertools.islice(batches, self.config.accumulate)):
            self._step(group)
            evaluated = self.position.batch in self.evaluations
            if evaluated:
                self._evaluate()
            number = interrupted()
            if not evaluated and (number or self.clock() - self.saved >= self.config.checkpoint_seconds):
                self._save(best=False)
            if self.finished:
                return
            if number:
                raise self.run.interrupted(number)

    def _begin(self) -> None:
        self.progress.start(self.position.epoch, self.position.batch / self.batches)
        self.model.train()
        self.lap = self.saved = self.clock()

    def _step(self, group: list[Batch]) -> None:
        position, config = self.position, self.config
        first = (position.epoch - 1) * self.batches + position.batch + 1
        step = (position.epoch - 1) * self.steps + position.batch // config.accumulate + 1
        self.optimizer.lr = position.lr * rate_factor(config, step, config.epochs * self.steps)
        group = [weighting.by_class(batch, self.class_weights) for batch in group]
        clip = {"clip_norm": config.clip_norm, "clip_l2": config.clip_l2}
        loss = train_step(self.model, self.optimizer, *group, objective=self.objective, step=first, **clip)
        if not math.isfinite(loss):
            where = f"epoch {position.epoch}, batch {position.batch + 1}"
            raise NonFiniteLoss(f"{where}: the loss is {loss}; lower lr or set clip_norm")
        rows = sum(batch.entries.samples for batch in group)
        position.batch += len(group)
        position.rows, position.loss_sum = position.rows + rows, position.loss_sum + loss * rows
        self.progress.step(rows, loss)

    def _evaluate(self) -> None:
        self.optimizer.catch_up()
        self._measure()
        position = self.position
        record: Record = {"epoch": position.epoch, "position": position.epoch - 1 + position.batch / self.batches}
        record |= {"rows": position.rows, "train_loss": position.loss_sum / position.rows, "lr": self.optimizer.lr}
        record |= _speed(position.rows, position.seconds)
        record["valid"] = self.evaluation()
        position.history.append(record)
        self.progress.end(record)
        assert self.config.monitor is not None
        improved = self.stopping.improved(selection_score(record["valid"], self.config.monitor), position.epoch)
        position.rows, position.loss_sum, position.seconds = 0, 0.0, 0.0
        position.lr *= self.stopping.lr_factor
        if position.batch == self.batches:
            position.epoch, position.batch = position.epoch + 1, 0
        self._save(best=improved)
        self.run.write_history()
        if position.batch and not self.finished:
            self._begin()

    def _measure(self) -> None:
        """Adds the time since the last measurement to the steps' seconds."""
        now = self.clock()
        self.position.seconds, self.lap = self.position.seconds + now - self.lap, now

    def _save(self, *, best: bool) -> None:
        position, stopping = self.position, self.stopping
        self.optimizer.catch_up()
        if position.rows:
            self._measure()
        arrays = {f"model/{name}": array for name, array in self.model.state_dict().items()}
        arrays |= {f"optimizer/{name}": array for name, array in self.optimizer.state_dict().items()}
        judged = {"best": stopping.best, "best_epoch": stopping.best_epoch, "misses": stopping.misses}
        self.run.save(f"{position.epoch}-{position.batch}", arrays, asdict(position) | {"stopping": judged}, best=best)
        self.lap = self.saved = self.clock()

    def _resume(self, saved: Record) -> None:
        judged = saved["stopping"]
        self.stopping.best = -math.inf if judged["best"] is None else judged["best"]
        self.stopping.best_epoch, self.stopping.misses = judged["best_epoch"], judged["misses"]
        self.position = _Position(**{name: value for name, value in saved.items() if name != "stopping"})
        _load(self.model, self.optimizer, self.run.latest())
        self.run.write_history()


def _load(model: Any, optimizer: Any, arrays: SavedArrays) -> None:
    """Puts the arrays of a checkpoint into model and optimizer."""
    model.load_state_dict(arrays.under("model/"))
    optimizer.load_state_dict(arrays.under("optimizer/"))


def train_step(
    model: Any, optimizer: Any, *batches: Batch, task: str = "binary", objective: Objective | None = None, step: int,
    clip_norm: float = 0.0, clip_l2: bool = False,
) -> float:  # fmt: skip
    """One update on one batch, or on several as if they were one; returns the loss before it.

    A loss that is not finite updates nothing. Batch norm takes its statistics from each batch alone. The host waits for
    a device once, for the loss, while the backward pass is under way, and once more for the norm when clipping.

    objective  the loss; None: the default one of the task
    step       number of the (first) batch, counted from 1: it names the dropout draw, the next batch's is one higher
    clip_norm  the largest gradient norm, 0: no clipping
    clip_l2    embedding_l2's part of the gradient is measured and clipped, too; rows="dense" alone
    """
    objective = objective or Objective(LOSSES[task][0])
    optimizer.zero_grad()
    total: Any = 0.0
    for number, (batch, share) in enumerate(zip(batches, weighting.shares(batches), strict=True), step):
        if batch.labels is None:
            raise InputError("the batch has no labels to learn from; give the encoder labels, too")
        model.begin_step(number)
        batch = model.backend.to_device(batch)
        loss = objective(model(batch), batch)
        total = total + share * loss.data
        read = model.backend.read_later(total)
        with np.errstate(over="ignore", invalid="ignore"):
            loss.backward(share)
    total = read()
    if not math.isfinite(total):
        return total
    scale = _clip_scale(model, optimizer, clip_norm, clip_l2)
    optimizer.step(grad_scale=scale, l2_scale=scale if clip_l2 else 1.0)
    return total


def predict(model: Any, batches: Any, task: str = "binary") -> np.ndarray:
    """Probabilities (predictions for task="regression") of all rows in the batches' order, [N] float64."""
    return _outputs([model.predict(batch) for batch in batches.epoch(0)], task)


def evaluate(model: Any, batches: Any, task: str = "binary", groups: np.ndarray | None = None) -> dict[str, float]:
    """The metrics of the batches' rows, named as in the metrics file; ``groups`` [n] in the batches' order."""
    labels, logits = [np.zeros(0)], []
    for batch in batches.epoch(0):
        labels.append(batch.labels)
        logits.append(model.predict(batch))
    return measure(np.concatenate(labels), _outputs(logits, task), task, groups)


def measure(labels: np.ndarray, outputs: np.ndarray, task: str, groups: np.ndarray | None = None) -> dict[str, float]:
    """The metrics of labels and probabilities (predictions for task="regression"), [n] each."""
    return metrics.regression(labels, outputs) if task == "regression" else metrics.binary(labels, outputs, groups)


def _outputs(logits: list[np.ndarray], task: str) -> np.ndarray:
    outputs = np.concatenate([np.zeros(0), *logits])
    if not np.isfinite(outputs).all():
        raise NonFiniteLoss("the model's predictions are not finite; lower lr or set clip_norm and train again")
    return outputs if task == "regression" else metrics.sigmoid(outputs)


def selection_score(measured: dict[str, float], monitor: str) -> float:
    """What early stopping maximises: the metric, or minus the metric where less is better."""
    if math.isnan(measured.get("auc", 0.0)):
        raise InputError("the validation part has labels of one class only, so no epoch can be chosen; give more rows")
    if math.isnan(measured[monitor]):
        raise InputError(f"no group of the validation part has both classes, so {monitor} is undefined; give more rows")
    return -measured[monitor] if monitor in LESS_IS_BETTER else measured[monitor]


def _speed(rows: int, seconds: float) -> dict[str, float]:
    return {"rows_per_second": rows / max(seconds, 1e-9), "seconds": seconds}


def _clip_scale(model: Any, optimizer: Any, clip_norm: float, clip_l2: bool) -> float:
    if not clip_norm:
        return 1.0
    norm = optimizer.loss_gradient_norm() if clip_l2 else optim.gradient_norm(model.parameters())
    return min(1.0, clip_norm / norm) if norm else 1.0
