"""What the workers on PyTorch share: the batches as tensors, the MLP, the FM on looked-up rows."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.referee.problem import Problem
from benchmarks.referee.worker import THREADS

torch.set_num_threads(THREADS)


class TorchBatch(NamedTuple):
    """ids [B, F] int64, numbers [B, I], labels [B]."""

    ids: Tensor
    numbers: Tensor
    labels: Tensor


class Log:
    """Batches by number: gathered from the log when they are asked for, or all of them made beforehand."""

    def __init__(self, problem: Problem, given: bool) -> None:
        self.problem = problem
        self.ids = torch.from_numpy(problem.ids.astype(np.int64))
        self.numbers, self.labels = torch.from_numpy(problem.numbers), torch.from_numpy(problem.labels)
        self.order = torch.from_numpy(problem.order)
        self.made = [self.of(self._samples(number)) for number in range(problem.batches)] if given else None

    def __call__(self, number: int) -> TorchBatch:
        return self.made[number % len(self.made)] if self.made else self.of(self._samples(number))

    def of(self, samples: Tensor) -> TorchBatch:
        """The batch of these samples."""
        return TorchBatch(self.ids[samples], self.numbers[samples], self.labels[samples])

    def tested(self, samples: np.ndarray) -> list[TorchBatch]:
        """Batches of these samples, in order."""
        return [self.of(part) for part in torch.from_numpy(samples).split(4096)]

    def _samples(self, number: int) -> Tensor:
        start = number % self.problem.batches * self.problem.batch
        return self.order[start : start + self.problem.batch]


class Head(nn.Module):
    """Rows [B, F, >= D + 1] -> logits [B]; column D is the first order. With hidden layers an MLP beside it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.dim = problem.dim
        self.bias = nn.Parameter(torch.zeros(1))
        self.mlp = mlp_of(problem)

    def forward(self, rows: Tensor, numbers: Tensor) -> Tensor:
        e = rows[..., : self.dim]
        total = e.sum(1)
        pairs = 0.5 * (total * total - (e * e).sum(1)).sum(1)
        logits = self.bias + rows[..., self.dim].sum(1) + pairs
        return logits + self.deep(e, numbers) if self.mlp else logits

    def deep(self, e: Tensor, numbers: Tensor) -> Tensor:
        """[B] the MLP's part."""
        assert self.mlp is not None
        return self.mlp(torch.cat([e.flatten(1), numbers], 1)).squeeze(1)


def mlp_of(problem: Problem) -> nn.Sequential | None:
    """The MLP with the initial weights that all sides share; None of an FM."""
    if not problem.hidden:
        return None
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(problem.widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    layers.append(nn.Linear(problem.widths[-2], 1))
    linears = [layer for layer in layers if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer, weight in zip(linears, problem.layers, strict=True):
            layer.weight.copy_(torch.from_numpy(weight.T))
            layer.bias.zero_()
    return nn.Sequential(*layers)
