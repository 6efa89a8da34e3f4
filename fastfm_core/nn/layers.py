"""Linear, FieldLinear, BatchNorm, Dropout, Tower and MLP."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from fastfm_core import ops, random
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import DropoutKey
from fastfm_core.errors import InputError
from fastfm_core.nn.module import Module


def parameter(values: np.ndarray, backend: Backend) -> Tensor:
    """A trained tensor, float32, placed as the backend places them."""
    data = backend.aligned_zeros(values.shape, np.float32)
    data[...] = backend.to_device(values)
    return Tensor(data, backend, requires_grad=True)


class Linear(Module):
    """x weight + bias, weight [K, H] starting at N(0, 2/K) (He et al., ICCV 2015), bias [H] at 0."""

    def __init__(self, inputs: int, outputs: int, backend: Backend, *, seed: int, layer: int) -> None:
        scale = np.sqrt(2.0 / max(inputs, 1))
        self.weight = parameter(random.generator(seed, 2, layer).standard_normal((inputs, outputs)) * scale, backend)
        self.bias = parameter(np.zeros(outputs), backend)

    def forward(self, x: Tensor) -> Tensor:
        """[B, K] -> [B, H]."""
        return ops.linear(x, self.weight, self.bias)


class FieldLinear(Module):
    """A Linear for each field: x_f weight_f + bias_f, weight [F, K, H] starting at N(0, 2/K), bias [F, H] at 0."""

    def __init__(self, fields: int, inputs: int, outputs: int, backend: Backend, *, seed: int, layer: int) -> None:
        scale = np.sqrt(2.0 / max(inputs, 1))
        shape = (fields, inputs, outputs)
        self.weight = parameter(random.generator(seed, 2, layer).standard_normal(shape) * scale, backend)
        self.bias = parameter(np.zeros((fields, outputs)), backend)

    def forward(self, x: Tensor) -> Tensor:
        """[B, F, K] -> [B, F, H]."""
        return ops.field_linear(x, self.weight, self.bias)


class BatchNorm(Module):
    """Batch normalization; running = (1 - momentum) running + momentum batch, with the unbiased variance."""

    def __init__(self, features: int, backend: Backend, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        self.gamma = parameter(np.ones(features), backend)
        self.beta = parameter(np.zeros(features), backend)
        self.running_mean = backend.xp.zeros(features, np.float32)
        self.running_variance = backend.xp.ones(features, np.float32)
        self.eps = eps
        self.momentum = momentum

    def forward(self, x: Tensor) -> Tensor:
        """[B, H] -> [B, H]."""
        if not self.training:
            return ops.normalize(x, self.gamma, self.beta, self.running_mean, self.running_variance, self.eps)
        out, mean, variance = ops.batch_norm(x, self.gamma, self.beta, self.eps)
        count = len(x.data)
        if count < 2:  # one sample has no variance to learn from
            return out
        self.running_mean += np.float32(self.momentum) * (mean - self.running_mean)
        self.running_variance += np.float32(self.momentum) * (variance * (count / (count - 1)) - self.running_variance)
        return out


class Dropout(Module):
    """In training, keeps an element with probability 1 - rate and scales it by 1/(1 - rate).

    Draws are named by (seed, step, layer) and the element's number, so threads and resumed runs draw the same. The step
    is set by ``Module.begin_step``: without it every step drops the same elements.
    """

    def __init__(self, rate: float, *, seed: int, layer: int) -> None:
        if not 0.0 <= rate < 1.0:
            raise InputError(f"the dropout rate must be at least 0 and below 1, got {rate}")
        self.rate = rate
        self.seed = seed
        self.layer = layer

    def key(self) -> DropoutKey | None:
        """The current draw's name; None when nothing is dropped."""
        return DropoutKey(self.seed, self.step, self.layer) if self.training and self.rate > 0 else None

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        key = self.key()
        return x if key is None else ops.dropout(x, self.rate, key)


class Tower(Module):
    """Hidden layers of Linear, (BatchNorm,) ReLU, Dropout: [B, K] -> [B, ``width``]; without layers the input itself.

    Without batch norm, bias, ReLU and dropout are one pass over the product. Give a second tower of a model, which has
    the same seed, another ``stream``.
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], backend: Backend, *, seed: int, dropout: float = 0.0,
        batch_norm: bool = False, stream: int = 0,
    ) -> None:  # fmt: skip
        first = stream << 16  # layers of another stream start and drop differently under the same seed
        widths = [inputs, *hidden]
        self.layers = [
            Linear(inputs, outputs, backend, seed=seed, layer=first + n)
            for n, (inputs, outputs) in enumerate(itertools.pairwise(widths))
        ]
        self.norms = [BatchNorm(width, backend) for width in hidden] if batch_norm else []
        self.drops = [Dropout(dropout, seed=seed, layer=first + n) for n in range(len(hidden))]
        self.width = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """[B, K] -> [B, width]."""
        for n, (layer, drop) in enumerate(zip(self.layers, self.drops, strict=True)):
            if self.norms:
                x = ops.relu(self.norms[n](layer(x)), drop.rate, drop.key())
            else:
                x = ops.linear_relu(x, layer.weight, layer.bias, drop.rate, drop.key())
        return x


class MLP(Tower):
    """A tower, then Linear to ``outputs`` numbers: [B, K] -> [B, outputs], or [B] for one."""

    def __init__(
        self, inputs: int, hidden: Sequence[int], backend: Backend, *, seed: int, dropout: float = 0.0,
        batch_norm: bool = False, stream: int = 0, outputs: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(inputs, hidden, backend, seed=seed, dropout=dropout, batch_norm=batch_norm, stream=stream)
        self.head = Linear(self.width, outputs, backend, seed=seed, layer=(stream << 16) + len(hidden))

    def forward(self, x: Tensor) -> Tensor:
        """[B, K] -> [B, outputs], or [B] for one."""
        out = self.head(super().forward(x))
        return ops.squeeze(out) if out.data.shape[1] == 1 else out
