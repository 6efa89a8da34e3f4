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
LEARNING_RATES = {"adam": 1e-3, "adagrad": 0.05, "rowwise_adagrad": 0.05, "sgd": 0.1}
SMALL_TABLE_ADAM = 3e-3
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

    lr_schedule, warmup    see ``schedule``; warmup counts steps
    accumulate             batches per step of the optimizer
    class_weight           what the weights of the training samples are multiplied with; binary tasks only
    patience               evaluations without a better validation metric before training stops
    monitor                which validation metric that is; regression has its RMSE alone
    evaluations_per_epoch  validations within an epoch, evenly spaced, the last one at its end
    checkpoint_seconds     how often an epoch under way is checkpointed
    """

    dim: int = setting(16, integer(1))
    hidden: tuple[int, ...] = setting((400, 400), integers)
    dropout: float = setting(0.5, real(0, below=1))
    batch_norm: bool = setting(False, flag)
    init_std: float = setting(0.01, real(0))
    optimizer: str = setting("adam", choice(*LEARNING_RATES))
    rows: str = setting("lazy", choice("lazy", "dense"))
    lr: float | None = setting(None, optional(real(0)))
    lr_schedule: str = setting("plateau", choice("plateau", "none", "cosine", "linear"))
    warmup: int = setting(0, integer(0))
    embedding_l2: float = setting(1e-5, real(0))
    clip_norm: float = setting(0.0, real(0))
    batch_size: int | None = setting(None, optional(integer(1)))
    accumulate: int = setting(1, integer(1))
    class_weight: str | tuple[float, float] = setting("none", class_weights)
    epochs: int = setting(100, integer(1))
    patience: int = setting(4, integer(1))
    monitor: str = setting("auc", choice("auc", "logloss"))
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

    def require_task(self, task: str) -> None:
        """InputError when a setting makes no sense for the task."""
        if self.class_weight != "none" and task != "binary":
            raise InputError(f"class_weight={self.class_weight}: a {task} task has no classes; leave it out")

    def resolved(self, train_rows: int) -> TrainConfig:
        """The same with batch size, learning rate and min_count filled in, by training rows and optimizer."""
        small = train_rows < SMALL_TABLE
        batch_size = 256 if small else 1024 if train_rows < LARGE_TABLE else 4096
        lr = SMALL_TABLE_ADAM if small and self.optimizer == "adam" else LEARNING_RATES[self.optimizer]
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
