"""Cases of the kernels on dense arrays: plain lookup, interactions, matrix product, activation, batch norm, losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.contract import DropoutKey

from . import truth_dense
from .op_case import OpCase, one
from .truth import Expected

KEY = DropoutKey(seed=2**40 + 17, step=3, layer=2)
SHAPES_BFD = [(13, 5, d) for d in (0, 1, 4, 7, 16, 33, 64)] + [(0, 5, 4), (13, 1, 7), (1, 26, 16), (200, 3, 16)]
SHAPES_BH = [(13, 5), (1, 7), (2, 1), (0, 4), (13, 0), (100, 33)]
SHAPES_MKN = [(13, 5, 7), (1, 1, 1), (0, 5, 7), (13, 0, 7), (13, 5, 0), (50, 64, 33)]


def normal(seed: int, dtype: Any, **shapes: tuple[int, ...]) -> dict[str, Any]:
    """Named arrays around 0.5, so that means are not 0."""
    random = np.random.default_rng(seed)
    return {name: (0.5 + random.normal(size=shape)).astype(dtype) for name, shape in shapes.items()}


def _gather_cases() -> list[OpCase]:
    def case(shape: tuple[int, ...], dim: int, row_views: bool) -> OpCase:
        def build(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
            table = normal(seed, dtype, table=(50, dim + 1))["table"][:, :dim]
            ids = np.random.default_rng(seed).integers(0, 50, shape).astype(ids_dtype)
            ids.reshape(-1)[:2] = [0, 49][: ids.size]
            return {"table": table if row_views else table.copy(), "ids": ids}

        name = f"embedding_gather-{shape}-{dim}-{'views' if row_views else 'whole'}"
        return OpCase(
            name, "embedding_gather", build, lambda table, ids: one(np.take(table, ids, 0), abs(np.take(table, ids, 0)))
        )

    shapes = [(40,), (0,), (13, 5), (2, 3, 4), ()]
    return [
        *(case(shape, 7, views) for shape in shapes for views in (False, True)),
        *(case((13, 5), dim, dim == 33) for dim in (0, 1, 4, 16, 33, 64)),
    ]


def _interaction_cases(shape: tuple[int, int, int]) -> list[OpCase]:
    samples, _, dim = shape

    def fm(fields: Any) -> dict[str, Expected]:
        per_dim = truth_dense.bi_interaction(fields)
        return one(per_dim.value.sum(axis=1), per_dim.magnitude.sum(axis=1))

    def case(kernel: str, truth: Any, **shapes: tuple[int, ...]) -> OpCase:
        return OpCase(f"{kernel}-{shape}", kernel, lambda seed, dtype, ids: normal(seed, dtype, **shapes), truth)

    back = truth_dense.bi_interaction_backward
    return [
        case("fm_interaction", fm, fields=shape),
        case("bi_interaction", lambda fields: one(truth_dense.bi_interaction(fields)), fields=shape),
        case("bi_interaction_backward", lambda **x: one(back(**x)), grad=(samples, dim), fields=shape),
        case(
            "fm_interaction_backward",
            lambda grad, fields: one(back(grad[:, None], fields)),
            grad=(samples,),
            fields=shape,
        ),
    ]


def _matmul_cases(m: int, k: int, n: int) -> list[OpCase]:
    def case(transposed: str, given: bool) -> OpCase:
        def build(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
            inputs = normal(seed, dtype, left=(m, k), right=(k, n))
            inputs = {name: x.T.copy().T if name in transposed else x for name, x in inputs.items()}
            return inputs | ({"out": np.full((m, n), np.nan, dtype)} if given else {})

        def truth(left: Any, right: Any, out: Any = None) -> dict[str, Expected]:
            return {"out" if given else "result": truth_dense.matmul(left, right)}

        name = f"matmul-{m}-{k}-{n}-{transposed or 'plain'}-{'out' if given else 'new'}"
        return OpCase(name, "matmul", build, truth, ("out",) if given else ("result",))

    return [case(transposed, given) for transposed in ("", "left", "right") for given in (False, True)]


def _activation_cases(shape: tuple[int, int]) -> list[OpCase]:
    def forward(label: str, rate: float, key: DropoutKey | None) -> OpCase:
        return OpCase(
            f"bias_relu_dropout-{shape}-{label}",
            "bias_relu_dropout_",
            lambda seed, dtype, ids: normal(seed, dtype, x=shape, bias=shape[1:]) | {"rate": rate, "key": key},
            lambda **inputs: {"x": truth_dense.bias_relu_dropout(**inputs)},
            ("x",),
            in_place=True,
        )

    def backward(rate: float) -> OpCase:
        def build(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
            inputs = normal(seed, dtype, grad=shape, output=shape)
            return inputs | {"output": np.maximum(inputs["output"], 0), "rate": rate}

        truth = truth_dense.bias_relu_dropout_backward
        return OpCase(f"bias_relu_dropout_backward-{shape}-{rate}", truth.__name__, build, truth, ("dx", "dbias"))

    return [
        forward("plain", 0.0, None),
        forward("rate_0", 0.0, KEY),
        forward("no_key", 0.3, None),
        forward("dropout", 0.3, KEY),
        backward(0.0),
        backward(0.3),
    ]


def _dropout_cases() -> list[OpCase]:
    def case(shape: tuple[int, ...], rate: float) -> OpCase:
        return OpCase(
            f"dropout-{shape}-{rate}",
            "dropout",
            lambda seed, dtype, ids: normal(seed, dtype, x=shape) | {"rate": rate, "key": KEY},
            lambda **inputs: one(truth_dense.dropout(**inputs)),
        )

    return [case(shape, rate) for shape in [(9,), (0, 3), (13, 5), (3, 4, 7)] for rate in (0.0, 0.2, 0.75)]


def _batch_norm_cases(shape: tuple[int, int]) -> list[OpCase]:
    def build(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
        return normal(seed, dtype, x=shape, gamma=shape[1:], beta=shape[1:]) | {"eps": 1e-5}

    def build_backward(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
        drawn = normal(seed, dtype, grad=shape, x=shape, gamma=shape[1:])
        mean, variance = drawn["x"].mean(axis=0), drawn["x"].var(axis=0)
        return drawn | {"mean": mean, "variance": variance, "eps": 1e-5}

    forward, backward = truth_dense.batch_norm, truth_dense.batch_norm_backward
    return [
        OpCase(f"batch_norm-{shape}", "batch_norm", build, forward, ("y", "mean", "variance")),
        OpCase(
            f"batch_norm_backward-{shape}", "batch_norm_backward", build_backward, backward, ("dx", "dgamma", "dbeta")
        ),
    ]


def _loss_cases(samples: int, weighted: bool) -> list[OpCase]:
    def build(prediction: str, scale: float) -> Any:
        def draw(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
            drawn = normal(seed, dtype, p=(samples,), labels=(samples,), weights=(samples,))
            labels = np.clip(drawn["labels"], 0, 1)
            weights = np.abs(drawn["weights"]) * (np.arange(samples) % 3 != 1) if weighted else None
            weights = weights.astype(dtype) if weights is not None else None
            return {prediction: (drawn["p"] * scale).astype(dtype), "labels": labels, "weights": weights}

        return draw

    name = f"{samples}-{'weighted' if weighted else 'plain'}"
    bce, mse = truth_dense.bce_with_logits, truth_dense.mean_squared_error
    return [
        OpCase(f"bce-{name}", "bce_with_logits", build("logits", 3.0), bce, ("loss", "gradient")),
        OpCase(f"mse-{name}", "mean_squared_error", build("predictions", 1.0), mse, ("loss", "gradient")),
    ]


def _group_loss_cases(samples: int, columns: int, weighted: bool) -> list[OpCase]:
    def build(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
        drawn = normal(seed, dtype, logits=(samples, columns), weights=(samples,))
        weights = (np.abs(drawn["weights"]) * (np.arange(samples) % 3 != 1)).astype(dtype)
        return {"logits": (drawn["logits"] * 3).astype(dtype), "weights": weights if weighted else None}

    def case(kernel: str, truth: Any) -> OpCase:
        name = f"{kernel}-{samples}-{columns}-{'weighted' if weighted else 'plain'}"
        return OpCase(name, kernel, build, truth, ("loss", "gradient"))

    return [
        case("softmax_cross_entropy", truth_dense.softmax_cross_entropy),
        case("bpr", truth_dense.bpr),
    ]


def dense_cases(samples: int, width: int, fields: int) -> list[OpCase]:
    """Every dense kernel on one size, without plain lookup."""
    return [
        *_interaction_cases((samples, fields, width)),
        *_matmul_cases(samples, width, width),
        *_activation_cases((samples, width)),
        *_batch_norm_cases((samples, width)),
        *_loss_cases(samples, weighted=True),
        *_group_loss_cases(samples, fields + 1, weighted=True),
    ]


DENSE_CASES = [
    *_gather_cases(),
    *(case for shape in SHAPES_BFD for case in _interaction_cases(shape)),
    *(case for shape in SHAPES_MKN for case in _matmul_cases(*shape)),
    *(case for shape in SHAPES_BH for case in _activation_cases(shape)),
    *_dropout_cases(),
    *(case for shape in SHAPES_BH if shape[0] > 0 for case in _batch_norm_cases(shape)),
    *(case for samples in (0, 1, 2, 13, 1000) for weighted in (False, True) for case in _loss_cases(samples, weighted)),
    *(
        case
        for samples, columns in [(0, 3), (1, 1), (1, 2), (13, 5), (13, 1), (2, 100), (1000, 6)]
        for weighted in (False, True)
        for case in _group_loss_cases(samples, columns, weighted)
    ),
]
