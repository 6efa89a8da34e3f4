"""A model together with the encoder that feeds it and the description that rebuilds both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastfm_core import backends, checkpoint, models, train
from fastfm_core.config import TrainConfig
from fastfm_core.data import Batches, Encoder
from fastfm_core.data.columns import Table
from fastfm_core.data.labels import Task
from fastfm_core.data.sparse import encoder_from_dict
from fastfm_core.errors import InputError
from fastfm_core.prepare import EVALUATION_BATCH


class TrainedModel(NamedTuple):
    """What a checkpoint holds, alive.

    name, label, task  of the model, the label's expression, "binary" or "regression"
    id                 the column that names a row, None without one
    seed               of split and training
    """

    model: Any
    encoder: Encoder
    config: TrainConfig
    name: str
    label: str
    task: Task
    id: str | None
    seed: int

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(parameter.data.size for parameter in self.model.parameters())

    def predict(self, columns: Table) -> np.ndarray:
        """Probabilities (predictions for regression) of a table's rows, [n] float64."""
        batches = Batches(self.encoder.transform(columns), None, EVALUATION_BATCH, shuffle=False)
        return train.predict(self.model, batches, self.task)

    def save(self, folder: str | Path, metrics: Mapping[str, Any]) -> None:
        """Writes the checkpoint's folder."""
        description = {name: getattr(self, name) for name in ("name", "label", "task", "id", "seed")}
        description |= {"config": asdict(self.config), "encoder": self.encoder.to_dict()}
        checkpoint.save(folder, self.model.state_dict(), description, metrics)


def load(folder: str | Path, backend: Any = None) -> TrainedModel:
    """Rebuilds a saved model on the backend (None: "auto"). InputError when the folder holds none that can be read."""
    state, description, _ = checkpoint.load(folder)
    try:
        encoder = encoder_from_dict(description["encoder"])
        config = TrainConfig(**description["config"])
        known = {name: description[name] for name in ("name", "label", "task", "id", "seed")}
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder}/{checkpoint.DESCRIPTION}: {error} is missing or unknown; train again") from None
    model = _build(known["name"], encoder, config, backend or backends.get("auto"), known["seed"])
    model.load_state_dict(state)
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
) -> TrainedModel:
    """A fresh model whose output starts at the mean of the training labels [k] (its logit, for 0/1 labels)."""
    mean = float(np.mean(labels, dtype=np.float64))
    bias = mean if task == "regression" else math.log(mean / (1 - mean))
    return TrainedModel(
        _build(name, encoder, config, backend, seed, bias), encoder, config, name, label, task, id, seed
    )


def _build(name: str, encoder: Encoder, config: TrainConfig, backend: Any, seed: int, bias: float = 0.0) -> Any:
    return models.build(
        name,
        rows=encoder.rows,
        fields=encoder.fields,
        dense=encoder.dense,
        backend=backend,
        seed=seed,
        dim=config.dim,
        hidden=config.hidden,
        dropout=config.dropout,
        batch_norm=config.batch_norm,
        init_std=config.init_std,
        bias=bias,
        zero_rows=encoder.zero_rows,
        uses=getattr(encoder, "uses", None),
    )
