"""What a case is: a kernel, a builder of its inputs, and the ground truth of its outputs.

``inputs`` are keyword arguments named as in the contract. ``outputs`` names what the kernel returns, or what it changes
in place.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from .truth import Expected

Build = Callable[[int, Any, Any], dict[str, Any]]
Truth = Callable[..., dict[str, Expected]]


class OpCase(NamedTuple):
    """One kernel on one kind of input."""

    name: str
    kernel: str
    build: Build
    truth: Truth
    outputs: tuple[str, ...] = ("result",)
    in_place: bool = False

    def inputs(self, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
        """The same inputs at every call."""
        return self.build(zlib.crc32(self.name.encode()), dtype, ids_dtype)

    def call(self, backend: ModuleType, inputs: dict[str, Any]) -> dict[str, Any]:
        """Outputs by name."""
        result = getattr(backend, self.kernel)(**inputs)
        if self.in_place:
            assert result is None
            return {name: inputs[name] for name in self.outputs}
        return dict(zip(self.outputs, (result,) if len(self.outputs) == 1 else result, strict=True))


def one(expected: Any, magnitude: Any = None) -> dict[str, Expected]:
    """The truth of a kernel with a single output."""
    return {"result": expected if isinstance(expected, Expected) else Expected(expected, magnitude)}
