"""LR, FM and DeepFM as their papers write them: loops over samples, pairs and neurons, no identity used."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from fastfm_core.contract import Batch, Entries
from fastfm_core.nn import Uses


def slots(entries: Entries, table: np.ndarray) -> np.ndarray:
    """Pooled rows [B, F, D] of sum, mean, sqrtn and max pooling."""
    offsets = np.arange(len(entries.ids) + 1) if entries.offsets is None else entries.offsets
    pooled = np.zeros((entries.samples, entries.fields, table.shape[1]))
    for s in range(entries.slots):
        places = range(offsets[s], offsets[s + 1])
        terms = [(1.0 if entries.values is None else entries.values[i]) * table[entries.ids[i]] for i in places]
        if terms:
            n = len(terms)
            pool = {
                "sum": sum(terms),
                "mean": sum(terms) / n,
                "sqrtn": sum(terms) / np.sqrt(n),
                "max": np.max(terms, 0),
            }
            pooled[divmod(s, entries.fields)] = pool[entries.pooling]
    return pooled


def fields_of(batch: Batch, uses: Uses | None, part: str) -> list[int]:
    """The fields that take part in first order, pairs or deep part."""
    return [f for f in range(batch.entries.fields) if uses is None or getattr(uses, part)[f]]


def lr(state: dict[str, np.ndarray], batch: Batch, uses: Uses | None = None) -> np.ndarray:
    """bias + sum of the slots' first-order weights, [B]."""
    weights = slots(batch.entries, state["embedding.table"][:, -1:])
    return state["bias"] + weights[:, fields_of(batch, uses, "first")].sum(axis=(1, 2))


def fm(state: dict[str, np.ndarray], batch: Batch, uses: Uses | None = None) -> np.ndarray:
    """lr + sum over all pairs of slots of <e_s, e_t>, [B]."""
    logits = lr(state, batch, uses)
    for b, e in enumerate(slots(batch.entries, state["embedding.table"][:, :-1])):
        logits[b] += sum(float(np.dot(e[s], e[t])) for s, t in combinations(fields_of(batch, uses, "pairs"), 2))
    return logits


def deepfm(
    state: dict[str, np.ndarray], batch: Batch, uses: Uses | None = None, *, layers: int, eps: float = 1e-5
) -> np.ndarray:
    """fm + MLP of the slots side by side and the raw numbers, in evaluation mode, [B]."""
    logits = fm(state, batch, uses)
    for b, e in enumerate(slots(batch.entries, state["embedding.table"][:, :-1])):
        x = [v for f in fields_of(batch, uses, "deep") for v in e[f]]
        x += [] if batch.dense is None else list(batch.dense[b])
        for n in range(layers):
            weight, bias = state[f"mlp.layers.{n}.weight"], state[f"mlp.layers.{n}.bias"]
            x = [sum(x[k] * weight[k, h] for k in range(len(x))) + bias[h] for h in range(len(bias))]
            if f"mlp.norms.{n}.gamma" in state:
                norm = [
                    state[f"mlp.norms.{n}.{name}"] for name in ("running_mean", "running_variance", "gamma", "beta")
                ]
                x = [(v - m) / np.sqrt(s + eps) * g + c for v, m, s, g, c in zip(x, *norm, strict=True)]
            x = [max(v, 0.0) for v in x]
        head = state["mlp.head.weight"]
        logits[b] += sum(x[k] * head[k, 0] for k in range(len(x))) + state["mlp.head.bias"][0]
    return logits
