"""The errors fastfm_core raises on purpose. Each message is one line that names what was wrong and how to mend it."""

from __future__ import annotations


class FastFMError(Exception):
    """Base of every error raised on purpose by this package."""


class InputError(FastFMError, ValueError):
    """The caller's data or arguments are wrong: shapes, dtypes, ids out of range, unknown columns, broken files."""


class BackendUnavailable(FastFMError, RuntimeError):
    """The backend asked for cannot run on this machine; the message says why."""


class MissingKernel(FastFMError, NotImplementedError):
    """The backend has no such kernel; the message names the kernel, the backend and who has it."""


class StaleGradient(FastFMError, RuntimeError):
    """A lazy row gradient was used after its table had changed."""


class NonFiniteLoss(FastFMError, FloatingPointError):
    """The loss became NaN or infinite; the message names epoch and batch."""


class Interrupted(FastFMError):
    """A training stopped because it was told to; the message says how to go on.

    number  of the signal that told it
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number
