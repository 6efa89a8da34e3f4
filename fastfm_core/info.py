"""What ``fastfm-core info`` shows: which version runs where, which backends can run and why the others cannot."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

import numpy as np

import fastfm_core
from fastfm_core import backends, build, threads
from fastfm_core.backends import blas
from fastfm_core.data.cache import tables_folder
from fastfm_core.data.text import engine
from fastfm_core.errors import BackendUnavailable

OPTIONAL = ("numba", "safetensors", "tqdm", "pyarrow")


def installation() -> list[tuple[str, str]]:
    """(name, text) pairs, one a line."""
    picked = _picked()
    return [
        ("version", f"fastfm-core {fastfm_core.__version__}, {Path(fastfm_core.__file__).parent}"),
        ("python", f"{platform.python_version()} on {platform.platform()}"),
        ("packages", ", ".join([f"numpy {np.__version__}", *map(_package, OPTIONAL)])),
        *((f"backend {name}", _backend(name, picked)) for name in backends.names()),
        ("auto", picked),
        ("threads", str(threads.get_num_threads())),
        ("blas", blas.description()),
        ("kernel cache", _cache_folder()),
        ("text to ids", engine.description()),
        ("encoded tables", str(tables_folder())),
    ]


def _picked() -> str:
    try:
        return backends.get("auto").name
    except BackendUnavailable as error:
        return f"none: {error}"


def _backend(name: str, picked: str) -> str:
    reason = backends.why_unavailable(name)
    if reason is not None:
        return f"cannot run: {reason}"
    details = ["available"] + ["picked by auto"] * (name == picked)
    return ", ".join(details) + {"native": _compiled, "cuda": _device}.get(name, str)()


def _compiled() -> str:
    """Which instruction set's C++ kernels are used, and whether they are those of the sources beside them."""
    from fastfm_core import _native

    stale = build.why_stale()
    return f"; kernels for {_native.isa()}, this CPU runs {', '.join(_native.isas())}" + (f"; {stale}" if stale else "")


def _device() -> str:
    return f"; {backends.get('cuda').module.device.description()}"


def _package(name: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{name} not installed"


def _cache_folder() -> str:
    modules = [backends.get(name).module for name in backends.available()]
    return ", ".join(str(module.compilation.folder) for module in modules if hasattr(module, "compilation")) or "none"
