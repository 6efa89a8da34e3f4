"""The kernels as operators of PyTorch, namespace ``fastfm``: lookups and interactions, differentiable and compilable.

    e = ops.embedding_gather(table, ids)                          # [..., D]
    e = ops.embedding_bag(table, ids, offsets, pooling="mean")    # [M, D]
    first, pair, deep = ops.embedding_fm(table, linear, ids, dense=numbers, deep=True)
    pair = ops.fm_interaction(e)                                  # [B, F, D] -> [B]

Ids are checked unless ``check=False``. The gradient of a table is dense, or with ``sparse=True`` a coalesced COO tensor
whose rows ascend. Tables of float16 and bfloat16 are read and computed with in float32; results have their dtype.
Sparse gradients, and tables whose optimizer moves rows between lookups or in the backward pass, go through ``eager``:
torch.compile breaks its graph there, and with fullgraph=True it refuses.
Formulas and determinism: ``fastfm_core.contract``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fastfm_core.errors import InputError
from fastfm_torch import arrays, eager, follow, gradients, lookups
from fastfm_torch.define import operator, traced


class EmbeddingFMOutput(NamedTuple):
    """first [B] sum of first-order weights, pair [B] the FM's pairs, deep [B, F*D + I] or None."""

    first: Tensor
    pair: Tensor
    deep: Tensor | None


def embedding_gather(
    table: Tensor, ids: Tensor, *, padding_idx: int | None = None, sparse: bool = False, check: bool = True
) -> Tensor:
    """table [V, D], ids of any shape -> table[ids]; the row ``padding_idx`` receives no gradient."""
    given = table, ids, -1 if padding_idx is None else padding_idx, sparse, check
    if not traced(table, ids):
        return eager.embedding_gather(*given)
    return eager.uncompiled_gather(*given) if sparse or follow.alive else _gather(*given)


def embedding_bag(
    table: Tensor, ids: Tensor, offsets: Tensor | None = None, values: Tensor | None = None, *, pooling: str = "sum",
    padding_idx: int | None = None, sparse: bool = False, check: bool = True,
) -> Tensor:  # fmt: skip
    """Pooled rows [M, D]: ids [N], offsets [M + 1] (None: an id a bag), values [N] weight the entries.

    pooling  sum, mean, sqrtn (the sum over the root of the count) or max; entries of ``padding_idx`` are left out
    """
    given = table, ids, offsets, values, pooling, -1 if padding_idx is None else padding_idx, sparse, check
    if not traced(table, ids, offsets, values):
        return eager.embedding_bag(*given)
    return eager.uncompiled_bag(*given) if sparse or follow.alive else _bag(*given)[0]


def embedding_fm(
    table: Tensor, linear: Tensor | None, ids: Tensor, offsets: Tensor | None = None, values: Tensor | None = None,
    dense: Tensor | None = None, *, fields: int | None = None, pooling: str = "sum", deep: bool = False,
    sparse: bool = False, check: bool = True,
) -> EmbeddingFMOutput:  # fmt: skip
    """Lookup, first order, FM and concatenation in one pass over the rows.

    table [V, D], linear [V] or None, ids [B, F], or [N] with offsets [B*F + 1] and ``fields``; values as ids;
    dense [B, I] is set behind the slots of the deep part. pooling "none": every entry is a term of its own,
    fields = 1, offsets [B + 1].
    """
    if fields is None:
        if ids.dim() != 2 or offsets is not None:
            raise InputError("ids with offsets need fields=, the number of bags of a sample")
        fields = ids.shape[1]
    given = table, linear, ids, offsets, values, dense, fields, pooling, deep, sparse, check
    if not traced(table, linear, ids, offsets, values, dense):
        first, pair, wide = eager.embedding_fm(*given)
    else:
        first, pair, wide = eager.uncompiled_fm(*given) if sparse or follow.alive else _fm(*given)[:3]
    return EmbeddingFMOutput(first, pair, wide if deep else None)


def global_ids(ids: Tensor, starts: Tensor, offsets: Tensor | None = None, *, check: bool = True) -> Tensor:
    """Each field's own ids, [B, F], or [N] with offsets [B*F + 1], as rows of one table; starts [F + 1]."""
    called = _global if traced(ids, offsets) else lookups.global_ids
    return called(ids, starts, offsets, check)


# ---- the operators --------------------------------------------------------------------------------------------------

_gather = operator(
    "embedding_gather",
    lambda table, ids, padding, sparse, check: lookups.gather(table, ids, check),
    "(Tensor table, Tensor ids, int padding, bool sparse, bool check) -> Tensor",
)
_bag = operator(
    "embedding_bag",
    lambda table, ids, offsets, values, pooling, padding, sparse, check: lookups.with_empty(
        lookups.bag(table, ids, offsets, values, pooling, padding, check), table
    ),
    "(Tensor table, Tensor ids, Tensor? offsets, Tensor? values, str pooling, int padding, bool sparse, bool check) -> "
    "(Tensor pooled, Tensor winners)",
)
_fm = operator(
    "embedding_fm",
    lambda table, linear, ids, offsets, values, dense, fields, pooling, deep, sparse, check: lookups.with_empty(
        lookups.fm(table, linear, ids, offsets, values, dense, fields, pooling, deep, check), table
    ),
    "(Tensor table, Tensor? linear, Tensor ids, Tensor? offsets, Tensor? values, Tensor? dense, SymInt fields, "
    "str pooling, bool deep, bool sparse, bool check) -> (Tensor first, Tensor pair, Tensor deep, Tensor sums, "
    "Tensor winners, Tensor linear_winners)",
)
_global = operator(
    "global_ids", lookups.global_ids, "(Tensor ids, Tensor starts, Tensor? offsets, bool check) -> Tensor"
)
_global.register_fake(lambda ids, starts, offsets, check: ids.new_empty(ids.shape, dtype=starts.dtype))


@_gather.register_fake
def _(table: Tensor, ids: Tensor, padding: int, sparse: bool, check: bool) -> Tensor:
    return table.new_empty((*ids.shape, table.shape[1]))


@_bag.register_fake
def _(
    table: Tensor, ids: Tensor, offsets: Tensor | None, values: Tensor | None, pooling: str, padding: int,
    sparse: bool, check: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    slots, dim = ids.numel() if offsets is None else offsets.shape[0] - 1, table.shape[1]
    return table.new_empty((slots, dim)), ids.new_empty((slots if pooling == "max" else 0, dim), dtype=torch.int64)


@_fm.register_fake
def _(
    table: Tensor, linear: Tensor | None, ids: Tensor, offsets: Tensor | None, values: Tensor | None,
    dense: Tensor | None, fields: int, pooling: str, deep: bool, sparse: bool, check: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    dim, largest = table.shape[1], pooling == "max"
    slots = ids.numel() if offsets is None else offsets.shape[0] - 1
    samples = slots // fields
    width = fields * dim if deep or lookups.keeps_slots(offsets, pooling) else 0
    width = width + (dense.shape[1] if deep and dense is not None else 0)
    wide = lookups.empty_wide(table, samples, width)
    sums = table.new_empty((samples, dim), dtype=arrays.computed(table.dtype))
    winners = [ids.new_empty((slots if won else 0, d), dtype=torch.int64)
               for won, d in ((largest, dim), (largest and linear is not None, 1))]  # fmt: skip
    return table.new_empty((samples,)), table.new_empty((samples,)), wide, sums, *winners


_gather.register_autograd(gradients.of_gather, setup_context=gradients.save_gather)
_bag.register_autograd(gradients.of_bag, setup_context=gradients.save_bag)
_fm.register_autograd(gradients.of_fm, setup_context=gradients.save_fm)
