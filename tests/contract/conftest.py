"""The backends under test: each module is held to the same contract, the compiled one for each instruction set, the one
for devices on a device or on the emulator."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType

import pytest
from devices import import_with_cupy

from fastfm_core import backends

BACKENDS = {
    "reference": "fastfm_core.backends.reference",
    "numba": "fastfm_core.backends.numba_cpu",
    "native": "fastfm_core.backends.native",
    "cuda": f"{__package__}.device",
}
INSTRUCTION_SETS = ("avx512", "avx2", "baseline")


@pytest.fixture(params=["reference", "numba", *(f"native-{isa}" for isa in INSTRUCTION_SETS), "cuda"])
def backend(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The module of one backend. An instruction set that this CPU lacks is skipped."""
    name, _, isa = request.param.partition("-")
    if name == "cuda":
        yield import_with_cupy(BACKENDS[name])
        return
    if not isa:
        yield importlib.import_module(BACKENDS[name])
        return
    if reason := backends.why_unavailable(name):
        pytest.skip(reason)
    native = importlib.import_module("fastfm_core._native")
    if isa not in native.isas():
        pytest.skip(f"this CPU has no {isa}")
    before = native.isa()
    native.use_isa(isa)
    yield importlib.import_module(BACKENDS[name])
    native.use_isa(before)
