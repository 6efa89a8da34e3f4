"""DeepFM in PyTorch with fastfm_core's lookup and optimizer, on the batches of ``curve.py``.

    python python/examples/curve.py FOLDER
    python python/examples/deepfm_torch.py FOLDER [--step] [--compile]

The table's rows move in the backward pass; with --step a sparse gradient is made and ``optimizer.step()`` applies it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import curve
import fastfm_torch as ft


def model_of(given: dict[str, Any], sparse: bool) -> ft.DeepFM:
    """The model with the curve's weights."""
    model = ft.DeepFM(given["rows"], given["dim"], [given["hidden"]], fields=given["fields"], sparse=sparse)
    first, _, last = model.mlp
    weights = {
        model.embedding.weight: given["table"], model.embedding.linear: given["linear"], model.bias: given["bias"],
        first.weight: given["weight1"].T, first.bias: given["bias1"],
        last.weight: given["weight2"][None], last.bias: given["bias2"],
    }  # fmt: skip
    with torch.no_grad():
        for parameter, values in weights.items():
            parameter.copy_(torch.from_numpy(values))
    return model


def train(given: dict[str, Any], in_backward: bool, compiled: bool) -> list[float]:
    """The loss before each step."""
    model = model_of(given, sparse=not in_backward)
    optimizer = ft.optim.Adagrad(
        model.parameters(), lr=curve.LR, initial_accumulator_value=curve.INITIAL, in_backward=in_backward
    )
    logits = torch.compile(model, backend="aot_eager") if compiled else model
    losses = []
    for ids, labels in zip(given["ids"], given["labels"], strict=True):
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(logits(torch.from_numpy(ids)), torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="train DeepFM in PyTorch along the library's curve")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--step", action="store_true", help="sparse gradients and step() instead of in_backward")
    parser.add_argument("--compile", action="store_true", help="compile the model around its lookup")
    options = parser.parse_args(arguments)
    losses = train(curve.read(options.folder), not options.step, options.compile)
    return curve.show(losses, options.folder)


if __name__ == "__main__":
    sys.exit(main())
