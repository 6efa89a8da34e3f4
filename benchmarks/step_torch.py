"""Worker of native_targets.py: the training step in PyTorch, sparse Adagrad on the tables, fused Adam on the rest.

python benchmarks/step_torch.py WORKLOAD BATCH HIDDEN THREADS LAYOUT

HIDDEN such as 64-64, or fm. THREADS 0 keeps PyTorch's default. LAYOUT "two": embeddings and first order are two tables;
"lane": the first order is one more column of a single table, which saves PyTorch a lookup, a coalesce and an update.
Cases: "losses" of steps from the initial weights on the log's first batches; "step".
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from fastfm_core.bench.workload import FIELDS, Workload, hidden_widths, initial_layers, initial_rows, workload
from timing import serve, timed
from twin.torch_model import TorchDeepFM, TorchFM


def with_lane(model: TorchFM) -> TorchFM:
    """The model with its first order moved into the table's last column."""
    dim = model.table.embedding_dim
    table = nn.Embedding(model.table.num_embeddings, dim + 1, sparse=True)
    with torch.no_grad():
        table.weight.copy_(torch.cat([model.table.weight, model.linear.weight], 1))
    model.table, model.linear = table, table

    def shallow(ids: Tensor, offsets: None, values: None) -> tuple[Tensor, Tensor]:
        rows = table(ids)
        e = rows[..., :dim]
        total = e.sum(1)
        pairs = 0.5 * (total * total - (e * e).sum(1)).sum(1)
        return model.bias + rows[..., dim].sum(1) + pairs, e

    model.shallow = shallow
    return model


def start_mlp_(modules: nn.Module, widths: list[int]) -> None:
    """The initial weights that all sides share, into the Linear layers of an MLP of these widths."""
    layers = [module for module in modules.modules() if isinstance(module, nn.Linear)]
    with torch.no_grad():
        for layer, weight in zip(layers, initial_layers(widths), strict=True):
            layer.weight.copy_(torch.from_numpy(weight.T))
            layer.bias.zero_()


class Log:
    """The log as tensors, and batches gathered from it; rows are shuffled once."""

    def __init__(self, work: Workload) -> None:
        self.ids = torch.from_numpy(work.log.ids.astype(np.int64))
        self.numbers, self.labels = torch.from_numpy(work.log.numbers), torch.from_numpy(work.log.labels)
        self.batch = work.batch
        self.order = torch.from_numpy(np.random.default_rng(0).permutation(len(self.labels)))
        self.position = 0

    def next_rows(self) -> Tensor:
        """The sample numbers of the next shuffled batch."""
        rows = self.order[self.position : self.position + self.batch]
        self.position = (self.position + self.batch) % len(self.order)
        return rows

    def ordered_rows(self, number: int) -> Tensor:
        """The sample numbers of a batch in the log's own order."""
        return torch.arange(number * self.batch, (number + 1) * self.batch)


class TorchStep:
    """One call is one step: gather a shuffled batch, forward, backward, both optimizers."""

    def __init__(self, work: Workload, hidden: tuple[int, ...], layout: str) -> None:
        self.log = Log(work)
        if hidden:
            numbers = work.log.numbers.shape[1]
            self.model = TorchDeepFM(work.rows, FIELDS, work.dim, numbers, hidden, sparse=True)
            start_mlp_(self.model.mlp, work.widths(hidden))
        else:
            self.model = TorchFM(work.rows, FIELDS, work.dim, sparse=True)
        columns = torch.from_numpy(initial_rows(work))
        with torch.no_grad():
            self.model.table.weight.copy_(columns[:, : work.dim])
            self.model.linear.weight.copy_(columns[:, work.dim :])
        if layout == "lane":
            self.model = with_lane(self.model)
        tables = list({id(p): p for p in (self.model.table.weight, self.model.linear.weight)}.values())
        others = [p for p in self.model.parameters() if all(p is not table for table in tables)]
        self.optimizers = [
            torch.optim.Adagrad(tables, lr=0.05, initial_accumulator_value=0.1),
            torch.optim.Adam(others, lr=1e-3, fused=True),
        ]

    def __call__(self) -> float:
        return self.train(self.log.next_rows())

    def train(self, rows: Tensor) -> float:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        logits = self.model(self.log.ids[rows], None, None, self.log.numbers[rows])
        loss = binary_cross_entropy_with_logits(logits, self.log.labels[rows])
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item()

    def losses(self, calls: int) -> list[float]:
        """Of steps on the log's first batches, in order."""
        return [self.train(self.log.ordered_rows(number)) for number in range(calls)]


if __name__ == "__main__":
    name, batch, widths, threads, layout = sys.argv[1:]
    if int(threads):
        torch.set_num_threads(int(threads))
    torch.sparse.check_sparse_tensor_invariants.disable()  # as by default, which PyTorch 2.14 warns of
    step = TorchStep(workload(name, int(batch)), hidden_widths(widths), layout)
    serve({"losses": step.losses, "step": timed(step)})
