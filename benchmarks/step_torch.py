"""Worker of step.py: W1's training step in PyTorch, sparse Adagrad on the tables, fused Adam on the rest.

python benchmarks/step_torch.py HIDDEN THREADS LAYOUT

HIDDEN such as 64-64, or fm. THREADS 0 keeps PyTorch's default. LAYOUT "two": embeddings and first order are two tables;
"lane": the first order is one more column of a single table, which saves PyTorch a lookup, a coalesce and an update.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from timing import serve
from twin.torch_model import TorchDeepFM, TorchFM
from workload import BATCH, DIM, FIELDS, NUMBERS, ROWS, click_log


def with_lane(model: TorchFM) -> TorchFM:
    """The model with its first order moved into the table's last column."""
    table = nn.Embedding(ROWS, DIM + 1, sparse=True)
    with torch.no_grad():
        table.weight.copy_(torch.cat([model.table.weight, model.linear.weight], 1))
    model.table, model.linear = table, table

    def shallow(ids: Tensor, offsets: None, values: None) -> tuple[Tensor, Tensor]:
        rows = table(ids)
        e = rows[..., :DIM]
        total = e.sum(1)
        pairs = 0.5 * (total * total - (e * e).sum(1)).sum(1)
        return model.bias + rows[..., DIM].sum(1) + pairs, e

    model.shallow = shallow
    return model


class TorchStep:
    """One call is one step: gather a shuffled batch, forward, backward, both optimizers."""

    def __init__(self, hidden: tuple[int, ...], layout: str) -> None:
        log = click_log()
        self.ids = torch.from_numpy(log.ids.astype(np.int64))
        self.numbers, self.labels = torch.from_numpy(log.numbers), torch.from_numpy(log.labels)
        self.order = torch.from_numpy(np.random.default_rng(0).permutation(len(log.labels)))
        self.position = 0
        torch.manual_seed(0)
        if hidden:
            self.model = TorchDeepFM(ROWS, FIELDS, DIM, NUMBERS, hidden, sparse=True)
        else:
            self.model = TorchFM(ROWS, FIELDS, DIM, sparse=True)
        if layout == "lane":
            self.model = with_lane(self.model)
        tables = list({id(p): p for p in (self.model.table.weight, self.model.linear.weight)}.values())
        others = [p for p in self.model.parameters() if all(p is not table for table in tables)]
        self.optimizers = [
            torch.optim.Adagrad(tables, lr=0.05, initial_accumulator_value=0.1),
            torch.optim.Adam(others, lr=1e-3, fused=True),
        ]

    def __call__(self) -> float:
        rows = self.order[self.position : self.position + BATCH]
        self.position = (self.position + BATCH) % len(self.order)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        logits = self.model(self.ids[rows], None, None, self.numbers[rows])
        loss = binary_cross_entropy_with_logits(logits, self.labels[rows])
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item()


if __name__ == "__main__":
    if int(sys.argv[2]):
        torch.set_num_threads(int(sys.argv[2]))
    widths = () if sys.argv[1] == "fm" else tuple(int(width) for width in sys.argv[1].split("-"))
    serve({"step": TorchStep(widths, sys.argv[3])})
