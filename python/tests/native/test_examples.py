"""The examples in C, C++ and Rust are built as their first lines say, and reproduce the library's losses."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import EXAMPLES, run

WARNINGS = ("-Wall", "-Wextra", "-Werror")


@pytest.fixture(scope="session")
def c_program(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("c") / "deepfm"
    run(
        "cc", "-std=c99", *WARNINGS, "-pedantic", "-O2", EXAMPLES / "c" / "deepfm.c", f"-I{installed / 'include'}",
        f"-L{installed}", f"-Wl,-rpath,{installed}", "-lfastfm", "-lm", "-o", program,
    )  # fmt: skip
    return program


@pytest.fixture(scope="session")
def cpp_program(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("cpp")
    flags = f"-DCMAKE_CXX_FLAGS={' '.join(WARNINGS)}"
    run("cmake", "-S", EXAMPLES / "cpp", "-B", build, f"-Dfastfm_DIR={installed / 'cmake'}", flags)
    run("cmake", "--build", build)
    return build / "deepfm"


@pytest.fixture(scope="session")
def rust_program(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("rust") / "deepfm"
    run(
        "rustc", "--edition", "2021", "-D", "warnings", "-O", EXAMPLES / "rust" / "deepfm.rs", "-L", installed,
        "-C", f"link-arg=-Wl,-rpath,{installed}", "-o", program,
    )  # fmt: skip
    return program


@pytest.fixture(params=["c", "cpp", "rust"])
def program(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(f"{request.param}_program")


def test_it_reproduces_the_curve_and_scores(program: Path, curve_folder: Path, scorer_file: Path) -> None:
    shown = run(program, curve_folder, scorer_file)
    losses = np.fromfile(curve_folder / "losses.bin")
    assert f"loss {losses[0]:.6f} -> {losses[-1]:.6f};" in shown
    scored = re.search(r"the scorer's loss of the first batch: ([0-9.]+)", shown)
    assert scored and abs(float(scored[1]) - losses[0]) < 2e-6


def test_other_losses_end_with_status_1(program: Path, curve_folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(curve_folder, tmp_path / "other")
    losses = np.fromfile(other / "losses.bin")
    losses[50] *= 1 + 2e-5
    losses.tofile(other / "losses.bin")
    run(program, other, status=1)


def test_what_cannot_be_read_ends_with_status_2(program: Path, curve_folder: Path, tmp_path: Path) -> None:
    run(program, tmp_path, status=2)
    assert "No such file" in run(program, curve_folder, tmp_path / "none", status=2)
