"""What fastfm_torch.convert gains on models that exist: DeepFM of torchfm and deepctr-torch, as it comes and converted.

    python -m benchmarks.hosts.torch_convert [--rounds 7] [--json FILE]

Needs torch, torchfm and deepctr-torch, the latter two by pip install --no-deps. 26 fields of equal size, uniform ids,
D = 16, layers of 64 and 64; one step of forward, backward and update, in milliseconds. "torch": the model and
torch.optim; "step", "in backward": converted, with the same rule of ft.optim. All in one process, in turns, two threads
that wait passively.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # read when torch is imported: else its threads spin through our turns

import torch

import fastfm_core as ff
import fastfm_torch as ft
from benchmarks.timing import ratios, spread
from fastfm_core.bench.machine import Others, print_header, print_table, write_json

FIELDS, DIM, HIDDEN, BATCHES, THREADS = 26, 16, (64, 64), 8, 2
SIDES = ("torch", "step", "in backward")
SIZES = ((1_000_000, 4096), (1_000_000, 256), (26_000, 4096), (26_000, 256))


def torchfm(sizes: list[int]) -> tuple[Any, Any]:
    """One table for all fields; its forward takes whole numbers."""
    from torchfm.model.dfm import DeepFactorizationMachineModel

    return DeepFactorizationMachineModel(sizes, embed_dim=DIM, mlp_dims=HIDDEN, dropout=0.0), lambda ids: ids


def deepctr(sizes: list[int]) -> tuple[Any, Any]:
    """A table for each field; its forward takes floats, penalties are left out."""
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import DeepFM

    columns = [SparseFeat(f"c{number}", size, embedding_dim=DIM) for number, size in enumerate(sizes)]
    return DeepFM(
        columns, columns, dnn_hidden_units=HIDDEN, l2_reg_linear=0, l2_reg_embedding=0, l2_reg_dnn=0
    ), torch.Tensor.float


class Side:
    """A model with its optimizer; a call is a step on the next batch."""

    def __init__(self, make: Any, rows: int, batch: int, rule: str, side: str) -> None:
        torch.manual_seed(0)
        self.model, self.taken = make([rows // FIELDS] * FIELDS)
        module, options = torch.optim, {}
        if side != "torch":
            ft.convert(self.model)
            module, options = ft.optim, {"in_backward": side == "in backward"}
        self.optimizer = getattr(module, rule)(self.model.parameters(), lr=0.01, **options)
        generator = torch.Generator().manual_seed(1)
        self.ids = torch.randint(rows // FIELDS, (BATCHES, batch, FIELDS), generator=generator)
        self.labels = torch.rand(BATCHES, batch, generator=generator).round()
        self.number = 0

    def __call__(self) -> None:
        ids, labels = (given[self.number % BATCHES] for given in (self.ids, self.labels))
        self.number += 1
        self.optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy(self.model(self.taken(ids)).view(-1), labels).backward()
        self.optimizer.step()


def measure(make: Any, rows: int, batch: int, rule: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of a step by side: of each round the median of three steps, after two to warm up."""
    sides = {side: Side(make, rows, batch, rule, side) for side in SIDES}
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for turn in range(rounds + 1):
        for side, step in sides.items():
            taken = []
            for _ in range(3):
                start = time.perf_counter()
                step()
                taken.append(time.perf_counter() - start)
            if turn:
                seconds[side].append(statistics.median(taken))
    return seconds


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    ff.set_num_threads(THREADS)
    print_header("DeepFM of other packages, as it comes and converted; 26 fields, D = 16, 64-64, two threads")
    others, figures, rows = Others(), {}, []
    for make in (torchfm, deepctr):
        for size, batch in SIZES:
            for rule in ("Adagrad", "Adam"):
                found = figures[f"{make.__name__} {size} {batch} {rule}"] = measure(
                    make, size, batch, rule, options.rounds
                )
                times = [spread(found[side], 1e3, 1) for side in SIDES]
                gains = [spread(ratios(found["torch"], found[side])) for side in SIDES[1:]]
                rows.append((make.__name__, f"{size:,}", f"{batch:,}", rule, *times, *gains))
    print_table(("model", "rows", "B", "rule", *SIDES, "torch / step", "torch / in backward"), rows)
    print(f"Other processes: {others.cores():.2f} cores.")
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
