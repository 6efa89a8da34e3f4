"""Where the library libfastfm, its headers and its CMake package are, for programs in other languages.

In an installed package they are beside this file, in a source tree below csrc; the CMake package finds both.
"""

from __future__ import annotations

from pathlib import Path

from fastfm_core import build
from fastfm_core.errors import BackendUnavailable

_PACKAGE = Path(__file__).resolve().parent


def includes() -> Path:
    """The folder for a compiler's -I: it has fastfm.h and fastfm/*.hpp."""
    return _installed_or_source("include", "include")


def cmakedir() -> Path:
    """The folder for CMake: -Dfastfm_DIR=..., then find_package(fastfm CONFIG REQUIRED)."""
    return _installed_or_source("cmake", "cmake")


def libdir() -> Path:
    """The folder of libfastfm.so, for -L and -rpath. Raises BackendUnavailable where it was not built."""
    return library().parent


def library() -> Path:
    """The path of libfastfm.so, for those who load it. Raises BackendUnavailable where it was not built."""
    path = _PACKAGE / "libfastfm.so"
    if not path.is_file():
        raise BackendUnavailable(f"there is no libfastfm: {build.why_absent()}")
    return path


def _installed_or_source(installed: str, source: str) -> Path:
    folder = _PACKAGE / installed
    return folder if folder.is_dir() else _PACKAGE.parent / "csrc" / source
