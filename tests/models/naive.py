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


def tower(state: dict[str, np.ndarray], name: str, x: list[float], layers: int, eps: float = 1e-5) -> list[float]:
    """Hidden layers in evaluation mode: sums, normalization where the state has it, ReLU."""
    for n in range(layers):
        x = affine(x, state[f"{name}.layers.{n}.weight"], state[f"{name}.layers.{n}.bias"])
        if f"{name}.norms.{n}.gamma" in state:
            x = normalized(state, f"{name}.norms.{n}", x, eps)
        x = [max(v, 0.0) for v in x]
    return x


def affine(x: list[float], weight: np.ndarray, bias: np.ndarray) -> list[float]:
    return [sum(x[k] * weight[k, h] for k in range(len(x))) + bias[h] for h in range(len(bias))]


def normalized(state: dict[str, np.ndarray], name: str, x: list[float], eps: float = 1e-5) -> list[float]:
    """Batch normalization by the running statistics."""
    norm = [state[f"{name}.{part}"] for part in ("running_mean", "running_variance", "gamma", "beta")]
    return [(v - m) / np.sqrt(float(s) + eps) * g + c for v, m, s, g, c in zip(x, *norm, strict=True)]


def head(state: dict[str, np.ndarray], name: str, x: list[float]) -> list[float]:
    return affine(x, state[f"{name}.weight"], state[f"{name}.bias"])


def mlp_of(state: dict[str, np.ndarray], name: str, x: list[float], layers: int) -> list[float]:
    return head(state, f"{name}.head", tower(state, name, x, layers))


def deep_input(vectors: np.ndarray, batch: Batch, b: int, fields: list[int]) -> list[float]:
    """The fields of sample b side by side, then its raw numbers."""
    return [v for f in fields for v in vectors[b, f]] + numbers(batch, b)


def numbers(batch: Batch, b: int) -> list[float]:
    return [] if batch.dense is None else list(batch.dense[b])


def deepfm(state: dict[str, np.ndarray], batch: Batch, uses: Uses | None = None, *, layers: int) -> np.ndarray:
    """fm + MLP of the slots side by side and the raw numbers, [B]."""
    vectors, fields = slots(batch.entries, state["embedding.table"][:, :-1]), fields_of(batch, uses, "deep")
    deep = [mlp_of(state, "mlp", deep_input(vectors, batch, b, fields), layers)[0] for b in range(len(vectors))]
    return fm(state, batch, uses) + np.array(deep)


def fwfm(state: dict[str, np.ndarray], batch: Batch, uses: Uses | None = None) -> np.ndarray:
    """lr + sum over all pairs of slots of r_st <e_s, e_t>, [B]."""
    logits, weight = lr(state, batch, uses), state["embedding.crosses.weight"]
    for b, e in enumerate(slots(batch.entries, state["embedding.table"][:, :-1])):
        pairs = combinations(fields_of(batch, uses, "pairs"), 2)
        logits[b] += sum(r * float(np.dot(e[s], e[t])) for r, (s, t) in zip(weight, pairs, strict=True))
    return logits


def wide_deep(state: dict[str, np.ndarray], batch: Batch, uses: Uses | None = None, *, layers: int) -> np.ndarray:
    vectors, fields = slots(batch.entries, state["embedding.table"][:, :-1]), fields_of(batch, uses, "deep")
    deep = [mlp_of(state, "mlp", deep_input(vectors, batch, b, fields), layers)[0] for b in range(len(vectors))]
    return lr(state, batch, uses) + np.array(deep)


def mlp(state: dict[str, np.ndarray], batch: Batch, uses: Uses | None = None, *, layers: int) -> np.ndarray:
    vectors, fields = slots(batch.entries, state["embedding.table"]), fields_of(batch, uses, "deep")
    deep = [mlp_of(state, "mlp", deep_input(vectors, batch, b, fields), layers)[0] for b in range(len(vectors))]
    return state["bias"] + np.array(deep)


def product_of(kind: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    if kind == "inner":
        return np.array([sum(p * q for p, q in zip(left, right, strict=True))])
    if kind == "outer":
        return np.array([p * q for p in left for q in right])
    return np.array([p * q for p, q in zip(left, right, strict=True)])


def nfm(
    state: dict[str, np.ndarray], batch: Batch, uses: Uses | None = None, *, layers: int,
    product: str = "elementwise", pooling: str = "sum",
) -> np.ndarray:  # fmt: skip
    logits = lr(state, batch, uses)
    for b, e in enumerate(slots(batch.entries, state["embedding.table"][:, :-1])):
        products = [product_of(product, e[s], e[t]) for s, t in combinations(fields_of(batch, uses, "pairs"), 2)]
        pool = {"sum": np.sum, "mean": np.mean, "max": np.max, "none": lambda all_, axis: np.concatenate(all_)}[pooling]
        pooled = list(pool(products, axis=0))
        if "pool.norm.gamma" in state:
            pooled = normalized(state, "pool.norm", pooled)
        logits[b] += mlp_of(state, "mlp", pooled + numbers(batch, b), layers)[0]
    return logits


def mf(state: dict[str, np.ndarray], batch: Batch, user: list[int], item: list[int]) -> np.ndarray:
    """Biases of both sides and the product of their vectors, [B]."""
    biases = slots(batch.entries, state["embedding.table"][:, -1:])[:, :, 0]
    vectors = slots(batch.entries, state["embedding.table"][:, :-1])
    pairs = [float(np.dot(sum(e[f] for f in user), sum(e[f] for f in item))) for e in vectors]
    return state["bias"] + biases[:, user + item].sum(axis=1) + np.array(pairs)


def gmf(state: dict[str, np.ndarray], batch: Batch, user: list[int], item: list[int]) -> np.ndarray:
    logits = []
    for e in slots(batch.entries, state["embedding.table"]):
        product = [p * q for p, q in zip(sum(e[f] for f in user), sum(e[f] for f in item), strict=True)]
        logits.append(state["bias"][0] + head(state, "head", product)[0])
    return np.array(logits)


def ncf_mlp(state: dict[str, np.ndarray], batch: Batch, user: list[int], item: list[int], layers: int) -> np.ndarray:
    vectors = slots(batch.entries, state["embedding.table"])
    inputs = [[v for f in sorted(user + item) for v in e[f]] for e in vectors]
    return np.array([state["bias"][0] + mlp_of(state, "mlp", x, layers)[0] for x in inputs])


def neumf(state: dict[str, np.ndarray], batch: Batch, user: list[int], item: list[int], layers: int) -> np.ndarray:
    logits = []
    both = zip(slots(batch.entries, state["product.table"]), slots(batch.entries, state["deep.table"]), strict=True)
    for e, d in both:
        product = [p * q for p, q in zip(sum(e[f] for f in user), sum(e[f] for f in item), strict=True)]
        hidden = tower(state, "tower", [v for f in sorted(user + item) for v in d[f]], layers)
        logits.append(state["bias"][0] + head(state, "head", product + hidden)[0])
    return np.array(logits)


def two_tower(state: dict[str, np.ndarray], batch: Batch, user: list[int], item: list[int], layers: int) -> np.ndarray:
    logits = []
    for e in slots(batch.entries, state["embedding.table"]):
        left = mlp_of(state, "user", [v for f in user for v in e[f]], layers)
        right = mlp_of(state, "item", [v for f in item for v in e[f]], layers)
        logits.append(state["bias"][0] + sum(p * q for p, q in zip(left, right, strict=True)))
    return np.array(logits)


def fusion(
    state: dict[str, np.ndarray], batch: Batch, user: list[int], item: list[int], branches: list[str], layers: int
) -> np.ndarray:
    """bias + sum of a_k z_k, [B]."""
    vectors = slots(batch.entries, state["embedding.table"][:, :-1])
    fields = list(range(batch.entries.fields))
    nothing = state | {"bias": np.zeros(1)}
    wide = lr(nothing, batch)
    logits = np.full(len(vectors), state["bias"][0])
    for b, e in enumerate(vectors):
        pairs = [product_of("elementwise", e[s], e[t]) for s, t in combinations(fields, 2)]
        known = {
            "wide": lambda b=b: wide[b],
            "fm": lambda pairs=pairs: sum(float(np.sum(pair)) for pair in pairs),
            "nfm": lambda pairs=pairs: mlp_of(state, "nfm", list(sum(pairs)), layers)[0],
            "ncf": lambda e=e: mlp_of(state, "ncf", [v for f in sorted(user + item) for v in e[f]], layers)[0],
            "mlp": lambda b=b: mlp_of(state, "mlp", deep_input(vectors, batch, b, fields), layers)[0],
        }
        logits[b] += sum(state["weight"][k, 0] * known[name]() for k, name in enumerate(branches))
    return logits
