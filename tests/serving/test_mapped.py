"""A saved model whose file is mapped: the same scores, one memory for several processes, nothing to be trained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfm_core import backends, cli, trained
from fastfm_core.data.bundled import coupon_path
from fastfm_core.data.readers import open_table
from fastfm_core.errors import InputError

pytestmark = pytest.mark.skipif(
    backends.why_unavailable("native") is not None, reason="the scorer is C++, which is not built here"
)
SETTINGS = ["epochs=1", "hidden=8", "batch_norm=true", "dim=4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mapped") / "model"
    assert cli.main(["train", "--out", str(out), *(x for setting in SETTINGS for x in ("--set", setting))]) == 0
    return out


@pytest.fixture(scope="module")
def table() -> Any:
    return next(iter(open_table(coupon_path()).chunks())).parse()


def mapped_file(array: np.ndarray) -> str:
    """The file whose mapping holds an array's memory; "" where none does."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, high = (int(end, 16) for end in line.split()[0].split("-"))
        if low <= address < high:
            return line.split(maxsplit=5)[5].strip() if len(line.split(maxsplit=5)) == 6 else ""
    return ""


def test_it_predicts_what_the_loaded_model_predicts(folder: Path, table: Any) -> None:
    mapped, loaded = trained.load(folder, mapped=True), trained.load(folder)
    np.testing.assert_array_equal(mapped.predict(table), loaded.predict(table))
    assert mapped.model.state_dict().keys() == loaded.model.state_dict().keys()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not tell what is mapped")
def test_tables_lie_in_the_file(folder: Path) -> None:
    table = trained.load(folder, mapped=True).model.embedding.table.data
    assert mapped_file(table) == str(folder / "model.safetensors") and not table.flags.writeable
    assert mapped_file(trained.load(folder).model.embedding.table.data) != str(folder / "model.safetensors")


def test_processes_that_share_the_file_score_alike(folder: Path) -> None:
    program = f"""
import numpy as np
from fastfm_core import trained
model = trained.load({str(folder)!r}, mapped=True)
fields, numbers = model.encoder.fields, model.encoder.dense
batch = np.tile(model.encoder.bases, (3, 1)), np.ones((3, numbers), np.float32) if numbers else None
print(model.model.scorer().score_rows(*batch).tobytes().hex())
"""
    workers = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = {worker.communicate()[0] for worker in workers}
    assert len(found) == 1 and len(found.pop().strip()) == 3 * 8


def test_it_cannot_be_trained(folder: Path) -> None:
    table = trained.load(folder, mapped=True).model.embedding.table.data
    with pytest.raises(ValueError, match="read-only"):
        table[:] = 0


def test_a_backend_of_a_device_is_refused(folder: Path) -> None:
    class Device:
        name, on_host = "cuda", False

    with pytest.raises(InputError, match="needs one of the host"):
        trained.load(folder, Device(), mapped=True)
