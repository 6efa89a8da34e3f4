"""fastfm.h in every language it is written for, the CMake package in both layouts, and the folders that are printed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import fastfm_core
from conftest import run
from fastfm_core import linking

PROGRAM = """
#include <fastfm.h>
#include <stdio.h>
int main(void) {
    printf("%s %d\\n", fastfm_version(), fastfm_abi() == FASTFM_ABI);
    return 0;
}
"""
STRICT = ("-Wall", "-Wextra", "-pedantic", "-Werror")


@pytest.mark.parametrize(
    "compiler", [("cc", "-std=c99", "-xc"), ("cc", "-std=c11", "-xc"), ("c++", "-std=c++11", "-xc++")]
)
def test_the_header_compiles_alone(compiler: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "program").write_text("#include <fastfm.h>\n#include <fastfm.h>\nint main(void) { return 0; }\n")
    command, *flags = compiler
    run(command, *flags, *STRICT, f"-I{linking.includes()}", "-fsyntax-only", tmp_path / "program")


def project(folder: Path, language: str, source: str, targets: str, version: str = "") -> Path:
    """A CMake project of one program."""
    file = "main.c" if language == "C" else "main.cpp"
    (folder / file).write_text(source)
    (folder / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.18)\nproject(made {language})\n"
        f"find_package(fastfm {version} CONFIG REQUIRED)\n"
        f"add_executable(made {file})\ntarget_link_libraries(made PRIVATE {targets})\n"
    )
    return folder


def built(folder: Path, cmakedir: Path) -> str:
    """What the project's program prints."""
    run("cmake", "-S", folder, "-B", folder / "build", f"-Dfastfm_DIR={cmakedir}")
    run("cmake", "--build", folder / "build")
    return run(folder / "build" / "made")


def test_a_project_in_c_finds_the_source_tree(tmp_path: Path) -> None:
    shown = built(project(tmp_path, "C", PROGRAM, "fastfm::fastfm"), linking.cmakedir())
    assert shown == f"{fastfm_core.__version__} 1\n"


def test_a_project_in_c_finds_an_installed_package(installed: Path, tmp_path: Path) -> None:
    shown = built(project(tmp_path, "C", PROGRAM, "fastfm::fastfm", "0.1"), installed / "cmake")
    assert shown == f"{fastfm_core.__version__} 1\n"


def test_headers_alone_need_no_library(installed: Path, tmp_path: Path) -> None:
    source = """
#include <cstdio>
#include <fastfm/pieces.hpp>
int main() {
    fastfm::pool::set_threads(2);
    int sum[2] = {};
    fastfm::in_pieces(2, 1 << 20, [&](int64_t low, int64_t high) { for (; low < high; ++low) sum[low] = 1; });
    std::printf("%d", sum[0] + sum[1]);
}
"""
    assert built(project(tmp_path, "CXX", source, "fastfm::headers"), installed / "cmake") == "2"
    assert "libfastfm" not in run("ldd", tmp_path / "build" / "made")


def test_headers_beside_the_library_share_its_pool(installed: Path, tmp_path: Path) -> None:
    source = """
#include <cstdio>
#include <fastfm.h>
#include <fastfm/pool.hpp>
int main() {
    fastfm_set_threads(3);
    std::printf("%d", fastfm::pool::threads());
}
"""
    folder = project(tmp_path, "CXX", source, "fastfm::headers fastfm::fastfm")
    assert built(folder, installed / "cmake") == "3"


@pytest.mark.parametrize("version", ["0.2", "1.0", "0.1.0 EXACT", "0.1.9"])
def test_the_version_file(version: str, installed: Path, tmp_path: Path) -> None:
    folder = project(tmp_path, "C", PROGRAM, "fastfm::fastfm", version)
    status = 0 if version == f"{fastfm_core.__version__} EXACT" else 1
    run("cmake", "-S", folder, "-B", folder / "build", f"-Dfastfm_DIR={installed / 'cmake'}", status=status)


def test_the_folders_are_printed() -> None:
    found = {name: Path(run(sys.executable, "-m", "fastfm_core", f"--{name}").strip())
             for name in ("includes", "cmakedir", "libdir")}  # fmt: skip
    assert (found["includes"] / "fastfm.h").is_file()
    assert (found["includes"] / "fastfm" / "fastfm.hpp").is_file()
    assert (found["cmakedir"] / "fastfm-config.cmake").is_file()
    assert (found["libdir"] / "libfastfm.so").is_file()
    assert run(sys.executable, "-m", "fastfm_core", "--version").strip() == f"fastfm-core {fastfm_core.__version__}"
