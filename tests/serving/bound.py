"""The bound on a float32 logit's error that the kernels' contract sets: 2 |e of the model| + 4 eps sum |terms|."""

from __future__ import annotations

import numpy as np

from fastfm_core import backends
from fastfm_core.contract import Batch

from .zoo import build, in_dtype


def require_close(case: str, batch: Batch, logits: np.ndarray) -> None:
    """AssertionError where logits of the case's model on a batch lie outside the bound."""
    truth = _in_float64(case, batch, absolute=False)
    terms = _in_float64(case, batch, absolute=True)
    error = np.abs(build(case, backends.get("reference")).predict(batch) - truth).max(initial=0)
    bound = 2 * error + 4 * np.finfo(np.float32).eps * terms.max(initial=0)
    assert logits.dtype == np.float32 and logits.shape == truth.shape
    assert np.abs(logits - truth).max(initial=0) <= bound


def _in_float64(case: str, batch: Batch, absolute: bool) -> np.ndarray:
    """The logits in float64, or the sums of their terms' sizes: those of a model and a batch without minus signs."""
    model, sign = build(case, backends.get("reference")), np.abs if absolute else np.asarray
    for path, array in model.state_dict().items():
        array[...] = -np.abs(array) if absolute and path.endswith("running_mean") else sign(array)
    in_dtype(model, np.float64)
    values, dense = (None if x is None else sign(x.astype(np.float64)) for x in (batch.entries.values, batch.dense))
    return model.predict(Batch(batch.entries._replace(values=values), dense))
