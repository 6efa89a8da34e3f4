"""PyTorch as its users write it: embedding tables with sparse gradients, torch.optim.Adagrad, fused Adam on the rest.

Settings "LAYOUT WAY". LAYOUT two: embeddings and first order are tables of their own; lane: the first order is one more
column of a single table, which saves a lookup, a coalesce and an update. WAY eager or compiled, by torch.compile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.referee.problem import ADAM_RATE, RATE, Problem
from benchmarks.referee.worker import main
from benchmarks.referee.workers.torch_parts import Head, Log


class Plain(nn.Module):
    """Lookup and head; the tables are ``tables``."""

    def __init__(self, problem: Problem, layout: str, sparse: bool) -> None:
        super().__init__()
        rows = torch.from_numpy(problem.rows)
        parts = [rows] if layout == "lane" else list(rows.split([problem.dim, 1], 1))
        self.tables = nn.ModuleList(
            nn.Embedding.from_pretrained(part.contiguous(), freeze=False, sparse=sparse) for part in parts
        )
        self.head = Head(problem)

    def forward(self, ids: Tensor, numbers: Tensor) -> Tensor:
        if len(self.tables) == 1:
            return self.head(self.tables[0](ids), numbers)
        e, first = (table(ids) for table in self.tables)
        total = e.sum(1)
        logits = self.head.bias + first.sum((1, 2)) + 0.5 * (total * total - (e * e).sum(1)).sum(1)
        return logits + self.head.deep(e, numbers) if self.head.mlp else logits


class Step:
    """Forward, backward and both optimizers."""

    def __init__(self, problem: Problem, layout: str, compiled: bool, given: bool) -> None:
        self.log, self.plain = Log(problem, given), Plain(problem, layout, sparse=True)
        self.forward = torch.compile(self.plain, dynamic=False) if compiled else self.plain
        self.optimizers = [
            torch.optim.Adagrad(self.plain.tables.parameters(), lr=RATE, initial_accumulator_value=problem.accumulator),
            torch.optim.Adam(self.plain.head.parameters(), lr=ADAM_RATE, fused=True),
        ]

    def __call__(self, number: int) -> float:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        batch = self.log(number)
        loss = binary_cross_entropy_with_logits(self.forward(batch.ids, batch.numbers), batch.labels)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item()

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """[k, D + 1]."""
        return np.concatenate([table.weight.detach().numpy()[ids] for table in self.plain.tables], axis=1)

    @torch.inference_mode()
    def logits(self, samples: np.ndarray) -> np.ndarray:
        """Of the trained model."""
        return torch.cat([self.plain(batch.ids, batch.numbers) for batch in self.log.tested(samples)]).numpy()


class Score:
    """Logits of batches that are given."""

    def __init__(self, problem: Problem, layout: str, compiled: bool) -> None:
        self.log = Log(problem, given=True)
        plain = Plain(problem, layout, sparse=False).eval()
        self.forward = torch.compile(plain, dynamic=False) if compiled else plain

    def __call__(self, number: int) -> np.ndarray:
        batch = self.log(number)
        with torch.inference_mode():
            return self.forward(batch.ids, batch.numbers).numpy()


def build(problem: Problem, kind: str, settings: str) -> Any:
    """Every kind."""
    torch.sparse.check_sparse_tensor_invariants.disable()  # as by default, which PyTorch 2.14 warns of
    layout, way = settings.split()
    if kind in ("kernel", "score"):
        return Score(problem, layout, way == "compiled")
    return Step(problem, layout, way == "compiled", given=kind == "update")


if __name__ == "__main__":
    main(build)
