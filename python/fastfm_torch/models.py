"""Whole models: ``FMInteraction`` of given vectors, and ``DeepFM`` (Guo et al., IJCAI 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastfm_core.errors import InputError
from fastfm_torch import interaction
from fastfm_torch.modules import EmbeddingFM


class FMInteraction(nn.Module):
    """[B, F, D] -> the sum of all pairs' products, [B]; with ``per_dim`` kept per dim, [B, D]."""

    def __init__(self, per_dim: bool = False) -> None:
        super().__init__()
        self.per_dim = per_dim

    def forward(self, fields: Tensor) -> Tensor:
        """1/2 ((sum_f e_f)^2 - sum_f e_f^2), summed over dims or not."""
        return interaction.bi_interaction(fields) if self.per_dim else interaction.fm_interaction(fields)

    def extra_repr(self) -> str:
        """The option."""
        return f"per_dim={self.per_dim}"


class DeepFM(nn.Module):
    """logit = bias + first order + pairs + MLP(slots and numbers), [B].

    num_embeddings  a list of the fields' sizes (ids start at 0 in each), or the rows of one table of ``fields`` fields
    numbers         how many raw numbers a sample has, for the MLP
    """

    def __init__(
        self, num_embeddings: int | Sequence[int], embedding_dim: int, hidden: Sequence[int] = (400, 400), *,
        dropout: float = 0.0, numbers: int = 0, fields: int | None = None, sparse: bool = False, mode: str = "sum",
        include_last_offset: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        made = {"device": device, "dtype": dtype}
        options: dict[str, Any] = {"mode": mode, "include_last_offset": include_last_offset, "sparse": sparse}
        self.embedding = EmbeddingFM(num_embeddings, embedding_dim, **options, **made)
        self.fields = fields = self.embedding.fields or fields
        if fields is None:
            raise InputError("one table for all fields needs fields=, their number")
        layers: list[nn.Module] = []
        width = fields * embedding_dim + numbers
        for size in hidden:
            layers += [nn.Linear(width, size, **made), nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
            width = size
        self.mlp = nn.Sequential(*layers, nn.Linear(width, 1, **made))
        self.bias = nn.Parameter(torch.zeros(1, **made))

    def forward(
        self,
        ids: Tensor,
        offsets: Tensor | None = None,
        dense: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        """ids as ``EmbeddingFM`` takes them, dense [B, numbers] -> logits [B]."""
        first, pair, deep = self.embedding(ids, offsets, dense, per_sample_weights, fields=self.fields)
        return self.bias + first + pair + self.mlp(deep).squeeze(1)
