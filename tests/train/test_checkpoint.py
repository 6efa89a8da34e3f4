"""A saved model comes back bit for bit; whatever is missing, cut or foreign is named in one line."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest

from fastfm_core import __version__, checkpoint
from fastfm_core.backends.memory import aligned_rows
from fastfm_core.errors import InputError

STATE = {
    "table": np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32),
    "view": np.arange(12.0).reshape(3, 4).T[::2],
    "bias": np.float64(0.25) * np.ones(()),
    "steps": np.arange(3),
    "empty": np.zeros((0, 4), np.float32),
}
DESCRIPTION = {
    "model": "deepfm",
    "config": {"dim": 4, "hidden": [8]},
    "encoder": {"city": ["Ä", "18446744073709551615"]},
}
METRICS = {"test": {"auc": 0.8, "calibration": float("nan")}}


@pytest.fixture
def folder(tmp_path):
    checkpoint.save(tmp_path / "run", STATE, DESCRIPTION, METRICS)
    return tmp_path / "run"


def test_round_trip(folder):
    loaded = checkpoint.load(folder)
    assert set(loaded.state) == set(STATE)
    for name, array in STATE.items():
        assert loaded.state[name].dtype == array.dtype and loaded.state[name].shape == array.shape
        np.testing.assert_array_equal(loaded.state[name], array)
    assert {name: loaded.description[name] for name in DESCRIPTION} == DESCRIPTION
    assert loaded.description["version"] == __version__
    assert loaded.metrics == {"test": {"auc": 0.8, "calibration": None}}
    assert sorted(os.listdir(folder)) == ["metrics.json", "model.json", "model.safetensors"]


def test_every_file_may_be_read_by_whom_the_user_lets(folder):
    (folder / "plain").touch()
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_the_optimizers_state_comes_back_and_belongs_to_its_model(folder):
    with pytest.raises(InputError, match=r"optimizer\.safetensors: missing"):
        checkpoint.load_optimizer(folder)
    state = {"table/moment": STATE["table"] * 2, "steps": np.array(5)}
    checkpoint.save(folder, STATE, DESCRIPTION, METRICS, state)
    loaded = checkpoint.load_optimizer(folder)
    np.testing.assert_array_equal(loaded["table/moment"], STATE["table"] * 2)
    assert loaded["steps"] == 5
    checkpoint.write_weights(folder / "optimizer.safetensors", STATE)
    with pytest.raises(InputError, match=r"optimizer\.safetensors: cut"):
        checkpoint.load_optimizer(folder)
    checkpoint.save(folder, STATE, DESCRIPTION, METRICS)
    assert not (folder / "optimizer.safetensors").exists()


def test_saving_over_a_model_replaces_it(folder):
    checkpoint.save(folder, {"table": STATE["table"] + 1}, DESCRIPTION, {})
    loaded = checkpoint.load(folder)
    assert list(loaded.state) == ["table"]
    np.testing.assert_array_equal(loaded.state["table"], STATE["table"] + 1)


def test_a_crash_between_the_files_is_noticed(folder, monkeypatch):
    """The new weights are there, the new description is not: neither model must load."""
    replace = os.replace

    def crash(source, target):
        if target.name == "metrics.json":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(folder, {"table": STATE["table"] + 1}, DESCRIPTION, {})
    with pytest.raises(InputError, match=r"model\.safetensors: cut"):
        checkpoint.load(folder)


def test_a_crash_while_weights_are_written_keeps_the_old_model(folder, monkeypatch):
    import safetensors.numpy

    def crash(state, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(safetensors.numpy, "save_file", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(folder, {"table": STATE["table"] + 1}, DESCRIPTION, {})
    np.testing.assert_array_equal(checkpoint.load(folder).state["table"], STATE["table"])
    assert sorted(os.listdir(folder)) == ["metrics.json", "model.json", "model.safetensors"]


def test_every_cut_of_the_weights_is_noticed(folder):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for length in (0, 7, len(whole) // 2, len(whole) - 1):
        weights.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"model\.safetensors: cut"):
            checkpoint.load(folder)


def test_an_edited_description_is_noticed(folder):
    changed(folder, model="fm")
    with pytest.raises(InputError, match=r"model\.json: damaged or edited"):
        checkpoint.load(folder)


def test_a_cut_description_is_noticed(folder):
    text = (folder / "model.json").read_text()
    for length in (0, 1, len(text) // 2):
        (folder / "model.json").write_text(text[:length])
        with pytest.raises(InputError, match=r"model\.json: cut"):
            checkpoint.load(folder)


def changed(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "model.json").unlink(), "holds no model"),
        (lambda folder: (folder / "model.safetensors").unlink(), "incomplete"),
        (lambda folder: (folder / "model.json").write_text("[1]"), "not written by fastfm-core"),
        (lambda folder: (folder / "model.json").write_text('{"a": 1}'), "not written by fastfm-core"),
        (lambda folder: changed(folder, format_number=99, version="9.9"), "fastfm-core 9.9"),
    ],
)
def test_missing_and_foreign_files_are_named(folder, break_it, message):
    break_it(folder)
    with pytest.raises(InputError, match=message) as caught:
        checkpoint.load(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        checkpoint.load(tmp_path / "nowhere")


def written_as_format_2(folder, state, optimizer):
    """A folder of the format that kept embeddings and first order apart."""
    checkpoint.save(folder, state, DESCRIPTION, METRICS, optimizer)
    path = folder / "model.json"
    content = json.loads(path.read_text()) | {"format_number": 2}
    content.pop("sha256")
    path.write_text(json.dumps(content | {"sha256": checkpoint._checksum(content)}))


@pytest.mark.parametrize("dim", [0, 4])
def test_a_model_whose_first_order_was_apart_is_read_as_one_table(tmp_path, dim):
    random = np.random.default_rng(1)
    table, linear = random.normal(size=(7, dim)).astype(np.float32), random.normal(size=7).astype(np.float32)
    moments = {"embedding.linear/moment1": linear[:, None] * 2, "bias/moment1": np.ones((1, 1)), "steps": np.array(5)}
    if dim:
        moments["embedding.table/moment1"] = table * 2
    state = {"embedding.table": table, "embedding.linear": linear, "mlp.linear_head.weight": np.ones((2, 2))}
    written_as_format_2(tmp_path, state, moments)
    expected = np.column_stack([table, linear])
    loaded = checkpoint.load(tmp_path)
    assert set(loaded.state) == {"embedding.table", "mlp.linear_head.weight"}
    np.testing.assert_array_equal(loaded.state["embedding.table"], expected)
    optimizer = checkpoint.load_optimizer(tmp_path)
    assert set(optimizer) == {"embedding.table/moment1", "bias/moment1", "steps"}
    np.testing.assert_array_equal(optimizer["embedding.table/moment1"], expected * 2)
    assert loaded.state["embedding.table"].dtype == optimizer["embedding.table/moment1"].dtype == np.float32


def test_row_wise_state_of_two_tables_is_refused(tmp_path):
    rowwise = {"embedding.table/accumulator": np.ones(7), "embedding.linear/accumulator": np.ones(7)}
    written_as_format_2(tmp_path, STATE, rowwise)
    with pytest.raises(InputError, match=r"optimizer\.safetensors: row-wise Adagrad's state of an older version"):
        checkpoint.load_optimizer(tmp_path)


def test_names_that_are_a_first_order_today_stay(tmp_path):
    state = {"embedding.table": np.ones((7, 4)), "embedding.linear": np.ones(7)}
    checkpoint.save(tmp_path, state, DESCRIPTION, METRICS)
    assert set(checkpoint.load(tmp_path).state) == set(state)


def test_rows_with_space_between_them_are_saved_without_it(tmp_path):
    table = aligned_rows(9, 5, np.float32)
    table[...] = np.random.default_rng(2).normal(size=table.shape)
    assert not table.flags.c_contiguous
    checkpoint.save(tmp_path, {"table": table}, DESCRIPTION, METRICS)
    np.testing.assert_array_equal(checkpoint.load(tmp_path).state["table"], table)


def test_holds_model(folder, tmp_path):
    assert checkpoint.holds_model(folder)
    assert not checkpoint.holds_model(tmp_path)


def test_without_safetensors_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(InputError, match=r"pip install 'fastfm-core\[train\]'"):
        checkpoint.save(tmp_path, STATE, DESCRIPTION, METRICS)
