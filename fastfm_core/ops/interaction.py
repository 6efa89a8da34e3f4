"""Interactions of given field vectors e [B, F, D]: the FM's sum-square and NFM's bi-interaction.

1/2 ((sum_f e_f)^2 - sum_f e_f^2) equals the sum over all pairs of e_f * e_g (Rendle, ICDM 2010, Lemma 3.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Context, Function, Tensor


def fm_interaction(fields: Tensor) -> Tensor:
    """e [B, F, D] -> sum over pairs of <e_f, e_g>, [B]."""
    return _FM.apply(fields)


def bi_interaction(fields: Tensor) -> Tensor:
    """e [B, F, D] -> sum over pairs of e_f * e_g kept per dim, [B, D] (He & Chua, SIGIR 2017)."""
    return _BiInteraction.apply(fields)


class _FM(Function):
    @staticmethod
    def forward(context: Context, fields: np.ndarray) -> np.ndarray:
        fields = context.backend.xp.ascontiguousarray(fields)
        context.saved = (fields,)
        return context.backend.fm_interaction(fields)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return (context.backend.fm_interaction_backward(grad, *context.saved),)


class _BiInteraction(Function):
    @staticmethod
    def forward(context: Context, fields: np.ndarray) -> np.ndarray:
        fields = context.backend.xp.ascontiguousarray(fields)
        context.saved = (fields,)
        return context.backend.bi_interaction(fields)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return (context.backend.bi_interaction_backward(grad, *context.saved),)
