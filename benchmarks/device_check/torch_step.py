"""The same step in torch, eager and compiled, with each of its optimizers for tables; times as ours are taken."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from device_check.steps import DIM, FIELDS, HIDDEN, NUMBERS
from fastfm_core.contract import Batch
from twin.torch_model import TorchDeepFM

OPTIMIZERS = ("SparseAdam", "sparse Adagrad", "dense fused Adam")


def measure(rows: int, data: list[Batch], kind: str) -> list[dict[str, Any]]:
    """Milliseconds of a step, by optimizer, eager and compiled."""
    torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
    inputs = [
        (
            torch.from_dlpack(batch.entries.ids).long().view(-1, FIELDS),
            torch.from_dlpack(batch.dense),
            torch.from_dlpack(batch.labels),
        )
        for batch in data
    ]
    lines = []
    for name in OPTIMIZERS:
        for compiled in (False, True):
            who = "torch.compile" if compiled else "torch eager"
            try:
                spent: Any = _time(rows, inputs, name, compiled)
            except Exception as error:
                spent = f"fails: {type(error).__name__}: {error}".splitlines()[0][:60]
            lines.append({"products": kind, "who": who, "rule": name, "ms": spent})
    return lines


def _time(rows: int, inputs: list[Any], name: str, compiled: bool) -> float:
    sparse = name != "dense fused Adam"
    model = TorchDeepFM(rows, FIELDS, DIM, NUMBERS, HIDDEN, sparse=sparse).cuda()
    tables = [model.table.weight, model.linear.weight]
    rest = [p for p in model.parameters() if all(p is not table for table in tables)]
    if name == "SparseAdam":
        optimizers = [torch.optim.SparseAdam(tables), torch.optim.Adam(rest, fused=True)]
    elif name == "sparse Adagrad":
        optimizers = [torch.optim.Adagrad(tables, lr=1e-3), torch.optim.Adam(rest, fused=True)]
    else:
        optimizers = [torch.optim.Adam([*tables, *rest], fused=True)]

    def loss_of(ids: Any, numbers: Any, labels: Any) -> Any:
        return binary_cross_entropy_with_logits(model(ids, None, None, numbers), labels)

    function = torch.compile(loss_of, dynamic=False) if compiled else loss_of

    def steps() -> None:
        for ids, numbers, labels in inputs:
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = function(ids, numbers, labels)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            loss.item()

    for _ in range(3):
        steps()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        steps()
        times.append((time.perf_counter() - start) / len(inputs) * 1e3)
    return statistics.median(times)
