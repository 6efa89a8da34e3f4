"""Every model in its variants, with weights at which no part is negligible, and batches that fit them."""

from __future__ import annotations

from typing import Any

import numpy as np
from drawing import draw_batch

from fastfm_core import models
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.nn import Uses

SIZES, DIM, NUMBERS, HIDDEN = np.array([3, 1, 3, 2]), 3, 2, (5, 3)
BASES, ROWS, FIELDS = np.cumsum(SIZES) - SIZES, int(SIZES.sum()), len(SIZES)
BRANCHES = ("wide", "fm", "nfm", "ncf", "mlp")
APART = {"uses": [[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 1]]}
DIMS = {"ranges": (BASES, SIZES, np.array([2, 0, 5, 0]))}
NORM = {"batch_norm": True}

# name of the case -> model and options
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in models.MODELS},
    **{f"{name} normalized": (name, NORM) for name in ("deepfm", "nfm", "neumf", "deepfm_v1", "deepfm_v2")},
    **{f"{name} apart": (name, APART) for name in ("lr", "fm", "deepfm", "nfm", "deepfm_v1", "fusion")},
    **{f"{name} of dims": (name, DIMS) for name in ("fm", "deepfm", "nfm", "two_tower", "deepfm_v2", "gmf")},
    "fm of crosses": ("fm", {"pairs": "a*c,b*d"}),
    "deepfm of crosses": ("deepfm", {"pairs": "user*item"}),
    "fusion of all": ("fusion", {"branches": BRANCHES}),
    "nfm inner none": ("nfm", {"product": "inner", "pooling": "none"}),
    "nfm outer mean": ("nfm", {"product": "outer", "pooling": "mean"}),
    "nfm elementwise max": ("nfm", {"product": "elementwise", "pooling": "max"}),
    "deepfm without layers": ("deepfm", {"hidden": ()}),
    "deepfm apart of dims": ("deepfm", {**APART, **DIMS}),
    "deepfm of numbers": ("deepfm", {"uses": [[1, 1, 1, 1], [1, 1, 0, 1], [0, 0, 0, 0]]}),
    "deepfm without numbers": ("deepfm", {"dense": 0}),
    "deepfm_v2 without numbers": ("deepfm_v2", {"dense": 0}),
    "deepfm of one column": ("deepfm", {"dim": 1}),
    "deepfm of a line": ("deepfm", {"dim": 15, "hidden": (70, 17)}),
    "fm of 0 dims": ("fm", {"dim": 0}),
}
INPUTS: dict[str, dict[str, Any]] = {
    "ids": {},
    "values": {"values": True},
    **{f"{pooling} of bags": {"bags": True, "values": True, "pooling": pooling} for pooling in
       ("sum", "mean", "sqrtn", "max")},
    "bags without values": {"bags": True, "pooling": "mean"},
}  # fmt: skip


def build(case: str, backend: Backend, dtype: Any = np.float32) -> Any:
    """The case's model, its weights drawn."""
    name, options = MODELS[case]
    given: dict[str, Any] = {"rows": ROWS, "fields": FIELDS, "dense": NUMBERS, "dim": DIM, "hidden": HIDDEN} | options
    if "uses" in given:
        given["uses"] = Uses(*(np.array(part, bool) for part in given["uses"]))
    model = models.build(
        name, backend=backend, names=tuple("abcd"), sides=("user", "", "item", "user"), bias=0.25, **given
    )
    random = np.random.default_rng(3)
    for path, array in model.state_dict().items():
        drawn = (
            random.uniform(0.5, 2.0, array.shape) if "running" in path else random.standard_normal(array.shape) * 0.5
        )
        array[...] = drawn.astype(np.float32)
    if dtype != np.float32:
        in_dtype(model, dtype)
    return model


def in_dtype(model: Any, dtype: Any) -> None:
    """Tensors and buffers converted."""
    for _, module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor):
                value.data = value.data.astype(dtype)
            elif isinstance(value, np.ndarray) and value.dtype == np.float32:
                setattr(module, name, value.astype(dtype))


def draw(case: str, kind: str, samples: int = 7, seed: int = 0, dtype: Any = np.float32) -> Batch:
    """A batch whose ids lie in their fields' rows."""
    numbers = MODELS[case][1].get("dense", NUMBERS)
    batch = draw_batch(
        seed, numbers=numbers, fields=FIELDS, rows=ROWS, samples=samples, **INPUTS[kind]
    )  # fmt: skip
    entries = batch.entries
    slots = np.arange(entries.slots)
    field = (slots if entries.offsets is None else np.repeat(slots, np.diff(entries.offsets))) % FIELDS
    ids = (BASES[field] + entries.ids % SIZES[field]).astype(entries.ids.dtype)
    values = None if entries.values is None else entries.values.astype(dtype)
    dense = None if batch.dense is None else batch.dense.astype(dtype)
    return Batch(entries._replace(ids=ids, values=values), dense)
