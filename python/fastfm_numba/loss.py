"""The loss: docs/contract.md, under the same name."""

from __future__ import annotations

from numba import njit

from fastfm_numba.arrays import expect, floats, floats_out
from fastfm_numba.library import done, double_at, function, structure

_bce_with_logits = function("bce_with_logits", "wwwwww")


@njit(forceinline=True)
def bce_with_logits(logits, labels, weights, grad):
    """logits [B], labels [B], weights [B] or None -> the mean loss; grad [B] is written."""
    count = logits.shape[0]
    expect(labels, (count,), "labels")
    expect(weights, (count,), "weights")
    expect(grad, (count,), "grad")
    loss = structure((0,))
    given, wanted = floats(logits, "logits"), floats(labels, "labels")
    done(_bce_with_logits(given, wanted, floats(weights, "weights"), count, loss, floats_out(grad, "grad")))
    return double_at(loss)
