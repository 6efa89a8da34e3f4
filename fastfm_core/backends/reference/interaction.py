"""The FM interaction of given field vectors e [B, F, D], summed to [B] or kept per dim (bi-interaction) [B, D].

1/2 ((sum_f e_f)^2 - sum_f e_f^2), whose gradient by e_f is S - e_f with S = sum_f e_f.
Rendle, ICDM 2010, Lemma 3.1; He & Chua, "Neural Factorization Machines", SIGIR 2017.
"""

from __future__ import annotations

from fastfm_core.contract import Array


def fm_interaction(fields: Array) -> Array:
    """[B, F, D] -> [B]."""
    return bi_interaction(fields).sum(axis=1)


def fm_interaction_backward(grad: Array, fields: Array) -> Array:
    """grad [B] -> [B, F, D]."""
    return bi_interaction_backward(grad[:, None], fields)


def bi_interaction(fields: Array) -> Array:
    """[B, F, D] -> [B, D]."""
    return (fields.sum(axis=1) ** 2 - (fields**2).sum(axis=1)) / 2


def bi_interaction_backward(grad: Array, fields: Array) -> Array:
    """grad [B, D] -> [B, F, D]."""
    return grad[:, None] * (fields.sum(axis=1, keepdims=True) - fields)
