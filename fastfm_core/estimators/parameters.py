"""The estimators' parameters. scikit-learn reads their names and defaults off the signature of ``__init__``, which is
made from the model's: its options, the settings of a training, and:

schema          a ``Schema`` that says what the columns are (those without names, as an array's, are called x0, x1,
                ...); None: an array's columns are numbers, a table's are guessed
backend         "auto" (the fastest on the CPU), "native", "numba", "reference" or "cuda"
random_state    int, RandomState or None (a new seed each fit): start of weights, order of rows, dropout, held-out rows
valid_fraction  share of the rows held out for early stopping when fit is given no eval_set; 0: none is held out and the
                training rows are judged instead
verbose         0 is silent; 1 shows on stderr what each column was taken for and a line per epoch

Options and settings have name, meaning, default and bounds of ``fastfm_core.config.TrainConfig``; None is chosen from
the data. Only the ``monitor`` of classifiers has another default: few held-out rows tie in AUC, and probabilities are
asked for, so epochs are judged by log-loss. There are no groups to rank within.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from fastfm_core.config import TrainConfig
from fastfm_core.models import MODELS

OF_A_COMMAND = ("loss", "warmup", "accumulate", "class_weight", "evaluations_per_epoch", "checkpoint_seconds")
OWN = {"schema": None, "backend": "auto", "random_state": None, "valid_fraction": 0.1, "verbose": 0}


def defaults(model: str, task: str) -> dict[str, Any]:
    """Names and defaults of the parameters of a model's estimators, the model's options first."""
    settings = {item.name: item.default for item in fields(TrainConfig) if item.name not in OF_A_COMMAND}
    options = {name for kind in MODELS.values() for name in inspect.signature(kind).parameters}
    of_model = [name for name in inspect.signature(MODELS[model]).parameters if name in settings]
    of_training = [name for name in settings if name not in options]
    chosen = {name: settings[name] for name in (*of_model, *of_training)}
    return chosen | ({"monitor": "logloss"} if task == "binary" else {}) | OWN


def initializer(model: str, task: str) -> Callable[..., None]:
    """An ``__init__`` that takes a model's parameters by name and keeps them as attributes."""
    known = defaults(model, task)

    def initialize(self: Any, **given: Any) -> None:
        for name in given:
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}")
        for name, default in known.items():
            setattr(self, name, given.get(name, default))

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in known.items()]
    initialize.__signature__ = inspect.Signature([own, *named])  # type: ignore[attr-defined]
    return initialize
