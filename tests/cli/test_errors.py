"""The user's mistakes: exit status 2, one line on stderr that names the mend, nothing written."""

from __future__ import annotations

import os

import pytest

from fastfm_core import cli, commands

ROWS = "".join(f"c{i % 7},{i},{i % 2}\n" for i in range(60))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("city,size,clicked\n" + ROWS)
    (tmp_path / "other.csv").write_text("town,size\n" + "a,1\n")
    return tmp_path


TRAIN = "train data.csv --label clicked"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "COMMAND"),
        ("tain", "invalid choice: 'tain'"),
        ("train --sett dim=4", "--sett"),
        ("train --seed one", "--seed"),
        ("train --task ranking", "--task"),
        ("train missing.csv --label y", "missing.csv: there is no such file"),
        ("train data.csv", "give --label COL; the columns are city, size, clicked"),
        ("train data.csv --label click", "did you mean 'clicked'"),
        ("train data.csv --label city", "data.csv: label"),
        ("train data.csv --label size>=x", "not a number"),
        ("train data.csv --label size>=1000", "all labels of the train part are 0"),
        (f"{TRAIN} --model deepfn", "choose one of"),
        (f"{TRAIN} --set dims=4", "did you mean dim"),
        (f"{TRAIN} --set dim=x", "dim=x: give a whole number"),
        (f"{TRAIN} --backend cudda", "cudda"),
        (f"{TRAIN} --threads 0", "threads"),
        (f"{TRAIN} --drop town", "there is no column 'town'"),
        (f"{TRAIN} --id town", "there is no column 'town'"),
        (f"{TRAIN} --valid missing.csv", "missing.csv: there is no such file"),
        (f"{TRAIN} --test other.csv", "other.csv: "),
        (f"{TRAIN} --metrics-json .", "is a folder"),
        ("evaluate nowhere data.csv", "nowhere: no such folder"),
        ("evaluate . data.csv", "holds no model"),
        ("predict nowhere data.csv", "nowhere: no such folder"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(folder, capsys, line, message):
    before = sorted(os.listdir(folder))
    assert cli.main(line.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    last = printed.err.splitlines()[-1]
    assert last.startswith("fastfm-core: ") and message in last
    assert printed.err.count("fastfm-core: ") == 1 and "Traceback" not in printed.err
    assert sorted(os.listdir(folder)) == before


def test_a_folder_with_a_model_is_not_overwritten(folder, capsys):
    (folder / "old").mkdir()
    (folder / "old" / "model.json").write_text("precious")
    assert cli.main(f"{TRAIN} --out old".split()) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (folder / "old" / "model.json").read_text() == "precious"


def test_ctrl_c_is_one_line_and_status_130(folder, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands.training, "train_step", interrupt)
    assert cli.main(f"{TRAIN} --out a/b".split()) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "fastfm-core: interrupted, nothing was saved"
    assert not (folder / "a").exists()


def test_a_loss_that_is_not_finite_is_status_2(folder, capsys, monkeypatch):
    monkeypatch.setattr(commands.training, "train_step", lambda *_, **__: float("nan"))
    assert cli.main(TRAIN.split()) == 2
    assert "epoch 1, batch 1: the loss is nan" in capsys.readouterr().err
    assert not (folder / "runs").exists()


def test_our_own_mistakes_are_not_hidden(folder, monkeypatch):
    def bug(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(commands, "_fit", bug)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(TRAIN.split())
    assert not (folder / "runs").exists()
