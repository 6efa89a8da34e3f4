"""When to stop, and which learning rate a step has.

The rate of a step is the plateau's rate (lr, lowered by ``EarlyStopping``) times ``rate_factor``, which the step's
number alone decides, so that a resumed training takes the same rates. Warmup grows linearly from 0 to the full rate
(Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 2.2). After it cosine falls to 0 as (1 + cos(pi t)) / 2
(Loshchilov & Hutter, "SGDR", ICLR 2017, without restarts) and linear as 1 - t, t the share of all later steps done.
"""

from __future__ import annotations

import math

from fastfm_core.config import TrainConfig

PLATEAU_FACTOR = 0.1


class EarlyStopping:
    """Judges evaluations by a score, higher is better.

    ``patience`` evaluations in a row without a better score end the training. With lr_schedule="plateau" the learning
    rate is multiplied by PLATEAU_FACTOR when half of them (rounded up) have passed. One bad epoch says little: the
    scores of an FM on few rows are noisy while it learns slowly, and a lower rate would end it early.
    """

    def __init__(self, patience: int, lr_schedule: str = "plateau") -> None:
        self.patience, self.lr_schedule = patience, lr_schedule
        self.best, self.best_epoch, self.misses = -math.inf, 0, 0

    def improved(self, score: float, epoch: int) -> bool:
        """Takes an evaluation's score; True when it is the best so far."""
        if score > self.best:
            self.best, self.best_epoch, self.misses = score, epoch, 0
            return True
        self.misses += 1
        return False

    @property
    def stop(self) -> bool:
        return self.misses >= self.patience

    @property
    def lr_factor(self) -> float:
        """What to multiply the learning rate with before the next evaluation."""
        wait = (self.patience + 1) // 2
        due = self.lr_schedule == "plateau" and self.misses and self.misses % wait == 0
        return PLATEAU_FACTOR if due else 1.0


def rate_factor(config: TrainConfig, step: int, steps: int) -> float:
    """What the rate of a step is multiplied with: steps are counted from 1, ``steps`` are there if none stops early."""
    if step <= config.warmup:
        return step / config.warmup
    done = (step - 1 - config.warmup) / max(steps - config.warmup, 1)
    if config.lr_schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return 1 - done if config.lr_schedule == "linear" else 1.0
