"""A model and a training that the optimizers' tests share: rows that steps pass by, changing rates, two lookups."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import fastfm_torch as ft

SIZES, BATCH = [40, 30], 6  # of 70 rows a step looks at most 12 up


def model(**options: Any) -> Any:
    torch.manual_seed(5)
    made = ft.DeepFM(SIZES, 4, (6,), numbers=1, dtype=torch.float64, **options)
    nn.init.normal_(made.embedding.linear, 0.0, 0.1)
    return made


def batches(steps: int, seed: int = 0) -> list[tuple[Tensor, Tensor, Tensor]]:
    """ids [B, 2], dense [B, 1], labels [B] of each step"""
    draw = torch.Generator().manual_seed(seed)
    return [
        (
            torch.stack([torch.randint(0, size, (BATCH,), generator=draw) for size in SIZES], 1),
            torch.rand(BATCH, 1, generator=draw, dtype=torch.float64),
            torch.rand(BATCH, generator=draw, dtype=torch.float64),
        )
        for _ in range(steps)
    ]


def loss_of(made: Any, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    ids, dense, labels = batch
    return nn.functional.binary_cross_entropy_with_logits(made(ids, dense=dense), labels)


def train(made: Any, optimizer: Any, steps: int = 12, seed: int = 0, schedule: bool = True) -> list[float]:
    """The losses."""
    rates = torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.7) if schedule else None
    losses = []
    for batch in batches(steps, seed):
        optimizer.zero_grad()
        loss = loss_of(made, batch)
        loss.backward()
        optimizer.step()
        if rates:
            rates.step()
        losses.append(loss.item())
    return losses


def trained(start: Any, make: Callable[[Any], Any], *, sparse: bool = False, steps: int = 12) -> tuple[Any, Any, Any]:
    """A trained copy, its optimizer, and the losses."""
    made = copy.deepcopy(start)
    made.embedding.sparse = sparse
    optimizer = make(made.parameters())
    losses = train(made, optimizer, steps)
    return made, optimizer, losses


def furthest(left: Any, right: Any) -> float:
    """The largest difference of two models' weights."""
    one, other = left.state_dict(), right.state_dict()
    return max((one[name] - other[name]).abs().max().item() for name in one)
