"""What the examples in C, C++ and Rust are given: the curve, a scorer's file, and libfastfm as it is installed.

These tests need a C and a C++ compiler, CMake and rustc, and fail without them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastfm_core import backends, linking, models

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))


def run(*command: object, status: int = 0) -> str:
    """What a command prints, stdout and stderr together; another status fails with it."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == status, f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="session")
def curve_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What python/examples/curve.py writes."""
    folder = tmp_path_factory.mktemp("curve")
    run(sys.executable, EXAMPLES / "curve.py", folder)
    return folder


@pytest.fixture(scope="session")
def scorer_file(curve_folder: Path) -> Path:
    """The scorer of the curve's model before it is trained."""
    import curve

    arrays = curve.read(curve_folder)
    model = models.build(
        "deepfm", rows=arrays["rows"], fields=arrays["fields"], dense=0, backend=backends.get("native"),
        dim=arrays["dim"], hidden=(arrays["hidden"],), dropout=0.0,
    )  # fmt: skip
    state = model.state_dict()
    for name, key in curve.WEIGHTS.items():
        state[key][...] = arrays[name].reshape(state[key].shape)
    state["embedding.table"][:, : arrays["dim"]] = arrays["table"]
    state["embedding.table"][:, arrays["dim"]] = arrays["linear"]
    path = curve_folder / "scorer"
    model.scorer().save(path)
    return path


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as an installed package's: include, cmake and libfastfm.so, and no source tree around it."""
    folder = tmp_path_factory.mktemp("site-packages") / "fastfm_core"
    shutil.copytree(linking.includes(), folder / "include")
    shutil.copytree(linking.cmakedir(), folder / "cmake")
    shutil.copy(linking.library(), folder)
    return folder
