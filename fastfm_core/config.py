"""Every hyper-parameter of a training, its default, its bounds, and how ``--set key=value`` reaches it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from fastfm_core.data.encode import LARGE_TABLE, default_min_count
from fastfm_core.errors import InputError

Parser = Callable[[Any], Any]
SMALL_TABLE = 100_000
LEARNING_RATES = {"adam": 1e-3, "adamw": 1e-3, "adagrad": 0.05, "rowwise_adagrad": 0.05, "sgd": 0.1, "ftrl": 0.05}
OF_OPTIMIZER = {"weight_decay": "adamw", "l1": "ftrl", "ridge": "ftrl", "beta": "ftrl"}  # settings of one alone
SMALL_TABLE_ADAM = 3e-3
BINARY = ("auc", "pr_auc", "logloss", "normalized_entropy")  # metrics that early stopping may judge by
GROUPED = ("gauc", "hr@10", "ndcg@10")
REGRESSION = ("rmse", "mae")
GROUP_LOSSES = ("softmax", "bpr")  # compare a positive with its negatives
LOSSES = {"binary": ("bce", *GROUP_LOSSES), "regression": ("mse",)}  # of a task, the default first
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def integer(at_least: int) -> Parser:
    def parse(value: Any) -> int:
        if int(value) != float(value) or int(value) < at_least:
            raise ValueError
        return int(value)

    parse.__doc__ = f"a whole number of at least {at_least}"
    return parse


def integers(value: Any) -> tuple[int, ...]:
    """whole numbers of at least 1 with commas between them, or nothing"""
    items = [item for item in value.split(",") if item.strip()] if isinstance(value, str) else value
    return tuple(integer(1)(item) for item in items)


def real(at_least: float, below: float = math.inf) -> Parser:
    def parse(value: Any) -> float:
        if not at_least <= float(value) < below:
            raise ValueError
        return float(value)

    parse.__doc__ = f"a number of at least {at_least:g}" + (f" and below {below:g}" if below < math.inf else "")
    return parse


def choice(*names: str) -> Parser:
    def parse(value: Any) -> str:
        if value not in names:
            raise ValueError
        return value

    parse.__doc__ = "one of " + ", ".join(names)
    return parse


def flag(value: Any) -> bool:
    """true or false"""
    word = str(value).lower()
    if word not in TRUE + FALSE:
        raise ValueError
    return word in TRUE


def optional(parser: Parser) -> Parser:
    def parse(value: Any) -> Any:
        return None if value is None or value == "auto" else parser(value)

    parse.__doc__ = f"{parser.__doc__}, or auto"
    return parse


def texts(value: Any) -> tuple[str, ...]:
    """names with commas between them"""
    items = value.split(",") if isinstance(value, str) else value
    return tuple(item.strip() for item in items if item.strip())


def class_weights(value: Any) -> Any:
    """none, balanced, or two numbers of at least 0, for the classes 0 and 1: 1,3"""
    if value in ("none", "balanced"):
        return value
    zero, one = value.split(",") if isinstance(value, str) else value
    return real(0)(zero), real(0)(one)


def setting(default: Any, parser: Parser) -> Any:
    """A field of TrainConfig that turns text (or a value) into its type or raises ValueError."""
    return field(default=default, metadata={"parse": parser})


@dataclass(frozen=True)
class TrainConfig:
    """Hyper-parameters of a training; None means chosen from the data or the optimizer by ``resolved``.

    Values may be given as text, too. A value that is out of bounds or of the wrong type raises InputError.

    pairs                  which pairs of columns cross, see ``nn.pairs``: all, user*item, or a*b,c*d
    product, pooling       NFM's: what a pair's product is, and how the pairs are pooled
    projection             DeepFM v2's: how many numbers each field is projected to
    branches               Fusion's: the models it is made of
    rows                   what becomes of table rows outside a batch, see ``optim.optimizer``: exact, lazy or dense
    weight_decay           AdamW's, 0.01 where it is not given
    l1, ridge, beta        FTRL's, 0, 0 and 1 where they are not given; l1 makes weights exactly 0
    lr_schedule, warmup    see ``schedule``; warmup counts steps
    embedding_l2           lambda: (lambda/2) |all embedding and first-order rows|^2 is added to every batch's mean loss
    clip_norm              the largest norm of the data's gradient, without embedding_l2's; 0: no clipping
    clip_l2                embedding_l2's part of the gradient is measured and clipped with it; needs rows=dense
    loss                   bce or, with sampled negatives, softmax or bpr; in regression mse. auto: bce, mse
    label_smoothing        s of bce: labels y are trained as y (1 - s) + s / 2
    accumulate             batches per step of the optimizer
    class_weight           what the weights of the training samples are multiplied with; binary tasks only
    patience               evaluations without a better validation metric before training stops
    monitor                which validation metric that is: auc, pr_auc, logloss, normalized_entropy, with --group gauc,
                           hr@10, ndcg@10; in regression rmse, mae. auto: auc, rmse
    evaluations_per_epoch  validations within an epoch, evenly spaced, the last one at its end
    checkpoint_seconds     how often an epoch under way is checkpointed
    """

    dim: int = setting(16, integer(1))
    hidden: tuple[int, ...] = setting((400, 400), integers)
    dropout: float = setting(0.5, real(0, below=1))
    batch_norm: bool = setting(False, flag)
    init_std: float = setting(0.01, real(0))
    pairs: str = setting("all", str)
    product: str = setting("elementwise", choice("inner", "elementwise", "outer"))
    pooling: str = setting("sum", choice("sum", "mean", "max", "none"))
    projection: int = setting(64, integer(1))
    branches: tuple[str, ...] = setting(("wide", "fm", "mlp"), texts)
    loss: str | None = setting(None, optional(choice("bce", "mse", *GROUP_LOSSES)))
    label_smoothing: float = setting(0.0, real(0, below=1))
    optimizer: str = setting("adam", choice(*LEARNING_RATES))
    rows: str = setting("exact", choice("exact", "lazy", "dense"))
    weight_decay: float | None = setting(None, optional(real(0)))
    l1: float | None = setting(None, optional(real(0)))
    ridge: float | None = setting(None, optional(real(0)))
    beta: float | None = setting(None, optional(real(0)))
    lr: float | None = setting(None, optional(real(0)))
    lr_schedule: str = setting("plateau", choice("plateau", "none", "cosine", "linear"))
    warmup: int = setting(0, integer(0))
    embedding_l2: float = setting(1e-5, real(0))
    clip_norm: float = setting(0.0, real(0))
    clip_l2: bool = setting(False, flag)
    batch_size: int | None = setting(None, optional(integer(1)))
    accumulate: int = setting(1, integer(1))
    class_weight: str | tuple[float, float] = setting("none", class_weights)
    epochs: int = setting(100, integer(1))
    patience: int = setting(4, integer(1))
    monitor: str | None = setting(None, optional(choice(*BINARY, *GROUPED, *REGRESSION)))
    evaluations_per_epoch: int = setting(1, integer(1))
    checkpoint_seconds: float = setting(60.0, real(0))
    min_count: int | None = setting(None, optional(integer(1)))

    def __post_init__(self) -> None:
        for item in fields(self):
            value, parse = getattr(self, item.name), item.metadata["parse"]
            try:
                object.__setattr__(self, item.name, parse(value))
            except (ValueError, TypeError, OverflowError):
                raise InputError(f"{item.name}={value}: give {parse.__doc__}") from None
        for name, optimizer in OF_OPTIMIZER.items():
            if getattr(self, name) is not None and self.optimizer != optimizer:
                raise InputError(
                    f"{name}={getattr(self, name):g}: optimizer={self.optimizer} has none; {optimizer} has"
                )
        if self.clip_l2 and self.rows != "dense":
            raise InputError(
                f"clip_l2=true: the norm of every row needs rows=dense, not rows={self.rows}; leave it out"
            )

    def require_task(self, task: str, *, grouped: bool = False, negatives: int = 0) -> None:
        """InputError when a setting makes no sense for the task.

        grouped    the validation rows have groups
        negatives  how many are sampled for each positive
        """
        if self.class_weight != "none" and task != "binary":
            raise InputError(f"class_weight={self.class_weight}: a {task} task has no classes; leave it out")
        measured = REGRESSION if task == "regression" else BINARY + GROUPED
        if self.monitor not in (None, *measured):
            raise InputError(f"monitor={self.monitor}: a {task} task has {', '.join(measured)}; choose one of them")
        if self.monitor in GROUPED and not grouped:
            raise InputError(f"monitor={self.monitor}: ranks rows within groups; name their column with --group COL")
        self._require_loss(task, negatives)

    def _require_loss(self, task: str, negatives: int) -> None:
        loss = self.loss_of(task)
        if loss not in LOSSES[task]:
            raise InputError(f"loss={loss}: a {task} task has {', '.join(LOSSES[task])}; choose one of them")
        if loss in GROUP_LOSSES and not negatives:
            raise InputError(f"loss={loss}: compares positives with sampled negatives; add --sample-negatives K")
        if loss in GROUP_LOSSES and self.class_weight != "none":
            raise InputError(f"class_weight={self.class_weight}: loss={loss} weighs no classes; leave it out")
        if self.label_smoothing and loss != "bce":
            raise InputError(
                f"label_smoothing={self.label_smoothing:g}: only bce has it, the loss is {loss}; leave it out"
            )

    def loss_of(self, task: str) -> str:
        """The loss that is trained."""
        return self.loss or LOSSES[task][0]

    def monitored(self, task: str) -> str:
        """The metric that early stopping judges by."""
        return self.monitor or ("rmse" if task == "regression" else "auc")

    def of_optimizer(self) -> dict[str, float]:
        """The settings that are given of the optimizer's own, by name."""
        given = {name: getattr(self, name) for name in OF_OPTIMIZER}
        return {name: value for name, value in given.items() if value is not None}

    def resolved(self, train_rows: int) -> TrainConfig:
        """The same with batch size, learning rate and min_count filled in, by training rows and optimizer."""
        small = train_rows < SMALL_TABLE
        batch_size = 256 if small else 1024 if train_rows < LARGE_TABLE else 4096
        lr = SMALL_TABLE_ADAM if small and self.optimizer in ("adam", "adamw") else LEARNING_RATES[self.optimizer]
        return replace(
            self,
            batch_size=self.batch_size or batch_size,
            lr=lr if self.lr is None else self.lr,
            min_count=self.min_count or default_min_count(train_rows),
        )


def parse_settings(settings: Iterable[str], base: TrainConfig | None = None) -> TrainConfig:
    """["dim=8", "hidden=64,32"] -> TrainConfig; a later setting of a key wins. Unknown keys raise InputError.

    base  what holds for keys that are not set; None: the defaults
    """
    names = [item.name for item in fields(TrainConfig)]
    values = {}
    for text in settings:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise InputError(f"--set {text}: write key=value, for example --set dim=16")
        if key not in names:
            close = difflib.get_close_matches(key, names)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names)}"
            raise InputError(f"--set {text}: there is no setting {key}; {hint}")
        values[key] = value
    return replace(base or TrainConfig(), **values)
