"""--sample-negatives: trainings on positives alone, their losses, resuming them, and what is refused."""

from __future__ import annotations

import itertools
import json
import signal

import numpy as np
import pytest
from clicks import write

from fastfm_core import cli, commands, threads, trained
from fastfm_core.data import cache
from fastfm_core.data.negatives import item_fields

USERS, ITEMS = 40, 30
OPTIONS = ["--categorical", "user,item", "--multihot", "genres:|", "--user", "user", "--item", "item,genres"]
SAMPLED = [*OPTIONS, "--sample-negatives", "3", "--model", "fm"]
QUICK = ["--set", "epochs=5", "--set", "dim=4", "--set", "batch_size=64", "--set", "lr=0.03", "--set", "min_count=1"]


def likes(user: int, item: int) -> bool:
    return (user + item) % 3 == 0


def genres(item: int) -> str:
    return "|".join(f"g{number}" for number in range(item % 3 + 1))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """positives.csv has no label, clicks.csv the same rows with label 1; valid.csv and test.csv have both labels."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "tables"))
    (tmp_path / "tables").mkdir()
    random = np.random.default_rng(0)
    liked = [(user, item) for user in range(USERS) for item in range(ITEMS) if likes(user, item)]
    order = random.permutation(len(liked)).tolist()
    parts = {"positives": order[:320], "valid": order[320:360], "test": order[360:]}
    for name, chosen in parts.items():
        rows = [(*liked[k], 1) for k in chosen]
        if name != "positives":
            rows += [(user, int(random.integers(ITEMS)), 0) for user, _, _ in rows for _ in range(12)]
        rows = [(user, item, genres(item), label) for user, item, label in rows if label == likes(user, item)]
        write(tmp_path / f"{name}.csv", ["user", "item", "genres", "label"], rows)
    text = (tmp_path / "positives.csv").read_text()
    (tmp_path / "clicks.csv").write_text(text)
    (tmp_path / "positives.csv").write_text("".join(line.rpartition(",")[0] + "\n" for line in text.splitlines()))
    return tmp_path


def command(data: str, out: str, *options: str) -> list[str]:
    return ["train", data, "--valid", "valid.csv", "--test", "test.csv", *SAMPLED, *QUICK, "--out", out, *options]


def metrics_of(out: str) -> dict:
    with open(f"{out}/metrics.json", encoding="utf-8") as file:
        return json.load(file)


@pytest.mark.parametrize("loss", ["bce", "softmax", "bpr"])
def test_every_loss_learns_what_users_like_from_positives_alone(folder, capsys, loss):
    options = ["--group", "user", "--set", f"loss={loss}", "--set", "monitor=ndcg@10"]
    assert cli.main(command("positives.csv", "model", *options)) == 0
    assert "no label: every row is a positive" in capsys.readouterr().err
    report = metrics_of("model")
    assert report["test"]["auc"] > 0.8 and report["test"]["gauc"] > 0.8
    assert report["history"][0]["rows"] == 320 * (1 + 3)
    assert cli.main(["evaluate", "model", "test.csv", "--group", "user", "--metrics-json", "m.json"]) == 0
    assert json.loads((folder / "m.json").read_text())["test"] == report["test"]
    assert cli.main(["predict", "model", "positives.csv", "--out", "p.csv"]) == 0


def test_a_label_of_ones_is_no_label(folder):
    for data, out in (("positives.csv", "one"), ("clicks.csv", "other")):
        assert cli.main(command(data, out)) == 0
    assert (folder / "one/model.safetensors").read_bytes() == (folder / "other/model.safetensors").read_bytes()


def test_rows_of_label_0_are_learned_from_by_bce_and_left_out_of_groups(folder):
    rows = {loss: 1 + 3 + (loss == "bce") for loss in ("bce", "bpr")}
    text = (folder / "clicks.csv").read_text().splitlines()
    negatives = [line.removesuffix(",1") + ",0" for line in text[1:]]
    (folder / "both.csv").write_text("\n".join([*text, *negatives]))
    for loss, times in rows.items():
        assert cli.main(command("both.csv", loss, "--set", f"loss={loss}", "--set", "epochs=1")) == 0
        assert metrics_of(loss)["history"][0]["rows"] == 320 * times


@pytest.mark.parametrize("loss", ["bce", "softmax", "bpr"])
def test_threads_and_a_stop_in_the_middle_change_no_bit(folder, monkeypatch, loss):
    start = command("positives.csv", "whole", "--set", f"loss={loss}", "--threads", "1")
    before = threads.get_num_threads()
    assert cli.main(start) == 0
    train_step, left = commands.training.train_step, [8]

    def step(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)
        return train_step(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(commands.training, "train_step", step)
        assert cli.main([*start[:-3], start[-3], "--threads", "2", "--out", "stopped"]) == 130
    assert cli.main(["train", "--resume", "--out", "stopped"]) == 0
    threads.set_num_threads(before)
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (folder / "whole" / name).read_bytes() == (folder / "stopped" / name).read_bytes()
    assert metrics_of("whole")["test"] == metrics_of("stopped")["test"]


def test_resuming_with_another_number_is_refused(folder, monkeypatch, capsys):
    def stop(*_, **__):
        signal.raise_signal(signal.SIGINT)
        return 0.5

    with monkeypatch.context() as patch:
        patch.setattr(commands.training, "train_step", stop)
        assert cli.main(command("positives.csv", "model")) == 130
    assert cli.main(["train", "--resume", "--out", "model", "--sample-negatives", "4"]) == 2
    words = "--sample-negatives 4: but the training in model was started with 3; leave it out"
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_the_number_of_negatives_needs_no_second_encoding(folder, capsys):
    assert cli.main(command("positives.csv", "one")) == 0
    assert cli.main(command("positives.csv", "other", "--sample-negatives", "5")) == 0
    assert "encoded by an earlier run" in capsys.readouterr().err


def test_a_config_file_may_name_it(folder):
    text = 'user = "user"\nitem = "item,genres"\nsample_negatives = 3\nvalid = "valid.csv"\ntest = "test.csv"\n'
    (folder / "run.toml").write_text(text + '[settings]\nloss = "bpr"\n')
    columns = [*OPTIONS[:4], "--model", "fm", *QUICK]
    assert cli.main(["train", "positives.csv", "--config", "run.toml", *columns, "--out", "model"]) == 0
    assert metrics_of("model")["history"][0]["rows"] == 320 * (1 + 3)


def test_a_history_is_the_users_and_stays_with_its_negatives(folder):
    for name in ("positives", "valid", "test"):
        header, *rows = (folder / f"{name}.csv").read_text().splitlines()
        timed = [f"{header},time", *(f"{row},{time}" for time, row in enumerate(rows))]
        (folder / f"{name}.csv").write_text("\n".join(timed))
    text = '[columns.seen]\ntype = "history"\ncolumn = "item"\nuser = "user"\ntime = "time"\nlength = 3\n'
    (folder / "seen.toml").write_text(text)
    assert cli.main(command("positives.csv", "model", "--config", "seen.toml", "--drop", "time")) == 0
    encoder, part = trained.load("model").encoder, prepared(folder)
    of_item = item_fields(encoder, ["item", "genres"])
    assert dict(zip(encoder.field_names, of_item.fields.tolist(), strict=True)) == {
        "user": False, "item": True, "genres": True, "seen": False,
    }  # fmt: skip
    positive, negative = np.array([300, 300]), np.array([300, 0])
    batch = part.take_mixed(positive, negative, *of_item)
    entries = batch.entries
    assert entries.offsets is not None
    slots = [entries.ids[low:high].tolist() for low, high in itertools.pairwise(entries.offsets)]
    assert slots[0] == slots[4] and slots[3] == slots[7] and len(slots[3]) == 3 and slots[1] != slots[5]


def prepared(folder):
    """The encoded table of positives.csv, from the only entry of the cache."""
    (entry,) = (path for path in (folder / "tables").iterdir() if path.is_dir())
    manifest = json.loads((entry / cache.MANIFEST).read_text().partition("\n")[2])
    return cache.map_encoded(entry, "data", manifest["tables"]["data"])


def test_a_model_that_knows_its_sides_is_trained_on_with_new_negatives(folder, capsys):
    assert cli.main(command("positives.csv", "model")) == 0
    on = ["train", "positives.csv", "--valid", "valid.csv", "--test", "test.csv", "--warm-start", "model"]
    assert cli.main([*on, "--sample-negatives", "2", "--set", "epochs=1", "--out", "on"]) == 0
    assert metrics_of("on")["history"][0]["rows"] == 320 * (1 + 2)
    assert cli.main([*on, "--item", "item", "--out", "other"]) == 2
    assert "--item item: but the model in model has item,genres; leave it out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sample-negatives", "0"], "--sample-negatives 0: give a whole number of at least 1"),
        (["--item", " ,"], "--sample-negatives 3: whose, and of what? add --user COL --item COL"),
        (["--user", ""], "--sample-negatives 3: whose, and of what? add --user COL --item COL"),
        (["--item", "itm,genres"], "positives.csv: --item: there is no column 'itm': did you mean 'item'?"),
        (["--item", "item,genre"], "positives.csv: --item: there is no column 'genre': did you mean 'genres'?"),
        (["--task", "regression"], "--sample-negatives 3: negatives have label 0, which a regression task has not"),
        (["--set", "loss=softmax", "--set", "class_weight=balanced"], "class_weight=balanced: loss=softmax weighs no"),
        (
            ["--set", "loss=bpr", "--set", "label_smoothing=0.1"],
            "label_smoothing=0.1: only bce has it, the loss is bpr",
        ),
        (["--set", "loss=mse"], "loss=mse: a binary task has bce, softmax, bpr; choose one of them"),
        (["--cross", "user*item"], "column 'user x item' crosses the item with other columns"),
        (["--label", "clicked"], "valid.csv: label: there is no column 'clicked'"),
        (["--valid", "clicks.csv"], "all labels of the valid part are 1; it needs 0 and 1: name a table that has them"),
    ],
)
def test_what_cannot_be_sampled_is_refused_in_one_line(folder, capsys, options, words):
    assert cli.main(command("positives.csv", "model", *options)) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (folder / "model").exists()


def test_without_a_label_validation_and_test_need_files(folder, capsys):
    assert cli.main(["train", "positives.csv", *SAMPLED, "--valid", "valid.csv"]) == 2
    words = "positives.csv: no column 'label', so every row is a positive: give --valid and --test files with labels"
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_loss_of_groups_needs_negatives(folder, capsys):
    assert cli.main(["train", "clicks.csv", *OPTIONS, "--set", "loss=bpr"]) == 2
    words = "loss=bpr: compares positives with sampled negatives; add --sample-negatives K"
    assert words in capsys.readouterr().err
