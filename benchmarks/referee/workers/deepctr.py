"""DeepCTR-Torch: its own DeepFM class with its own input layout (one matrix of floats), compiled with its own Adam.

A step is what its ``fit`` does with a batch: forward, summed log-loss, backward, Adam over all rows of all tables;
fit's data loader is left out. Its FM is a DeepFM without hidden layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from deepctr_torch.inputs import DenseFeat, SparseFeat
from deepctr_torch.models import DeepFM
from torch.nn.functional import binary_cross_entropy

from benchmarks.referee.problem import Problem
from benchmarks.referee.worker import THREADS, main

torch.set_num_threads(THREADS)


def model_of(problem: Problem) -> Any:
    """With the initial weights that all sides share."""
    sparse = [SparseFeat(f"C{f}", int(size), embedding_dim=problem.dim) for f, size in enumerate(problem.sizes)]
    dense = [DenseFeat(f"I{i}", 1) for i in range(problem.numbers.shape[1])] if problem.hidden else []
    off: dict[str, Any] = {"l2_reg_linear": 0, "l2_reg_embedding": 0, "l2_reg_dnn": 0}
    model = DeepFM(sparse, [*sparse, *dense], dnn_hidden_units=problem.hidden, device="cpu", **off)
    parts = torch.from_numpy(problem.rows).split([int(size) for size in problem.sizes])
    embeddings: Any = model.embedding_dict
    firsts: Any = model.linear_model.embedding_dict
    with torch.no_grad():
        for field, part in enumerate(parts):
            embeddings[f"C{field}"].weight.copy_(part[:, : problem.dim])
            firsts[f"C{field}"].weight.copy_(part[:, problem.dim :])
        if problem.hidden:
            linears = [*model.dnn.linears, model.dnn_linear]
            for linear, weight in zip(linears, problem.layers, strict=True):
                linear.weight.copy_(torch.from_numpy(weight.T))
                if linear.bias is not None:
                    linear.bias.zero_()
    return model


class Inputs:
    """The log as its models read it: ids within their fields, then numbers, all as float32."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.model = problem, model_of(problem)
        local = problem.ids - (np.cumsum(problem.sizes) - problem.sizes)
        parts = [local.astype(np.float32), *([problem.numbers] if problem.hidden else [])]
        self.x = torch.from_numpy(np.concatenate(parts, axis=1))

    @torch.inference_mode()
    def probabilities(self, samples: np.ndarray) -> np.ndarray:
        """[n]."""
        parts = torch.from_numpy(samples).split(4096)
        return torch.cat([self.model(self.x[part]).squeeze(1) for part in parts]).numpy()

    def logits(self, samples: np.ndarray) -> np.ndarray:
        """Of the trained model."""
        p = self.probabilities(samples).astype(np.float64)
        return np.log(p) - np.log1p(-p)


class Step(Inputs):
    """A step of its training."""

    judged = "first"
    note = "its own rule: Adam over all rows of all tables"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.model.compile("adam", "binary_crossentropy")
        self.model.train()
        self.labels = torch.from_numpy(problem.labels)

    def __call__(self, number: int) -> float:
        samples = torch.from_numpy(self.problem.samples(number))
        labels = self.labels[samples]
        self.model.optim.zero_grad()
        loss = binary_cross_entropy(self.model(self.x[samples]).squeeze(1), labels, reduction="sum")
        loss.backward()
        self.model.optim.step()
        return loss.item() / len(labels)


class Score(Inputs):
    """Probabilities of batches that are given."""

    answers = "probabilities"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.model.eval()
        self.batches = [self.x[torch.from_numpy(problem.samples(number))] for number in range(problem.batches)]

    def __call__(self, number: int) -> np.ndarray:
        with torch.inference_mode():
            return self.model(self.batches[number % len(self.batches)]).numpy()


def build(problem: Problem, kind: str, settings: str) -> Any:
    """Its whole step, and inference."""
    if kind == "step":
        return Step(problem)
    return Score(problem) if kind in ("kernel", "score") else None


if __name__ == "__main__":
    main(build)
