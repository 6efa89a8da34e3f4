"""A model together with the encoder that feeds it and the description that rebuilds both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastfm_core import backends, checkpoint, models, optim, train
from fastfm_core.config import TrainConfig
from fastfm_core.data import Batches, Encoder
from fastfm_core.data.columns import Table
from fastfm_core.data.grow import moved_rows
from fastfm_core.data.labels import Task
from fastfm_core.data.sparse import encoder_from_dict
from fastfm_core.errors import InputError
from fastfm_core.prepare import EVALUATION_BATCH

KNOWN = ("name", "label", "task", "id", "seed", "columns", "join")
OF_MODEL = (  # settings that a model may be built with
    "dim", "hidden", "dropout", "batch_norm", "init_std", "pairs", "product", "pooling", "projection", "branches",
)  # fmt: skip
SHAPING = (
    "dim",
    "hidden",
    "batch_norm",
    "pairs",
    "product",
    "pooling",
    "projection",
    "branches",
    "optimizer",
)  # settings that decide what is saved


class TrainedModel(NamedTuple):
    """What a checkpoint holds, alive.

    name, label, task  of the model, the label's expression, "binary" or "regression"
    id                 the column that names a row, None without one
    seed               of split and training
    columns            of the training file, in order: what a file without header is taken to have
    join               (file, key) pairs: further tables whose columns are added by a key
    """

    model: Any
    encoder: Encoder
    config: TrainConfig
    name: str
    label: str
    task: Task
    id: str | None
    seed: int
    columns: Sequence[str]
    join: Sequence[tuple[str, str]]

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(parameter.data.size for parameter in self.model.parameters())

    def predict(self, columns: Table) -> np.ndarray:
        """Probabilities (predictions for regression) of a table's rows, [n] float64."""
        batches = Batches(self.encoder.transform(columns), None, EVALUATION_BATCH, shuffle=False)
        return train.predict(self.model, batches, self.task)

    def optimizer(self) -> optim.Optimizer:
        """A fresh optimizer of its parameters, as the settings say."""
        config = self.config
        assert config.lr is not None
        return optim.build(
            config.optimizer, self.model, lr=config.lr, embedding_l2=config.embedding_l2, rows=config.rows,
            **config.of_optimizer(),
        )  # fmt: skip

    def grown(self, encoder: Encoder, config: TrainConfig, seed: int) -> TrainedModel:
        """The model for an encoder that was extended from its own (``data.grow``): old values keep their weights, new
        ones start as in a fresh model of this seed.

        config  its settings, all resolved
        """
        self.require_shape(config)
        if encoder.ranges is not None:
            raise InputError("columns with a dim of their own get no new rows later: train anew, without a warm start")
        model = _build(self.name, encoder, config, self.model.backend, seed)
        model.load_state_dict(self._placed(encoder, model.state_dict(), self.model.state_dict()))
        return self._replace(model=model, encoder=encoder, config=config, seed=seed)

    def require_shape(self, config: TrainConfig) -> None:
        """InputError when a setting would change the shape of the model or of its optimizer's state."""
        for name in SHAPING:
            if (given := getattr(config, name)) != (kept := getattr(self.config, name)):
                raise InputError(f"{name}={given}: the model to start from has {kept}; leave it out")

    def grown_optimizer(self, grown: TrainedModel, state: Mapping[str, np.ndarray]) -> optim.Optimizer:
        """The optimizer of a model ``grown`` from this one, with this one's saved optimizer state for the old rows."""
        optimizer = grown.optimizer()
        optimizer.load_state_dict(self._placed(grown.encoder, optimizer.state_dict(), state))
        return optimizer

    def _placed(
        self, encoder: Encoder, own: Mapping[str, np.ndarray], saved: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The saved arrays, those of tables (and of their optimizer's state) with ``own`` new rows between theirs."""
        rows, tables = moved_rows(self.encoder, encoder), optim.tables_of(self.model)
        placed = dict(saved)
        for name in saved:
            if name.partition("/")[0] in tables:
                placed[name] = own[name].copy()
                placed[name][rows] = saved[name]
        return placed

    def save(
        self, folder: str | Path, metrics: Mapping[str, Any], optimizer: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Writes the checkpoint's folder; with the optimizer's state, training can go on from it later."""
        description = {name: getattr(self, name) for name in KNOWN}
        description |= {"config": asdict(self.config), "encoder": self.encoder.to_dict()}
        checkpoint.save(folder, self.model.state_dict(), description, metrics, optimizer)


def load(folder: str | Path, backend: Any = None, *, mapped: bool = False) -> TrainedModel:
    """Rebuilds a saved model on the backend (None: "auto"). InputError when the folder holds none that can be read.

    mapped  to predict alone, on a backend of the host: the weights stay in the file, which is mapped, so that all
            processes that do so share the memory of one
    """
    state, description, _ = checkpoint.load(folder)
    try:
        encoder = encoder_from_dict(description["encoder"])
        config = TrainConfig(**description["config"])
        known = {name: description[name] for name in KNOWN}
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder}/{checkpoint.DESCRIPTION}: {error} is missing or unknown; train again") from None
    backend = backend or backends.get("auto")
    if mapped and not backend.on_host:
        raise InputError(f"backend {backend.name} reads a device's memory; a mapped model needs one of the host")
    shape = replace(config, init_std=0.0) if mapped else config
    model = _build(known["name"], encoder, shape, backend, known["seed"])
    (model.adopt_state_dict if mapped else model.load_state_dict)(state)
    return TrainedModel(model, encoder, config, **known)


def create(
    name: str,
    encoder: Encoder,
    config: TrainConfig,
    backend: Any,
    *,
    labels: np.ndarray,
    label: str,
    task: Task,
    id: str | None,
    seed: int,
    columns: Sequence[str] = (),
    join: Sequence[tuple[str, str]] = (),
) -> TrainedModel:
    """A fresh model whose output starts at the mean of the training labels [k] (its logit, for 0/1 labels)."""
    mean = float(np.mean(labels, dtype=np.float64))
    bias = mean if task == "regression" else math.log(mean / (1 - mean))
    return TrainedModel(
        _build(name, encoder, config, backend, seed, bias), encoder, config, name, label, task, id, seed, columns, join
    )


def _build(name: str, encoder: Encoder, config: TrainConfig, backend: Any, seed: int, bias: float = 0.0) -> Any:
    return models.build(
        name, rows=encoder.rows, fields=encoder.fields, dense=encoder.dense, backend=backend, seed=seed, bias=bias,
        zero_rows=encoder.zero_rows, uses=encoder.uses, names=encoder.field_names, sides=encoder.sides,
        ranges=encoder.ranges,
        **{setting: getattr(config, setting) for setting in OF_MODEL},
    )  # fmt: skip
