"""The twin's training: the package's rules (train.fit) with PyTorch's model, loss and Adam, on the very same batches.

The validation AUC after each epoch is judged by the package's own EarlyStopping; the best weights are restored.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from fastfm_core import metrics
from fastfm_core.config import TrainConfig
from fastfm_core.contract import Batch
from fastfm_core.schedule import EarlyStopping
from twin.torch_model import TorchFM

Inputs = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]


def inputs(batch: Batch) -> Inputs:
    """A batch as the twin reads it: ids, offsets, values, numbers."""
    entries = batch.entries
    ids = torch.from_numpy(entries.ids.astype(np.int64))
    numbers = None if batch.dense is None else torch.from_numpy(batch.dense)
    values = None if entries.values is None else torch.from_numpy(entries.values)
    if entries.offsets is None:
        shape = (entries.samples, entries.fields)
        return ids.view(shape), None, None if values is None else values.view(shape), numbers
    return ids, torch.from_numpy(entries.offsets), values, numbers


def adam(model: TorchFM, config: TrainConfig) -> torch.optim.Adam:
    """Adam with embedding_l2 on the embedding and first-order rows, every row at every step."""
    return torch.optim.Adam(_groups(model, config), lr=config.lr)


def sgd(model: TorchFM, config: TrainConfig) -> torch.optim.SGD:
    """SGD with embedding_l2, likewise."""
    return torch.optim.SGD(_groups(model, config), lr=config.lr)


def _groups(model: TorchFM, config: TrainConfig) -> list[dict[str, Any]]:
    tables = [model.table.weight, model.linear.weight]
    others = [parameter for parameter in model.parameters() if all(parameter is not table for table in tables)]
    return [{"params": tables, "weight_decay": config.embedding_l2}, {"params": others}]


def step(model: TorchFM, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    """One update; returns the loss before it."""
    optimizer.zero_grad(set_to_none=True)
    loss = binary_cross_entropy_with_logits(model(*inputs(batch)), torch.from_numpy(batch.labels))
    loss.backward()
    optimizer.step()
    return loss.item()


def area(model: TorchFM, batches: Any) -> float:
    """AUC over all rows of the batches, dropout off."""
    model.eval()
    with torch.no_grad():
        pairs = [(batch.labels, model(*inputs(batch)).numpy()) for batch in batches.epoch(0)]
    labels, logits = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return metrics.auc(labels, logits)


def fit(model: TorchFM, train_batches: Any, valid_batches: Any, config: TrainConfig) -> int:
    """Trains in place, leaves the best epoch's weights, returns its number counted from 1."""
    optimizer = adam(model, config)
    stopping = EarlyStopping(config.patience, config.lr_schedule)
    weights = model.state_dict()
    for epoch in range(1, config.epochs + 1):
        model.train()
        for batch in train_batches.epoch(epoch):
            step(model, optimizer, batch)
        if stopping.improved(area(model, valid_batches), epoch):
            weights = copy.deepcopy(model.state_dict())
        if stopping.stop:
            break
        for group in optimizer.param_groups:
            group["lr"] *= stopping.lr_factor
    model.load_state_dict(weights)
    return stopping.best_epoch
