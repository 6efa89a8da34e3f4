"""Cases of the kernels on chosen pairs of field vectors: every choice of pairs, weights, product and stride."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from fastfm_core.contract import PRODUCTS, Product

from . import truth_pair
from .dense_cases import normal
from .op_case import OpCase, one

DIMS = (0, 1, 4, 7, 16, 33, 64)


def pairs_of(chosen: str, fields: int) -> np.ndarray:
    """[P, 2] int32. all; sides: the first two fields with the others; single: the last two; none; unsorted: all pairs
    of any order, every second one the other way round, then those of the first field once more."""
    pairs = list(combinations(range(fields), 2))
    if chosen == "sides":
        pairs = [(f, g) for f, g in pairs if f < 2 <= g]
    elif chosen == "single":
        pairs = pairs[-1:]
    elif chosen == "none":
        pairs = []
    elif chosen == "unsorted":
        mixed = [pairs[k] for k in np.random.default_rng(fields).permutation(len(pairs))]
        pairs = [(g, f) if k % 2 else (f, g) for k, (f, g) in enumerate(mixed)] + [(0, g) for g in range(1, fields)]
    return np.array(pairs, np.int32).reshape(-1, 2)


def _vectors(seed: int, dtype: Any, shape: tuple[int, int, int], wide: bool) -> np.ndarray:
    """[B, F, D]; wide: as the first F*D of F*D + 3 columns, so that samples are further apart than they are long."""
    samples, fields, dim = shape
    columns = fields * dim + (3 if wide else 0)
    whole = normal(seed, dtype, x=(samples, columns))["x"]
    step = whole.strides[0]
    return np.lib.stride_tricks.as_strided(whole, shape, (step, dim * whole.itemsize, whole.itemsize))


def _interaction_cases(shape: tuple[int, int, int], chosen: str, wide: bool) -> list[OpCase]:
    pairs, samples = pairs_of(chosen, shape[1]), shape[0]

    def case(weighted: bool, backward: bool) -> OpCase:
        def build(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
            drawn = normal(seed, dtype, grad=(samples,), weights=(len(pairs),))
            given = {"vectors": _vectors(seed + 1, dtype, shape, wide), "pairs": pairs.copy()}
            given["weights"] = drawn["weights"] if weighted else None
            return {"grad": drawn["grad"], **given} if backward else given

        name = f"{shape}-{chosen}-{'weighted' if weighted else 'plain'}"
        if backward:
            truth = truth_pair.pair_interaction_backward
            return OpCase(f"pair_interaction_backward-{name}", truth.__name__, build, truth, ("de", "dr"))
        return OpCase(
            f"pair_interaction-{name}",
            "pair_interaction",
            build,
            lambda **inputs: one(truth_pair.pair_interaction(**inputs)),
        )

    return [case(weighted, backward) for weighted in (False, True) for backward in (False, True)]


def _product_cases(shape: tuple[int, int, int], chosen: str, wide: bool) -> list[OpCase]:
    pairs = pairs_of(chosen, shape[1])

    def case(product: Product, backward: bool) -> OpCase:
        width = {"inner": 1, "elementwise": shape[2], "outer": shape[2] ** 2}[product]

        def build(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
            given = {"vectors": _vectors(seed, dtype, shape, wide), "pairs": pairs.copy(), "product": product}
            grad = normal(seed + 1, dtype, grad=(shape[0], len(pairs), width))
            return grad | given if backward else given

        truth = truth_pair.pair_products_backward if backward else truth_pair.pair_products
        name = f"{truth.__name__}-{shape}-{chosen}-{product}"
        return OpCase(name, truth.__name__, build, lambda **inputs: one(truth(**inputs)))

    return [case(product, backward) for product in PRODUCTS for backward in (False, True)]


def pair_cases(shape: tuple[int, int, int], chosen: str, wide: bool = False) -> list[OpCase]:
    """Every kernel on pairs, with and without weights, for every product; shape is (B, F, D)."""
    return _interaction_cases(shape, chosen, wide) + _product_cases(shape, chosen, wide)


PAIR_CASES = [
    *(case for dim in DIMS for case in pair_cases((13, 5, dim), "all", wide=dim % 2 == 1)),
    *(case for dim in DIMS for case in pair_cases((13, 5, dim), "unsorted", wide=dim % 2 == 0)),
    *(case for chosen in ("sides", "single", "none") for case in pair_cases((13, 5, 7), chosen, wide=True)),
    *(
        case
        for shape in ((0, 5, 4), (13, 1, 7), (13, 2, 16), (1, 26, 16), (200, 3, 16))
        for case in pair_cases(shape, "all", wide=True)
    ),
]
