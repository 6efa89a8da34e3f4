"""Our declarations of XLA's structs are those of the installed jaxlib, and handlers refuse what is not for them."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import fastfm_jax
from fastfm_core import linking
from fastfm_jax import library

HERE = Path(__file__).parent


def test_layout() -> None:
    command = ["g++", "-std=c++17", "-fsyntax-only", "-I", jax.ffi.include_dir(), HERE / "abi.cpp"]
    subprocess.run(command, check=True)


def test_the_known_versions_are_those_of_the_declarations() -> None:
    text = (HERE.parents[2] / "csrc" / "library" / "xla_abi.hpp").read_text()
    assert f"oldest_minor = {library.VERSIONS[0]}, newest_minor = {library.VERSIONS[-1]};" in text


def test_another_version_is_one_line_at_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "xla" / "ffi" / "api"
    folder.mkdir(parents=True)
    (folder / "c_api.h").write_text("#define XLA_FFI_API_MAJOR 0\n#define XLA_FFI_API_MINOR 99\n")
    monkeypatch.setattr(jax.ffi, "include_dir", lambda: str(tmp_path))
    with pytest.raises(ImportError, match=r"knows XLA's FFI 0\.1 to 0\.3, that of jax .* is 0\.99: pip install -U"):
        library.require()


def test_what_devices_are_given_says_that_it_is_for_the_cpu() -> None:
    own = ctypes.CDLL(str(linking.library()))
    jax.ffi.register_ffi_target("fastfm_test_refuse", jax.ffi.pycapsule(own.fastfm_xla_refuse), platform="cpu")
    refuse = jax.ffi.ffi_call("fastfm_test_refuse", jax.ShapeDtypeStruct((), "float32"))
    with pytest.raises(RuntimeError, match=r"fastfm_jax has kernels for the CPU alone: put table and ids there"):
        jax.block_until_ready(refuse())


def test_import_without_the_compiled_kernels() -> None:
    code = """
import sys
sys.modules["fastfm_core._native"] = None
try:
    import fastfm_jax
except ImportError as error:
    print(error)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(shown) == 1 and shown[0].startswith("fastfm_jax needs fastfm_core's C++ kernels: ")


def test_what_is_exported_is_there() -> None:
    assert all(hasattr(fastfm_jax, name) for name in fastfm_jax.__all__)
