"""PyTorch with the best formulation that we know: pooled sums, and one update of each distinct row.

FM          one pooled ``embedding_bag`` over rows [v, w, |v|^2] gives S, the first order and the sum of squared norms,
            so that no row is written out. The norm is a lane of the row, made anew whenever the row changes: exact.
update      ids are sorted, and a second ``embedding_bag`` over the samples' gradients sums those of each distinct row:
            dv = sum g S - (sum g) v. Adagrad then reads and writes each distinct row once, without sparse tensors.
DeepFM      rows are looked up once; autograd runs down to them, and their gradients are pooled in the same way.
Settings    "one": v, w and the norm in one table; "two": v, and [w, |v|^2], of their own (kernel and scores of FM)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, embedding, embedding_bag

from benchmarks.referee.problem import ADAM_RATE, RATE, Problem
from benchmarks.referee.worker import main
from benchmarks.referee.workers.torch_parts import Head, Log, TorchBatch


def with_norms(rows: Tensor, dim: int) -> Tensor:
    """[V, D + 2]: rows, and behind each its squared norm."""
    return torch.cat([rows, rows[:, :dim].square().sum(1, keepdim=True)], 1)


class Pooled:
    """Logits of the FM from pooled sums."""

    def __init__(self, problem: Problem, settings: str) -> None:
        self.dim, self.log = problem.dim, Log(problem, given=True)
        rows = with_norms(torch.from_numpy(problem.rows), problem.dim)
        cut = [problem.dim + 2] if settings == "one" else [problem.dim, 2]
        self.tables = [part.contiguous() for part in rows.split(cut, 1)]

    def __call__(self, number: int) -> np.ndarray:
        ids = self.log(number).ids
        with torch.inference_mode():
            found = [embedding_bag(ids, table, mode="sum") for table in self.tables]
            rest = found[-1][:, -2:]
            total = found[0][:, : self.dim]
            return (rest[:, 0] + 0.5 * (total.square().sum(1) - rest[:, 1])).numpy()


class DeepScore:
    """Logits of DeepFM: rows looked up once, their sum gives S, the first order and the norms."""

    def __init__(self, problem: Problem) -> None:
        self.dim, self.log, self.head = problem.dim, Log(problem, given=True), Head(problem).eval()
        self.table = with_norms(torch.from_numpy(problem.rows), problem.dim)

    def __call__(self, number: int) -> np.ndarray:
        batch, dim = self.log(number), self.dim
        with torch.inference_mode():
            rows = embedding(batch.ids, self.table)
            total = rows.sum(1)
            shallow = total[:, dim] + 0.5 * (total[:, :dim].square().sum(1) - total[:, dim + 1])
            return (self.head.bias + shallow + self.head.deep(rows[..., :dim], batch.numbers)).numpy()


class Step:
    """A training step without sparse tensors."""

    def __init__(self, problem: Problem, given: bool) -> None:
        self.log, self.dim, self.head = Log(problem, given), problem.dim, Head(problem)
        rows = torch.from_numpy(problem.rows)
        self.state = torch.full_like(rows, problem.accumulator)
        self.table = rows if problem.hidden else with_norms(rows, problem.dim)
        self.adam = torch.optim.Adam(self.head.parameters(), lr=ADAM_RATE, fused=True)

    def __call__(self, number: int) -> float:
        batch = self.log(number)
        self.adam.zero_grad(set_to_none=True)
        loss = self._deep(batch) if self.head.mlp else self._shallow(batch)
        self.adam.step()
        return loss.item()

    def _deep(self, batch: TorchBatch) -> Tensor:
        rows = embedding(batch.ids, self.table).requires_grad_()
        loss = binary_cross_entropy_with_logits(self.head(rows, batch.numbers), batch.labels)
        loss.backward()
        assert rows.grad is not None
        distinct, order, starts = plan(batch.ids)
        self._update(distinct, embedding_bag(order, rows.grad.flatten(0, 1), starts, mode="sum"))
        return loss.detach()

    @torch.no_grad()
    def _shallow(self, batch: TorchBatch) -> Tensor:
        dim = self.dim
        found = embedding_bag(batch.ids, self.table, mode="sum")
        total = found[:, :dim]
        logits = self.head.bias + found[:, dim] + 0.5 * (total.square().sum(1) - found[:, dim + 1])
        g = (logits.sigmoid() - batch.labels) / len(logits)
        self.head.bias.grad = g.sum()[None]
        distinct, order, starts = plan(batch.ids)
        source = torch.cat([total, torch.ones(len(g), 1)], 1) * g[:, None]
        gradient = embedding_bag(order.div(batch.ids.shape[1], rounding_mode="floor"), source, starts, mode="sum")
        gradient[:, :dim].addcmul_(gradient[:, dim:], self.table[distinct][:, :dim], value=-1)
        self._update(distinct, gradient)
        return binary_cross_entropy_with_logits(logits, batch.labels)

    @torch.no_grad()
    def _update(self, distinct: Tensor, gradient: Tensor) -> None:
        """Adagrad on distinct rows."""
        state = self.state.index_select(0, distinct).addcmul_(gradient, gradient)
        self.state.index_copy_(0, distinct, state)
        rows = self.table.index_select(0, distinct)
        rows[:, : self.dim + 1].addcdiv_(gradient, state.sqrt_().add_(1e-10), value=-RATE)
        if self.head.mlp is None:
            rows[:, self.dim + 1] = rows[:, : self.dim].square().sum(1)
        self.table.index_copy_(0, distinct, rows)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """[k, D + 1]."""
        return self.table.numpy()[ids][:, : self.dim + 1]

    @torch.inference_mode()
    def logits(self, samples: np.ndarray) -> np.ndarray:
        """Of the trained model."""
        batches = self.log.tested(samples)
        return torch.cat([self.head(embedding(batch.ids, self.table), batch.numbers) for batch in batches]).numpy()


def plan(ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct rows [U], the entries' positions by row [N], and where each row's begin [U]."""
    ordered, order = ids.view(-1).sort()
    distinct, counts = ordered.unique_consecutive(return_counts=True)
    return distinct, order, counts.cumsum(0) - counts


def build(problem: Problem, kind: str, settings: str) -> Any:
    """Every kind; the layouts differ in pooled lookups alone."""
    pooled = kind in ("kernel", "score") and not problem.hidden
    if pooled:
        return Pooled(problem, settings)
    if settings == "two":
        return None
    return DeepScore(problem) if kind == "score" else Step(problem, given=kind == "update")


if __name__ == "__main__":
    main(build)
