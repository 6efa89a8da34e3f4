"""Modules over the operators: ``Embedding`` and ``EmbeddingBag`` for torch.nn's, ``EmbeddingFM`` for a model's lookup.

The first two take the arguments and the state_dict of their namesakes, unchanged. ``max_norm`` and
``scale_grad_by_freq`` are refused: the first writes to the table in the forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastfm_core.errors import InputError
from fastfm_torch import follow, ops
from fastfm_torch.ops import EmbeddingFMOutput


class _Followed(nn.Module):
    """A module whose rows may be behind their optimizer's steps."""

    _tables = ("weight",)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        follow.catch_up(*(getattr(self, name) for name in self._tables))
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        follow.catch_up(*(getattr(self, name) for name in self._tables))
        super()._load_from_state_dict(*arguments)


class Embedding(_Followed, nn.Embedding):
    """nn.Embedding with this package's lookup."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        _refuse(self)

    def forward(self, input: Tensor) -> Tensor:
        """ids of any shape -> [..., D]."""
        return ops.embedding_gather(self.weight, input, padding_idx=self.padding_idx, sparse=self.sparse)


class EmbeddingBag(_Followed, nn.EmbeddingBag):
    """nn.EmbeddingBag with this package's pooling.

    More than there: mode "sqrtn", per_sample_weights under every mode, sparse=True under "max", int32 ids with int64
    offsets.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        _refuse(self)
        if self.mode not in ("sum", "mean", "sqrtn", "max"):
            raise InputError(f"mode must be sum, mean, sqrtn or max, got {self.mode!r}")

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """ids [B, L], or [N] with offsets [B] (with include_last_offset [B + 1]) -> [B, D]."""
        if per_sample_weights is not None and per_sample_weights.shape != input.shape:
            raise InputError(
                f"per_sample_weights must have the shape of the ids, {list(input.shape)}, got "
                f"{list(per_sample_weights.shape)}"
            )
        ids, bounds = _bags(input, offsets, self.include_last_offset)
        values = None if per_sample_weights is None else per_sample_weights.reshape(-1)
        return ops.embedding_bag(
            self.weight, ids, bounds, values, pooling=self.mode, padding_idx=self.padding_idx, sparse=self.sparse
        )


class EmbeddingFM(_Followed):
    """The lookup of an FM or DeepFM: first order, pairs and deep input of a batch in one pass over the rows.

    num_embeddings       rows of one table, then ids are global; or a list of them, one a field, then each field's ids
                         start at 0
    embedding_dim        D
    first_order          whether each row has a weight, the state_dict's ``linear`` [V] beside ``weight`` [V, D]
    mode                 how bags are pooled: sum, mean, sqrtn or max
    include_last_offset  whether offsets end with the number of ids, as in nn.EmbeddingBag
    deep                 whether forward returns the slots side by side
    sparse               whether gradients are sparse
    """

    _tables = ("weight", "linear")
    starts: Tensor | None
    linear: nn.Parameter | None

    def __init__(
        self, num_embeddings: int | Sequence[int], embedding_dim: int, first_order: bool = True, *, mode: str = "sum",
        include_last_offset: bool = False, deep: bool = True, sparse: bool = False, check: bool = True,
        std: float = 0.01, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        sizes = [num_embeddings] if isinstance(num_embeddings, int) else [int(size) for size in num_embeddings]
        if not sizes or min(sizes) < 1 or mode not in ("sum", "mean", "sqrtn", "max"):
            raise InputError(f"tables need a row each and a mode of sum, mean, sqrtn or max, got {sizes} and {mode!r}")
        self.num_embeddings, self.embedding_dim = sum(sizes), embedding_dim
        self.fields = None if isinstance(num_embeddings, int) else len(sizes)
        self.mode, self.include_last_offset, self.deep = mode, include_last_offset, deep
        self.sparse, self.check, self.std = sparse, check, std
        made = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty((self.num_embeddings, embedding_dim), **made))
        linear = nn.Parameter(torch.empty(self.num_embeddings, **made)) if first_order else None
        self.register_parameter("linear", linear)
        starts = torch.tensor([0, *sizes], device=device).cumsum(0) if self.fields else None
        self.register_buffer("starts", starts, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Rows N(0, std), first order 0."""
        nn.init.normal_(self.weight, 0.0, self.std)
        if self.linear is not None:
            nn.init.zeros_(self.linear)

    def forward(
        self, ids: Tensor, offsets: Tensor | None = None, dense: Tensor | None = None,
        per_sample_weights: Tensor | None = None, *, fields: int | None = None,
    ) -> EmbeddingFMOutput:  # fmt: skip
        """ids [B, F], or [N] with offsets [B*F] (with include_last_offset [B*F + 1]), sample by sample; dense [B, I]
        -> (first [B], pair [B], deep [B, F*D + I] or None).

        fields  F, for bags of global ids
        """
        if offsets is None and ids.dim() != 2:
            raise InputError(f"ids must be [B, F], or [N] with offsets, got {list(ids.shape)}")
        fields = self.fields or fields or (ids.shape[1] if offsets is None else 0)
        if not fields or (offsets is None and ids.shape[1] != fields):
            raise InputError(f"ids are of {ids.shape[1] if offsets is None else 'an unknown number of'} fields, not "
                             f"{fields}; give fields= with bags of global ids")  # fmt: skip
        if offsets is not None and not self.include_last_offset:
            offsets = _closed(offsets, ids)
        if self.starts is not None:
            ids = ops.global_ids(ids, self.starts, offsets, check=self.check)
        return ops.embedding_fm(
            self.weight, self.linear, ids, offsets, per_sample_weights, dense, fields=fields, pooling=self.mode,
            deep=self.deep, sparse=self.sparse, check=self.check and self.starts is None,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Sizes and options."""
        of = "" if self.fields is None else f", fields={self.fields}"
        options = f"first_order={self.linear is not None}, mode={self.mode!r}, deep={self.deep}, sparse={self.sparse}"
        return f"{self.num_embeddings}, {self.embedding_dim}{of}, {options}"


def _refuse(module: Any) -> None:
    """InputError for what would write to the table in the forward pass, or counts ids."""
    for name in ("max_norm", "scale_grad_by_freq"):
        if getattr(module, name):
            raise InputError(f"{type(module).__name__} has no {name}; leave it out, or keep torch.nn's module")


def _bags(ids: Tensor, offsets: Tensor | None, closed: bool) -> tuple[Tensor, Tensor | None]:
    """ids [N] and offsets [B + 1], None where each id is a bag."""
    if ids.dim() == 2:
        if offsets is not None:
            raise InputError("ids [B, L] are bags of L ids each; give no offsets with them")
        if ids.shape[1] == 1:
            return ids.reshape(-1), None
        return ids.reshape(-1), torch.arange(ids.shape[0] + 1, device=ids.device) * ids.shape[1]
    if ids.dim() != 1 or offsets is None or offsets.dim() != 1:
        raise InputError("ids must be [B, L], or [N] with offsets [B]")
    return ids, offsets if closed else _closed(offsets, ids)


def _closed(offsets: Tensor, ids: Tensor) -> Tensor:
    """Offsets with the number of ids behind them."""
    return torch.cat([offsets, torch.full((1,), ids.shape[0], dtype=offsets.dtype, device=offsets.device)])
