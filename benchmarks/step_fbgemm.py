"""Worker of native_targets.py: the training step with FBGEMM's CPU tables, Adagrad fused into their backward pass.

python benchmarks/step_fbgemm.py WORKLOAD BATCH HIDDEN THREADS LAYOUT HEAD

The FM (and an MLP with fused Adam) on top is PyTorch's. The first order is one more column of the rows, padded to a
multiple of 4 floats as FBGEMM wants it. THREADS 0 keeps PyTorch's default. LAYOUT "one": all fields share a table;
"many": a table for each field. HEAD "eager" or "compiled", what stands on top of the rows by torch.compile. Ids are
kept field-major, as FBGEMM takes them. Every id is a bag of its own, summed: PoolingMode.NONE gives the same rows, but
its backward pass took ten times as long.
Cases: "losses" of steps from the initial weights on the log's first batches; "step".
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation, PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, SplitTableBatchedEmbeddingBagsCodegen
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from fastfm_core.bench.workload import FIELDS, Workload, hidden_widths, initial_rows, workload
from step_torch import Log, start_mlp_
from timing import serve, timed


def build_tables(work: Workload, layout: str) -> SplitTableBatchedEmbeddingBagsCodegen:
    """Tables of D + 1 columns and padding, with the initial weights that all sides share."""
    sizes = [work.rows] if layout == "one" else [int(size) for size in work.log.sizes]
    columns = -(-(work.dim + 1) // 4) * 4
    tables = SplitTableBatchedEmbeddingBagsCodegen(
        [(size, columns, EmbeddingLocation.HOST, ComputeDevice.CPU) for size in sizes],
        feature_table_map=[0] * FIELDS if layout == "one" else None,
        optimizer=EmbOptimType.EXACT_ADAGRAD,
        learning_rate=0.05,
        eps=1e-10,
        pooling_mode=PoolingMode.SUM,
    )
    start = torch.from_numpy(initial_rows(work)).split(sizes)
    for weight, (accumulator,), rows in zip(
        tables.split_embedding_weights(), tables.split_optimizer_states(), start, strict=True
    ):
        weight.zero_()[:, : work.dim + 1] = rows
        accumulator.fill_(0.1)
    return tables


class Head(nn.Module):
    """Rows [B, F, C] -> logits [B]; column D is the first order."""

    def __init__(self, work: Workload, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = work.dim
        self.bias = nn.Parameter(torch.zeros(1))
        self.mlp: nn.Sequential | None = None
        if hidden:
            widths = work.widths(hidden)
            layers = [part for pair in itertools.pairwise(widths[:-1]) for part in (nn.Linear(*pair), nn.ReLU())]
            self.mlp = nn.Sequential(*layers, nn.Linear(widths[-2], 1))
            start_mlp_(self.mlp, widths)

    def forward(self, rows: Tensor, numbers: Tensor) -> Tensor:
        e = rows[..., : self.dim]
        total = e.sum(1)
        pairs = 0.5 * (total * total - (e * e).sum(1)).sum(1)
        logits = self.bias + rows[..., self.dim].sum(1) + pairs
        if self.mlp is None:
            return logits
        return logits + self.mlp(torch.cat([e.flatten(1), numbers], 1)).squeeze(1)


class FbgemmStep:
    """One call is one step: gather a shuffled batch, forward, backward with Adagrad in it, Adam on the rest."""

    def __init__(self, work: Workload, hidden: tuple[int, ...], layout: str, compiled: bool) -> None:
        self.log = Log(work)
        starts = np.cumsum(work.log.sizes) - work.log.sizes if layout == "many" else np.zeros(FIELDS, np.int64)
        self.ids = (self.log.ids - torch.from_numpy(starts)).T.contiguous()  # [F, S]
        del self.log.ids
        self.tables = build_tables(work, layout)
        self.shape = (work.batch, FIELDS, -1)
        self.offsets = torch.arange(FIELDS * work.batch + 1)
        head = Head(work, hidden)
        self.optimizer = torch.optim.Adam(head.parameters(), lr=1e-3, fused=True)
        self.head = torch.compile(head) if compiled else head

    def __call__(self) -> float:
        return self.train(self.log.next_rows())

    def train(self, rows: Tensor) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        found = self.tables(self.ids.index_select(1, rows).view(-1), self.offsets).view(self.shape)
        logits = self.head(found, self.log.numbers[rows])
        loss = binary_cross_entropy_with_logits(logits, self.log.labels[rows])
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def losses(self, calls: int) -> list[float]:
        """Of steps on the log's first batches, in order."""
        return [self.train(self.log.ordered_rows(number)) for number in range(calls)]


if __name__ == "__main__":
    name, batch, widths, threads, layout, kind = sys.argv[1:]
    if int(threads):
        torch.set_num_threads(int(threads))
    step = FbgemmStep(workload(name, int(batch)), hidden_widths(widths), layout, kind == "compiled")
    serve({"losses": step.losses, "step": timed(step)})
