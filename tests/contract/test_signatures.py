"""A backend has the contract's functions with its argument names, order, kinds and defaults, and no others."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

import pytest

from fastfm_core.backends import reference
from fastfm_core.contract import KERNELS, Kernels

from .conftest import BACKENDS

REFERENCE: Kernels = reference
"""An assignment for the type checker, which compares the signatures too."""


@pytest.mark.parametrize("kernel", KERNELS)
def test_signature_is_the_contracts(backend: ModuleType, kernel: str) -> None:
    _, *expected = inspect.signature(getattr(Kernels, kernel)).parameters.values()
    found = inspect.signature(getattr(backend, kernel)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in found] == [(p.name, p.kind, p.default) for p in expected]


def test_no_public_function_beyond_the_contract(backend: ModuleType) -> None:
    own = {
        name
        for name, function in vars(backend).items()
        if inspect.isfunction(function) and function.__module__.startswith("fastfm_core.backends.") and name[0] != "_"
    }
    assert own == set(KERNELS)


def test_name(backend: ModuleType) -> None:
    assert importlib.import_module(BACKENDS[backend.name]) is backend
