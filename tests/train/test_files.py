"""Files are written whole or not at all."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from fastfm_core.errors import InputError
from fastfm_core.files import whole_file, write_json


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.txt"]


def test_a_good_end_replaces_the_file(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["result.txt"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "target.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("target.txt")
    with whole_file(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "target.txt").read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with whole_file(pipe) as path:
            path.write_text("through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["missing/result.txt", "."])
def test_a_place_where_no_file_can_be_is_named(tmp_path, name):
    with pytest.raises(InputError, match="folder"), whole_file(tmp_path / name):
        raise AssertionError("the block must not run")


def test_json_is_strict_and_knows_numpy(tmp_path):
    path = tmp_path / "m.json"
    write_json(path, {"nan": float("nan"), "inf": np.float32("inf"), "f": np.float32(0.5), "n": np.int64(3)})
    write_json(tmp_path / "n.json", {"array": np.arange(3), "nested": [{"path": tmp_path, "x": (1, None, True)}]})
    assert json.loads(path.read_text()) == {"nan": None, "inf": None, "f": 0.5, "n": 3}
    expected = {"array": [0, 1, 2], "nested": [{"path": str(tmp_path), "x": [1, None, True]}]}
    assert json.loads((tmp_path / "n.json").read_text()) == expected
