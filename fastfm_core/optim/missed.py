"""What the rows of a table have missed: the steps since each was last current, kept until somebody reads the row.

A row outside a batch has a data gradient of 0, so its steps are known beforehand and need not be taken at once. They
are replayed one by one before the row is read, which makes the weights of an optimizer that moves every row in every
step. Replayed in parts they make the same bits, so rows may be brought to the present at any time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends import Backend

LONGEST = 4096  # steps whose learning rates are kept; then all rows are brought to the present


class MissedSteps:
    """The record of one table's V rows.

    last  [V] int32 where the table is, the step up to which each row is current; catch-up kernels write it
    step  the latest step; every row is current up to some step of the latest ``count`` or the one before them
    """

    def __init__(self, rows: int, backend: Backend) -> None:
        self.last = backend.xp.zeros(rows, np.int32)
        self.step = self.count = 0
        self._rates = np.zeros(LONGEST)

    @property
    def rates(self) -> np.ndarray:
        """[count] float64 on the host, the learning rates of the latest steps."""
        return self._rates[: self.count]

    @property
    def full(self) -> bool:
        """Whether no further step's learning rate can be kept."""
        return self.count == len(self._rates)

    def taken(self, lr: float, rows: Any) -> None:
        """A step was taken that moved these rows, which were current; ``rows`` picks them, repeatedly or not."""
        self._rates[self.count] = lr
        self.step, self.count = self.step + 1, self.count + 1
        self.last[rows] = self.step

    def reset(self, step: int) -> None:
        """Every row is current up to ``step``, as it stands."""
        self.last.fill(step)
        self.step, self.count = step, 0
