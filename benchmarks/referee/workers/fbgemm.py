"""FBGEMM's CPU tables with Adagrad fused into their backward pass; the FM and an MLP with fused Adam are PyTorch's.

Settings "LAYOUT WAY". LAYOUT one: all fields share a table; many: a table for each field, ids counted within it. WAY
eager or compiled: what stands on top of the rows, by torch.compile. The first order is one more column, rows are padded
to a multiple of 4 floats. Ids are kept field-major, as FBGEMM takes them. Every id is a bag of its own, summed:
PoolingMode.NONE gives the same rows, but its backward pass took ten times as long. FM alone, without training, pools
all ids of a sample from one table, whose rows carry their squared norm (see torch_best.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation, PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, SplitTableBatchedEmbeddingBagsCodegen
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.referee.problem import ADAM_RATE, RATE, Problem
from benchmarks.referee.worker import main
from benchmarks.referee.workers.torch_parts import Head
from fastfm_core.bench.workload import FIELDS


def tables_of(
    rows: np.ndarray, sizes: list[int], start: float, shared: int = 0
) -> SplitTableBatchedEmbeddingBagsCodegen:
    """Tables of these sizes with the rows, padded, Adagrad's state at ``start``; ``shared`` fields read one table."""
    columns = -(-rows.shape[1] // 4) * 4
    tables = SplitTableBatchedEmbeddingBagsCodegen(
        [(size, columns, EmbeddingLocation.HOST, ComputeDevice.CPU) for size in sizes],
        feature_table_map=[0] * shared if shared else None,
        optimizer=EmbOptimType.EXACT_ADAGRAD,
        learning_rate=RATE,
        eps=1e-10,
        pooling_mode=PoolingMode.SUM,
    )
    parts = torch.from_numpy(rows).split(sizes)
    states = tables.split_optimizer_states()
    for weight, (state,), part in zip(tables.split_embedding_weights(), states, parts, strict=True):
        weight.zero_()[:, : part.shape[1]] = part
        state.fill_(start)
    return tables


class Lookup:
    """Rows [B, F, C] of samples, from one table or many."""

    def __init__(self, problem: Problem, layout: str) -> None:
        many = layout == "many"
        sizes = [int(size) for size in problem.sizes]
        sizes = sizes if many else [problem.size]
        self.tables = tables_of(problem.rows, sizes, problem.accumulator, shared=0 if many else FIELDS)
        starts = np.cumsum(problem.sizes) - problem.sizes if many else np.zeros(FIELDS, np.int64)
        self.ids = torch.from_numpy((problem.ids - starts).T.astype(np.int64, order="C"))  # [F, S]

    def ids_of(self, samples: Tensor) -> Tensor:
        """[F * B]."""
        return self.ids.index_select(1, samples).view(-1)

    def __call__(self, ids: Tensor) -> Tensor:
        return self.tables(ids, torch.arange(len(ids) + 1)).view(len(ids) // FIELDS, FIELDS, -1)


class Deep:
    """Training steps, or scores of a model with an MLP."""

    def __init__(self, problem: Problem, settings: str, given: bool) -> None:
        layout, way = settings.split()
        self.problem, self.lookup, self.plain = problem, Lookup(problem, layout), Head(problem)
        self.head = torch.compile(self.plain, dynamic=False) if way == "compiled" else self.plain
        self.numbers, self.labels = torch.from_numpy(problem.numbers), torch.from_numpy(problem.labels)
        self.order = torch.from_numpy(problem.order)
        self.adam = torch.optim.Adam(self.plain.parameters(), lr=ADAM_RATE, fused=True)
        self.made = [self._gathered(number) for number in range(problem.batches)] if given else None

    def _gathered(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        start = number % self.problem.batches * self.problem.batch
        samples = self.order[start : start + self.problem.batch]
        return self.lookup.ids_of(samples), self.numbers[samples], self.labels[samples]

    def batch(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """ids, numbers, labels."""
        return self.made[number % len(self.made)] if self.made else self._gathered(number)

    def __call__(self, number: int) -> float:
        ids, numbers, labels = self.batch(number)
        self.adam.zero_grad(set_to_none=True)
        loss = binary_cross_entropy_with_logits(self.head(self.lookup(ids), numbers), labels)
        loss.backward()
        self.adam.step()
        return loss.item()

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """[k, D + 1]; tables lie one after the other."""
        weights = torch.cat(list(self.lookup.tables.split_embedding_weights()))
        return weights.detach().numpy()[ids][:, : self.problem.dim + 1]

    @torch.no_grad()
    def logits(self, samples: np.ndarray) -> np.ndarray:
        """Of the trained model."""
        parts = torch.from_numpy(samples).split(4096)
        found = [self.plain(self.lookup(self.lookup.ids_of(part)), self.numbers[part]) for part in parts]
        return torch.cat(found).numpy()


class DeepScore(Deep):
    """Logits of batches that are given."""

    @torch.no_grad()
    def __call__(self, number: int) -> np.ndarray:
        ids, numbers, _ = self.batch(number)
        return self.head(self.lookup(ids), numbers).numpy()


class Pooled:
    """The FM's logits from one bag per sample."""

    def __init__(self, problem: Problem) -> None:
        self.dim, rows = problem.dim, problem.rows
        norms = np.square(rows[:, : self.dim]).sum(1, keepdims=True)
        self.tables = tables_of(np.concatenate([rows, norms], 1), [problem.size], problem.accumulator)
        self.offsets = torch.arange(0, problem.batch * FIELDS + 1, FIELDS)
        self.ids = [
            torch.from_numpy(problem.batch_ids(number).reshape(-1).astype(np.int64))
            for number in range(problem.batches)
        ]

    @torch.no_grad()
    def __call__(self, number: int) -> np.ndarray:
        found, dim = self.tables(self.ids[number % len(self.ids)], self.offsets), self.dim
        return (found[:, dim] + 0.5 * (found[:, :dim].square().sum(1) - found[:, dim + 1])).numpy()


def build(problem: Problem, kind: str, settings: str) -> Any:
    """Every kind; pooled lookups have one way only."""
    if kind in ("kernel", "score") and not problem.hidden:
        return Pooled(problem) if settings == "one eager" else None
    if kind == "score":
        return DeepScore(problem, settings, given=True)
    return Deep(problem, settings, given=kind == "update")


if __name__ == "__main__":
    main(build)
