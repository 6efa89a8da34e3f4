"""Base: fitting, continuing, predicting, saving and loading, for classifiers and regressors of every model."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastfm_core import backends, train, trained
from fastfm_core.config import TrainConfig
from fastfm_core.data import Batches, Encoded
from fastfm_core.data.labels import Task
from fastfm_core.errors import NonFiniteLoss
from fastfm_core.estimators import inputs, saved
from fastfm_core.estimators.parameters import initializer
from fastfm_core.objective import Objective
from fastfm_core.prepare import EVALUATION_BATCH
from fastfm_core.progress import EpochProgress, say
from fastfm_core.trained import TrainedModel


class Base(BaseEstimator):
    """Attributes after a fit, beside scikit-learn's own:

    model_           the ``TrainedModel``: model, encoder, settings as they were resolved
    n_iter_          epochs run;  best_iteration_  the epoch, from 1, whose weights were kept
    history_         one dict per epoch: train_loss, lr, and from fit seconds, rows_per_second and valid (metrics of the
                     validation rows)
    """

    _model: str  # set by a class of one model; its parameters come from there
    _task: Task
    schema: Any
    backend: str
    random_state: Any
    valid_fraction: float
    verbose: int
    model_: TrainedModel
    n_iter_: int
    history_: list[dict[str, Any]]
    _optimizer: Any
    # (y, rows, reset=) -> labels [n] as the model learns them; (labels, rows) -> the groups validation gets a share of
    _labels: Callable[..., np.ndarray]
    _groups: Callable[..., list[np.ndarray]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "_model" in vars(cls):
            cls.__init__ = initializer(cls._model, cls._task)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = self._model in ("lr", "fm")
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def save(self, folder: str | Path) -> None:
        """Writes the fitted estimator into a folder, made if absent: weights, optimizer, description; no pickle."""
        check_is_fitted(self)
        saved.save(self, folder)

    @classmethod
    def load(cls, folder: str | Path, backend: str = "auto") -> Any:
        """The estimator that ``save`` wrote. InputError when the folder holds none of this class that can be read."""
        return saved.load(cls, folder, backend)

    def __getstate__(self) -> dict[str, Any]:
        """What pickle keeps: plain arrays in place of model and optimizer."""
        state = dict(super().__getstate__())
        if hasattr(self, "model_"):
            model, optimizer = self.model_.model, self._optimizer
            state["model_"] = self.model_._replace(model=(model.backend.name, model.state_dict()))
            state["_optimizer"] = (optimizer.lr, optimizer.state_dict())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Makes model and optimizer anew and copies the arrays in, which may be read-only maps of a file."""
        super().__setstate__(state)
        if hasattr(self, "model_"):
            known, optimizer = self.model_._asdict(), self._optimizer
            backend, weights = known.pop("model")
            self.model_ = trained.create(**known, backend=backends.get(backend), labels=np.array([0.5]))
            self.model_.model.load_state_dict(weights)
            self._optimizer = self.model_.optimizer()
            self._optimizer.lr = optimizer[0]
            self._optimizer.load_state_dict(optimizer[1])

    def _config(self) -> TrainConfig:
        names = [item.name for item in fields(TrainConfig) if hasattr(self, item.name)]
        return TrainConfig(**{name: getattr(self, name) for name in names})

    def _train(self, X: Any, y: Any, eval_set: Any, sample_weight: Any) -> Any:
        """A fit from scratch, with early stopping on the validation rows; returns self."""
        features = inputs.features_of(self, X, reset=True)
        count = inputs.rows_of(features)
        labels, weights = self._labels(y, count, reset=True), inputs.weights_of(sample_weight, count)
        train_rows = valid_rows = np.arange(count) if weights is None else np.flatnonzero(weights)
        groups, seed = self._groups(labels, train_rows), self._draw_seed()
        if eval_set is None:
            train_rows, valid_rows = inputs.held_out(groups, self.valid_fraction, seed)
        self._start(features, labels, weights, train_rows, seed)
        try:
            encoded = inputs.encode(self.model_.encoder, features, labels, weights)
            valid = _in_order(encoded, valid_rows) if eval_set is None else self._eval_batches(eval_set)
            self._run(encoded, train_rows, valid)
        except BaseException:
            del self.model_  # what did not train to its end is not fitted
            raise
        return self

    def _train_on(self, X: Any, y: Any, sample_weight: Any, *, new_labels: bool) -> Any:
        """One epoch over these rows, with the optimizer as it was left; the first call makes encoder and model."""
        first = not hasattr(self, "model_")
        features = inputs.features_of(self, X, reset=first)
        count = inputs.rows_of(features)
        labels, weights = self._labels(y, count, reset=new_labels), inputs.weights_of(sample_weight, count)
        rows = np.arange(count) if weights is None else np.flatnonzero(weights)
        if first:
            self._start(features, labels, weights, rows, self._draw_seed())
        return self._run_epoch(inputs.encode(self.model_.encoder, features, labels, weights), rows)

    def _draw_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _start(
        self, features: Any, labels: np.ndarray, weights: np.ndarray | None, rows: np.ndarray, seed: int
    ) -> None:
        """Fits the encoder on the rows ``rows`` [k] alone and makes a fresh model and optimizer for them."""
        config = self._config().resolved(len(rows))
        encoder, notes = inputs.fitted_encoder(features, rows, self.schema, config.min_count)
        for line in notes if self.verbose else []:
            say(line)
        mean = np.average(labels[rows], weights=None if weights is None else weights[rows])
        if self._task == "binary":  # a first partial_fit may see one class alone: as if half a row was of the other
            mean = np.clip(mean, 0.5 / len(rows), 1 - 0.5 / len(rows))
        self.model_ = trained.create(
            self._model, encoder, config, backends.get(self.backend), labels=np.array([mean]), label="label",
            task=self._task, id=None, seed=seed,
        )  # fmt: skip
        self._optimizer = self.model_.optimizer()
        self.n_iter_, self.history_ = 0, []

    def _run(self, encoded: Encoded, rows: np.ndarray, valid: Batches) -> None:
        with ExitStack() as stack:
            progress = stack.enter_context(closing(EpochProgress(len(rows)))) if self.verbose else None
            result = train.fit(
                model=self.model_.model, optimizer=self._optimizer, train_batches=self._batches(encoded, rows),
                valid_batches=valid, config=self.model_.config, task=self._task, progress=progress,
                snapshot_dir=stack.enter_context(tempfile.TemporaryDirectory()),
            )  # fmt: skip
        self._optimizer.zero_grad()
        self.history_, self.best_iteration_ = result.history, result.best_epoch
        self.n_iter_ = result.history[-1]["epoch"]

    def _run_epoch(self, encoded: Encoded, rows: np.ndarray) -> Any:
        config, total = self.model_.config, 0.0
        config.require_task(self._task)
        objective = Objective.of(config, self._task)
        self.n_iter_ += 1
        self.model_.model.train()
        for number, batch in enumerate(self._batches(encoded, rows).epoch(self.n_iter_), 1):
            loss = train.train_step(
                self.model_.model, self._optimizer, batch, objective=objective, step=self._optimizer.steps + 1,
                clip_norm=config.clip_norm, clip_l2=config.clip_l2,
            )  # fmt: skip
            if not math.isfinite(loss):
                raise NonFiniteLoss(f"epoch {self.n_iter_}, batch {number}: the loss is {loss}; lower lr")
            total += loss * batch.entries.samples
        self._optimizer.zero_grad()
        self._optimizer.catch_up()
        self.history_.append({"epoch": self.n_iter_, "train_loss": total / len(rows), "lr": self._optimizer.lr})
        return self

    def _batches(self, encoded: Encoded, rows: np.ndarray) -> Batches:
        model = self.model_
        assert model.config.batch_size is not None
        drop, plan = model.encoder.drop_to_unknown, model.model.backend.plan_ahead
        return Batches(encoded, rows, model.config.batch_size, model.seed, drop_to_unknown=drop, plan=plan)

    def _eval_batches(self, eval_set: Any) -> Batches:
        X, y = inputs.pair_of(eval_set)
        features = inputs.features_of(self, X, reset=False)
        labels = self._labels(y, inputs.rows_of(features), reset=False)
        return _in_order(inputs.encode(self.model_.encoder, features, labels))

    def _outputs(self, X: Any) -> np.ndarray:
        """Logits, or predictions of a regression, [n] float64."""
        check_is_fitted(self)
        encoded = inputs.encode(self.model_.encoder, inputs.features_of(self, X, reset=False))
        return train.predict(self.model_.model, _in_order(encoded), task="regression")


def _in_order(encoded: Encoded, rows: np.ndarray | None = None) -> Batches:
    """The rows (None: all) as they come, cut for evaluation."""
    return Batches(encoded, rows, EVALUATION_BATCH, shuffle=False)
