"""Models, a page each, and how to build one by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastfm_core.backends import Backend
from fastfm_core.errors import InputError
from fastfm_core.models.base import Model, Shape
from fastfm_core.models.deepfm import DeepFM
from fastfm_core.models.deepfm_v1 import DeepFMv1
from fastfm_core.models.deepfm_v2 import DeepFMv2
from fastfm_core.models.fm import FM
from fastfm_core.models.fusion import Fusion
from fastfm_core.models.fwfm import FwFM
from fastfm_core.models.gmf import GMF
from fastfm_core.models.lr import LR
from fastfm_core.models.mf import MF
from fastfm_core.models.mlp import EmbeddingMLP
from fastfm_core.models.ncf_mlp import NCFMLP
from fastfm_core.models.neumf import NeuMF
from fastfm_core.models.nfm import NFM
from fastfm_core.models.two_tower import TwoTower
from fastfm_core.models.wide_deep import WideDeep
from fastfm_core.nn import Ranges, Uses

MODELS: dict[str, Callable[..., Model]] = {
    "lr": LR, "mf": MF, "fm": FM, "fwfm": FwFM, "nfm": NFM, "mlp": EmbeddingMLP, "wide_deep": WideDeep, "gmf": GMF,
    "ncf_mlp": NCFMLP, "neumf": NeuMF, "two_tower": TwoTower, "deepfm": DeepFM, "deepfm_v1": DeepFMv1,
    "deepfm_v2": DeepFMv2, "fusion": Fusion,
}  # fmt: skip


def build(
    name: str, *, rows: int, fields: int, dense: int, backend: Backend, seed: int = 0, bias: float = 0.0,
    zero_rows: np.ndarray | None = None, uses: Sequence[np.ndarray] | None = None, names: Sequence[str] = (),
    sides: Sequence[str] = (), ranges: Sequence[np.ndarray | Sequence[int]] | None = None, **options: Any,
) -> Model:  # fmt: skip
    """The model called ``name`` for data of this ``Shape``.

    uses: which fields take part in first order, pairs and deep part, three [F] bool arrays; None: all in all.
    names, sides: of the fields, see ``Shape``. ranges: bases, sizes and dims [F] of the fields, see ``nn.Ranges``;
    None: all have the model's dim. Of the options (dim, hidden, ...) it takes those it has; one that no model has
    raises InputError.
    """
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    known = inspect.signature(MODELS[name]).parameters
    anywhere = {option for model in MODELS.values() for option in inspect.signature(model).parameters}
    for option in options:
        if option not in anywhere:
            raise InputError(f"no model has an option {option!r}; {name} has {', '.join(list(known)[2:])}")
    parts = None if uses is None else Uses(*(np.asarray(part, bool) for part in uses))
    where = None if ranges is None else Ranges(*(np.asarray(of, np.int64) for of in ranges))
    shape = Shape(rows, fields, dense, bias, zero_rows, parts, tuple(names), tuple(sides), where)
    return MODELS[name](shape, backend, seed=seed, **{k: v for k, v in options.items() if k in known})


__all__ = ["FM", "LR", "MODELS", "DeepFM", "Model", "Shape", "build"]
