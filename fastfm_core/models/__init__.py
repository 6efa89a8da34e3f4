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
from fastfm_core.models.fm import FM
from fastfm_core.models.lr import LR
from fastfm_core.nn import Uses

MODELS: dict[str, Callable[..., Model]] = {"lr": LR, "fm": FM, "deepfm": DeepFM}


def build(
    name: str, *, rows: int, fields: int, dense: int, backend: Backend, seed: int = 0, bias: float = 0.0,
    zero_rows: np.ndarray | None = None, uses: Sequence[np.ndarray] | None = None, **options: Any,
) -> Model:  # fmt: skip
    """The model called ``name`` for data of this ``Shape``.

    uses: which fields take part in first order, pairs and deep part, three [F] bool arrays; None: all in all.
    Of the options (dim, hidden, ...) it takes those it has; an option that no model has raises InputError.
    """
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    known = inspect.signature(MODELS[name]).parameters
    anywhere = {option for model in MODELS.values() for option in inspect.signature(model).parameters}
    for option in options:
        if option not in anywhere:
            raise InputError(f"no model has an option {option!r}; {name} has {', '.join(list(known)[2:])}")
    shape = Shape(
        rows, fields, dense, bias, zero_rows, None if uses is None else Uses(*(np.asarray(part, bool) for part in uses))
    )
    return MODELS[name](shape, backend, seed=seed, **{k: v for k, v in options.items() if k in known})


__all__ = ["FM", "LR", "MODELS", "DeepFM", "Model", "Shape", "build"]
