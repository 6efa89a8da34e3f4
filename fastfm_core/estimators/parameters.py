"""The estimators' parameters, a class a model; scikit-learn reads their names off ``__init__``.

Those named like a setting of ``fastfm_core.config.TrainConfig`` have its meaning, default and bounds; None is chosen
from the data. Only ``monitor`` has another default: few held-out rows tie in AUC, and probabilities are asked for, so
epochs are judged by log-loss. Beside them all estimators have:

schema          a ``Schema`` that says what the columns are (those without names, as an array's, are called x0, x1,
                ...); None: an array's columns are numbers, a table's are guessed
backend         "auto", "numba" or "reference"
random_state    int, RandomState or None (a new seed each fit): start of weights, order of rows, dropout, held-out rows
valid_fraction  share of the rows held out for early stopping when fit is given no eval_set; 0: none is held out and the
                training rows are judged instead
verbose         0 is silent; 1 shows on stderr what each column was taken for and a line per epoch
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastfm_core.data.schema import Schema


class LRParameters:
    """What every model has."""

    def __init__(
        self, *, optimizer: str = "adam", rows: str = "lazy", lr: float | None = None, lr_schedule: str = "plateau",
        embedding_l2: float = 1e-5, clip_norm: float = 0.0, batch_size: int | None = None, epochs: int = 100,
        patience: int = 4, monitor: str = "logloss", min_count: int | None = None, schema: Schema | None = None,
        backend: str = "auto", random_state: Any = None, valid_fraction: float = 0.1, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.optimizer = optimizer
        self.rows = rows
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.embedding_l2 = embedding_l2
        self.clip_norm = clip_norm
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.monitor = monitor
        self.min_count = min_count
        self.schema = schema
        self.backend = backend
        self.random_state = random_state
        self.valid_fraction = valid_fraction
        self.verbose = verbose


class FMParameters(LRParameters):
    """dim and init_std of the embeddings, and what every model has."""

    def __init__(
        self, *, dim: int = 16, init_std: float = 0.01, optimizer: str = "adam", rows: str = "lazy",
        lr: float | None = None, lr_schedule: str = "plateau", embedding_l2: float = 1e-5, clip_norm: float = 0.0,
        batch_size: int | None = None, epochs: int = 100, patience: int = 4, monitor: str = "logloss",
        min_count: int | None = None, schema: Schema | None = None, backend: str = "auto", random_state: Any = None,
        valid_fraction: float = 0.1, verbose: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            optimizer=optimizer, rows=rows, lr=lr, lr_schedule=lr_schedule, embedding_l2=embedding_l2,
            clip_norm=clip_norm, batch_size=batch_size, epochs=epochs, patience=patience, monitor=monitor,
            min_count=min_count, schema=schema, backend=backend, random_state=random_state,
            valid_fraction=valid_fraction, verbose=verbose,
        )  # fmt: skip
        self.dim = dim
        self.init_std = init_std


class DeepFMParameters(FMParameters):
    """hidden, dropout and batch_norm of the deep part, and what FM has."""

    def __init__(
        self, *, dim: int = 16, hidden: Sequence[int] = (400, 400), dropout: float = 0.5, batch_norm: bool = False,
        init_std: float = 0.01, optimizer: str = "adam", rows: str = "lazy", lr: float | None = None,
        lr_schedule: str = "plateau", embedding_l2: float = 1e-5, clip_norm: float = 0.0,
        batch_size: int | None = None, epochs: int = 100, patience: int = 4, monitor: str = "logloss",
        min_count: int | None = None, schema: Schema | None = None, backend: str = "auto", random_state: Any = None,
        valid_fraction: float = 0.1, verbose: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            dim=dim, init_std=init_std, optimizer=optimizer, rows=rows, lr=lr, lr_schedule=lr_schedule,
            embedding_l2=embedding_l2, clip_norm=clip_norm, batch_size=batch_size, epochs=epochs, patience=patience,
            monitor=monitor, min_count=min_count, schema=schema, backend=backend, random_state=random_state,
            valid_fraction=valid_fraction, verbose=verbose,
        )  # fmt: skip
        self.hidden = hidden
        self.dropout = dropout
        self.batch_norm = batch_norm
