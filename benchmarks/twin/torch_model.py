"""FM and DeepFM in PyTorch, the plain way: an embedding table, sum-square interaction, an MLP.

    logit = bias + sum_i x_i w_i + 1/2 (|sum_s e_s|^2 - sum_s |e_s|^2) + MLP([e_1 .. e_F, numbers])

with e_s = sum of x_i v_i over the entries of slot s. Rendle, ICDM 2010; Guo et al., IJCAI 2017.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag


class TorchFM(nn.Module):
    """Bias, first order and all pairs. rows V, fields F, dim D."""

    def __init__(self, rows: int, fields: int, dim: int, sparse: bool = False) -> None:
        super().__init__()
        self.fields = fields
        self.table = nn.Embedding(rows, dim, sparse=sparse)
        self.linear = nn.Embedding(rows, 1, sparse=sparse)
        self.bias = nn.Parameter(torch.zeros(1))
        nn.init.normal_(self.table.weight, std=0.01)
        nn.init.zeros_(self.linear.weight)

    def pool(self, lookup: nn.Embedding, ids: Tensor, offsets: Tensor | None, values: Tensor | None) -> Tensor:
        """e [B, F, D] from ids [B, F] without offsets, else from ids, values [N] and offsets [B*F + 1]."""
        if offsets is None:
            return lookup(ids) if values is None else lookup(ids) * values[..., None]
        pooled = embedding_bag(
            ids, lookup.weight, offsets, mode="sum", per_sample_weights=values, include_last_offset=True
        )
        return pooled.view(-1, self.fields, lookup.embedding_dim)

    def shallow(self, ids: Tensor, offsets: Tensor | None, values: Tensor | None) -> tuple[Tensor, Tensor]:
        """-> (bias + first order + pairs [B], e [B, F, D])."""
        e = self.pool(self.table, ids, offsets, values)
        total = e.sum(1)
        pairs = 0.5 * (total * total - (e * e).sum(1)).sum(1)
        return self.bias + self.pool(self.linear, ids, offsets, values).sum((1, 2)) + pairs, e

    def forward(self, ids: Tensor, offsets: Tensor | None, values: Tensor | None, numbers: Tensor | None) -> Tensor:
        """Logits [B]; numbers take no part in an FM."""
        return self.shallow(ids, offsets, values)[0]


class TorchDeepFM(TorchFM):
    """FM and an MLP on the same embeddings; numbers [B, I] enter the MLP alone."""

    def __init__(
        self, rows: int, fields: int, dim: int, numbers: int, hidden: tuple[int, ...],
        dropout: float = 0.0, sparse: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(rows, fields, dim, sparse)
        widths = [fields * dim + numbers, *hidden]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
        self.mlp = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, ids: Tensor, offsets: Tensor | None, values: Tensor | None, numbers: Tensor | None) -> Tensor:
        """Logits [B]."""
        shallow, e = self.shallow(ids, offsets, values)
        flat = e.flatten(1)
        return shallow + self.mlp(flat if numbers is None else torch.cat([flat, numbers], 1)).squeeze(1)


def from_state(state: dict[str, np.ndarray], fields: int, dropout: float = 0.0) -> TorchFM:
    """The twin of fastfm_core's FM or DeepFM (without batch norm), weights copied from its ``state_dict()``."""
    table, first = state["embedding.table"][:, :-1], state["embedding.table"][:, -1:]
    rows, dim = table.shape
    layers = [name.rpartition(".")[0] for name in state if name.startswith("mlp.layers.") and name.endswith(".weight")]
    linears = [*layers, "mlp.head"] if layers else []
    if linears:
        hidden = tuple(state[f"{layer}.bias"].size for layer in layers)
        numbers = len(state[f"{linears[0]}.weight"]) - fields * dim
        twin = TorchDeepFM(rows, fields, dim, numbers, hidden, dropout)
        modules = [module for module in twin.mlp if isinstance(module, nn.Linear)]
    else:
        twin, modules = TorchFM(rows, fields, dim), []
    targets = [twin.table.weight, twin.linear.weight, twin.bias]
    values = [table, first, state["bias"]]
    for module, linear in zip(modules, linears, strict=True):
        targets += [module.weight, module.bias]
        values += [state[f"{linear}.weight"].T, state[f"{linear}.bias"]]
    with torch.no_grad():
        for target, array in zip(targets, values, strict=True):
            target.copy_(torch.from_numpy(array.copy()))
    return twin
