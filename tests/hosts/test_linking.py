"""The folders of ``fastfm_core.linking``, in a source tree and in an installed package, and what says that one is not
there. What compilers and CMake make of them: python/tests/native."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fastfm_core
from fastfm_core import cli, linking

HEADER = (linking.includes() / "fastfm.h").read_text()


def test_the_header_has_the_packages_version() -> None:
    assert f'#define FASTFM_VERSION "{fastfm_core.__version__}"\n' in HEADER


def test_fastfm_numba_calls_the_headers_abi() -> None:
    found = re.search(r"^#define FASTFM_ABI (\d+)", HEADER, re.MULTILINE)
    source = (Path(fastfm_core.__file__).parents[1] / "python" / "fastfm_numba" / "library.py").read_text()
    assert found and f"\nABI = {found[1]}\n" in source


def test_an_installed_package_has_its_folders_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking, "_PACKAGE", tmp_path)
    for folder in ("include", "cmake"):
        (tmp_path / folder).mkdir()
    (tmp_path / "libfastfm.so").touch()
    assert (linking.includes(), linking.cmakedir()) == (tmp_path / "include", tmp_path / "cmake")
    assert (linking.libdir(), linking.library()) == (tmp_path, tmp_path / "libfastfm.so")


@pytest.mark.parametrize("name", ["includes", "cmakedir"])
def test_a_folder_is_printed_and_nothing_else(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([f"--{name}"])
    assert ended.value.code == 0
    assert capsys.readouterr() == (f"{getattr(linking, name)()}\n", "")


def test_without_the_library_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(linking, "_PACKAGE", tmp_path)
    assert cli.main(["--libdir"]) == 2
    assert capsys.readouterr().err.startswith("fastfm-core: there is no libfastfm: ")
