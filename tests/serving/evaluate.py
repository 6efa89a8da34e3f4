"""A graph's logits, node by node, in NumPy: the naive twin of whoever translates graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core import backends
from fastfm_core.contract import Batch, Entries
from fastfm_core.nn.uses import batch_of_fields
from fastfm_core.serving.graph import Graph, Lookup, Node

reference = backends.get("reference")


def logits(graph: Graph, batch: Batch) -> np.ndarray:
    """[B]"""
    found: dict[int, Any] = {}
    for node in graph.nodes():
        found[id(node)] = value(node, [found[id(x)] for x in node.inputs], batch)
    return found[id(graph.logit)]


def value(node: Node, inputs: list[np.ndarray], batch: Batch) -> np.ndarray:
    samples = batch.entries.samples
    if node.op in ("First", "Pairs", "Vectors"):
        return looked_up(node.op, node.facts["lookup"], batch)
    if node.op == "Numbers":
        assert batch.dense is not None
        return batch.dense
    if node.op == "Constant":
        return node.facts["array"]
    out = OPERATIONS[node.op](*inputs, **node.facts)
    return out.reshape(samples, *node.shape) if node.op in ("Reshape", "AsVectors") else out


def looked_up(op: str, lookup: Lookup, batch: Batch) -> np.ndarray:
    chosen = np.zeros(batch.entries.fields, bool)
    chosen[list(lookup.fields)] = True
    entries = batch_of_fields(batch, chosen, reference).entries
    slots = np.arange(entries.slots) if entries.offsets is None else reference.entry_slots(entries)
    shifts = np.array(lookup.shifts, np.int64)[slots % len(lookup.fields)]
    entries = Entries(entries.ids - shifts.astype(entries.ids.dtype), *entries[1:])
    out = reference.embedding_fm(lookup.table, lookup.linear, entries, None, deep=entries.pooling != "none")
    shape = (batch.entries.samples, len(lookup.fields), lookup.table.shape[1])
    return {"First": out.first, "Pairs": out.pair}[op] if op != "Vectors" else out.deep.reshape(shape)


def columns(x: np.ndarray) -> np.ndarray:
    return x if x.ndim == 2 else x[:, None]


def pooled(x: np.ndarray, pooling: str) -> np.ndarray:
    return getattr(np, pooling)(x, axis=1) if x.shape[1] else np.zeros((len(x), x.shape[2]))


OPERATIONS: dict[str, Any] = {
    "Add": lambda *terms: sum(terms[1:], terms[0]),
    "Multiply": lambda a, b: a * b,
    "Scale": lambda x, factor: x * factor,
    "Inner": lambda a, b: (a * b).sum(1),
    "SumFields": lambda x: x.sum(1),
    "Concatenate": lambda *parts: np.concatenate(list(map(columns, parts)), axis=1),
    "Reshape": lambda x: x,
    "AsVectors": lambda x, dim, fields: x[:, : dim * fields],
    "TakeFields": lambda x, fields: x[:, fields],
    "Linear": lambda x, weight, bias: x @ weight + bias,
    "LinearReLU": lambda x, weight, bias, rate: np.maximum(x @ weight + bias, 0),
    "ReLU": lambda x, rate: np.maximum(x, 0),
    "Normalize": lambda x, gamma, beta, mean, scale: (x - mean) * scale * gamma + beta,
    "FieldLinear": lambda x, weight, bias: np.einsum("bfk,fkd->bfd", x, weight) + bias,
    "Project": lambda x, weight: x @ weight,
    "BiInteraction": lambda e: (e.sum(1) ** 2 - (e**2).sum(1)) / 2,
    "FM": lambda e: ((e.sum(1) ** 2 - (e**2).sum(1)) / 2).sum(1),
    "PairInteraction": lambda e, *weights, pairs: reference.pair_interaction(e, pairs, *(weights or (None,))),
    "PairProducts": lambda e, pairs, product: reference.pair_products(np.ascontiguousarray(e), pairs, product),
    "PoolPairs": pooled,
}
