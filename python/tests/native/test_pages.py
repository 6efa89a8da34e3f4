"""docs/hosts: the blocks of the pages for C, C++ and Rust are compiled as the pages say, and print what they say."""

from __future__ import annotations

import re
from pathlib import Path

from conftest import EXAMPLES, run

PAGES = EXAMPLES.parents[1] / "docs" / "hosts"
STRICT = ("-Wall", "-Wextra", "-pedantic", "-Werror")


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found


def test_cpp(installed: Path, tmp_path: Path) -> None:
    (project,), (program,) = blocks("cpp.md", "cmake"), blocks("cpp.md", "cpp")
    (tmp_path / "CMakeLists.txt").write_text(project)
    (tmp_path / "main.cpp").write_text(program)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-Dfastfm_DIR={installed / 'cmake'}")
    run("cmake", "--build", tmp_path / "build")
    assert run(tmp_path / "build" / "program") == "first order 3, pairs 3\n"


def compiled(source: str, installed: Path, folder: Path) -> Path:
    (folder / "main.c").write_text(source)
    paths = f"-I{installed / 'include'}", f"-L{installed}", f"-Wl,-rpath,{installed}"
    run("cc", "-std=c99", *STRICT, folder / "main.c", *paths, "-lfastfm", "-o", folder / "program")
    return folder / "program"


def test_c(installed: Path, tmp_path: Path) -> None:
    program, _ = blocks("c_and_rust.md", "c")
    assert run(compiled(program, installed, tmp_path)) == "first order 3, pairs 3\n"


def test_the_scorer_in_c(installed: Path, scorer_file: Path, tmp_path: Path) -> None:
    _, source = blocks("c_and_rust.md", "c")
    program = compiled(source, installed, tmp_path)
    assert run(program, scorer_file) == "scored\n"
    assert "No such file" in run(program, tmp_path / "none", status=1)


def test_rust(installed: Path, tmp_path: Path) -> None:
    (source,) = blocks("c_and_rust.md", "rust")
    (tmp_path / "main.rs").write_text(source)
    link = f"link-arg=-Wl,-rpath,{installed}"
    run("rustc", "--edition", "2021", tmp_path / "main.rs", "-L", installed, "-C", link, "-o", tmp_path / "program")
    assert run(tmp_path / "program") == "[3.0, 4.0, 1.0, 2.0, 3.0, 4.0]\n"
