"""Optimizers, a rule a file, and how to build one by its name."""

from __future__ import annotations

from typing import Any

from fastfm_core.errors import InputError
from fastfm_core.optim.adagrad import Adagrad, RowWiseAdagrad
from fastfm_core.optim.adam import Adam, AdamW
from fastfm_core.optim.ftrl import FTRL
from fastfm_core.optim.optimizer import Optimizer, gradient_norm
from fastfm_core.optim.sgd import SGD

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "adagrad": Adagrad, "rowwise_adagrad": RowWiseAdagrad, "adam": Adam, "adamw": AdamW, "ftrl": FTRL,
}  # fmt: skip


def build(name: str, model: Any, *, lr: float, **options: Any) -> Optimizer:
    """The optimizer called ``name`` on all parameters of a model; options: embedding_l2, rows and the rule's own."""
    if name not in OPTIMIZERS:
        raise InputError(f"unknown optimizer {name!r}; known: {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name](dict(model.named_parameters()), lr=lr, tables=tables_of(model), **options)


def tables_of(model: Any) -> frozenset[str]:
    """Names of the parameters that are embedding tables or first-order weights, as their modules declare them."""
    return frozenset(f"{path}.{name}".lstrip(".") for path, module in model.modules() for name in module.tables)


__all__ = [
    "FTRL", "OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RowWiseAdagrad", "build", "gradient_norm",
    "tables_of",
]  # fmt: skip
