"""Scorers in files: read by libfastfm they score with the bits of Python's, and what is no such file is refused."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfm_core import backends, cli, trained
from fastfm_core.contract import Batch
from fastfm_core.data import Batches, read_table
from fastfm_core.data.bundled import coupon_path
from fastfm_core.errors import InputError
from fastfm_core.serving import saved
from hosts import abi

from .zoo import FIELDS, INPUTS, MODELS, build, draw

pytestmark = pytest.mark.skipif(
    backends.why_unavailable("native") is not None, reason="the scorer is C++, which is not built here"
)


class Opened:
    """A scorer's file, opened by libfastfm."""

    def __init__(self, path: Path) -> None:
        self.pointer = ctypes.c_void_p()
        abi.call("scorer_open", str(path).encode(), ctypes.byref(self.pointer))

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        abi.library().fastfm_scorer_close(self.pointer)

    def score(self, batch: Batch) -> np.ndarray:
        own, count = batch.entries, batch.entries.samples
        given = abi.entries(own.ids, own.fields, own.offsets, own.values, own.pooling)
        out = np.full(count, np.nan, np.float32)
        abi.call("scorer_score", self.pointer, given, batch.dense, count, out)
        return out


def save(case: str, path: Path) -> Any:
    """The case's scorer, which is saved to the path."""
    scorer = build(case, backends.get("native")).scorer()
    scorer.save(path)
    return scorer


@pytest.mark.parametrize("case", MODELS)
def test_scores_have_the_bits_of_the_scorer(case: str, tmp_path: Path) -> None:
    scorer = save(case, tmp_path / "scorer")
    with Opened(tmp_path / "scorer") as opened:
        assert abi.library().fastfm_scorer_fields(opened.pointer) == FIELDS
        for kind in INPUTS:
            batch = draw(case, kind, samples=61)
            np.testing.assert_array_equal(opened.score(batch), scorer.score(batch), err_msg=kind)
        assert opened.score(draw(case, "ids", samples=0)).shape == (0,)


def test_a_table_is_written_once(tmp_path: Path) -> None:
    save("deepfm", tmp_path / "scorer")
    model = build("deepfm", backends.get("native"))
    floats = sum(array.size for array in model.state_dict().values())
    assert (tmp_path / "scorer").stat().st_size < 4 * floats + 2500


def test_wrong_ids_are_named(tmp_path: Path) -> None:
    save("fm", tmp_path / "scorer")
    batch = draw("fm", "ids", samples=3)
    batch.entries.ids[5] = 1000
    with Opened(tmp_path / "scorer") as opened, pytest.raises(abi.Refused, match=r"^ids\[5\] is 1000") as error:
        opened.score(batch)
    assert error.value.code == 1


def refusal(path: Path) -> str:
    with pytest.raises(abi.Refused) as error, Opened(path):
        pass
    assert error.value.code == 3
    assert str(error.value).startswith(str(path))
    return str(error.value)


def test_what_is_no_scorer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scorer"
    assert "No such file" in refusal(path)
    assert "is no scorer's file" in refusal(tmp_path)
    for foreign in (b"", b"FASTFM", b"PK" * 100):
        path.write_bytes(foreign)
        assert "is no scorer's file" in refusal(path)


def test_a_newer_a_short_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scorer"
    save("deepfm", path)
    whole = path.read_bytes()
    for length in (63, 64, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "cut short" in refusal(path) or length < 64
    path.write_bytes(whole[:8] + bytes([2]) + whole[9:])
    assert "has format 2, this library reads format 1" in refusal(path)
    words = int.from_bytes(whole[40:48], "little")
    for place in range(saved.HEADER.size, saved.HEADER.size + 8 * words, 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert refusal(path).endswith("the file is damaged")


def test_a_program_that_reads_outside_is_refused(tmp_path: Path) -> None:
    """Whole files, with a word of each instruction that leads outside of the file or of the block."""
    path, refused = tmp_path / "scorer", 0
    save("deepfm of crosses", path)
    whole = path.read_bytes()
    words = np.frombuffer(whole, "<i8", int.from_bytes(whole[40:48], "little"), saved.HEADER.size)
    for place in range(len(words)):
        changed = words.copy()
        changed[place] = 1 << 45
        code = changed.tobytes()
        checksum = saved.zlib.crc32(code).to_bytes(8, "little")
        end = saved.HEADER.size + len(code)
        path.write_bytes(whole[:48] + checksum + whole[56:64] + code + whole[end:])
        try:
            with Opened(path) as opened:
                opened.score(draw("deepfm of crosses", "ids", samples=3))
        except abi.Refused:
            refused += 1
    assert refused > len(words) / 2


def test_the_command_writes_the_trained_models_scorer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--set", "epochs=1", "--set", "dim=4", "--out", "model"]) == 0
    assert cli.main(["export", "model", "--scorer", "scorer"]) == 0
    assert capsys.readouterr().out.endswith("model written to scorer\n")
    model = trained.load("model")
    encoded = model.encoder.transform(read_table(coupon_path()))
    batch = next(Batches(encoded, batch_size=500, shuffle=False).epoch(0))
    with Opened(Path("scorer")) as opened:
        np.testing.assert_array_equal(opened.score(batch), model.model.scorer().score(batch))
    assert cli.main(["export", "model", "--scorer", "absent/scorer"]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        save("fm", tmp_path / "none" / "scorer")
    assert not list(tmp_path.iterdir())
