"""Trains, evaluates and predicts on the bundled data and on small tables, through the command line's own entry."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from fastfm_core import backends, checkpoint, cli, metrics
from fastfm_core.data import read_table
from fastfm_core.data.bundled import COUPON_LABEL, coupon_path
from fastfm_core.data.columns import numbers
from fastfm_core.data.split import stratified

BINARY = [
    "rows", "positives", "auc", "auc_se", "pr_auc", "logloss", "normalized_entropy", "calibration", "unseen_id_share",
]  # fmt: skip
QUICK = ["--set", "epochs=3", "--set", "hidden=16"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model of three epochs on the bundled data, and what the command printed."""
    folder = tmp_path_factory.mktemp("coupon")
    command = [sys.executable, "-m", "fastfm_core", "train", *QUICK, "--threads", "1", "--seed", "7"]
    command += ["--out", str(folder / "model"), "--metrics-json", str(folder / "metrics.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done


def metrics_of(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def write(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def read_rows(path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_training_shows_the_columns_the_epochs_and_the_result(run):
    folder, done = run
    test = metrics_of(folder)["test"]
    assert done.stdout.splitlines() == [
        f"test AUC {test['auc']:.4f} ± {test['auc_se']:.4f}, log-loss {test['logloss']:.4f} (2,537 rows)",
        f"model saved in {folder / 'model'}",
    ]
    shown = done.stderr.splitlines()
    assert "weather: categorical (guessed: text, 3 distinct values)" in shown
    assert any(line.startswith("train 8,879 rows, valid 1,268 rows, test 2,537 rows; encoded") for line in shown)
    assert [line.split()[1] for line in shown if line.startswith("epoch ")] == ["1", "2", "3"]
    assert not any("touches only" in line for line in shown)


def test_lazy_rows_are_called_lazy(tmp_path, capsys):
    assert cli.main(["train", *QUICK, "--model", "lr", "--set", "rows=lazy", "--out", str(tmp_path / "model")]) == 0
    assert "embedding_l2=1e-05 is applied to the rows a batch touches only (rows=lazy)" in capsys.readouterr().err


def test_the_model_learns(run):
    folder, _ = run
    report = metrics_of(folder)
    assert report["test"]["auc"] > 0.70
    losses = [record["train_loss"] for record in report["history"]]
    assert losses == sorted(losses, reverse=True)


def test_the_metrics_file_has_its_names_and_sums(run):
    folder, _ = run
    report = metrics_of(folder)
    assert list(report) == [
        "model", "backend", "seed", "parameters", "epochs", "best_epoch", "seconds", "rows_per_second",
        "peak_memory_mb", "config", "train", "valid", "test", "history",
    ]  # fmt: skip
    assert (report["model"], report["seed"], report["epochs"], len(report["history"])) == ("deepfm", 7, 3, 3)
    assert list(report["seconds"]) == ["encode", "compile", "train", "total"]
    parts = sum(report["seconds"][name] for name in ("encode", "compile", "train"))
    assert 0 < parts <= report["seconds"]["total"]
    for name in ("train", "valid", "test"):
        assert list(report[name]) == BINARY
    assert sum(report[name]["rows"] for name in ("train", "valid", "test")) == 12_684
    best = max(report["history"], key=lambda record: record["valid"]["auc"])
    assert best["epoch"] == report["best_epoch"]
    assert best["valid"]["auc"] == report["valid"]["auc"]
    assert set(report["test"]["unseen_id_share"]) >= {"coupon", "weather", "CoffeeHouse"}
    assert report["config"]["hidden"] == [16] and report["config"]["lr"] > 0
    state = checkpoint.load(folder / "model")
    assert state.metrics == report
    assert report["parameters"] == sum(array.size for array in state.state.values())


def test_only_the_model_is_left_in_its_folder(run):
    folder, _ = run
    assert sorted(os.listdir(folder / "model")) == [
        "history.jsonl", "metrics.json", "model.json", "model.safetensors", "optimizer.safetensors", "run.json",
    ]  # fmt: skip
    lines = (folder / "model" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == metrics_of(folder)["history"]
    assert sorted(os.listdir(folder)) == ["metrics.json", "model"]


def test_evaluating_the_test_rows_gives_the_same_figures(run, tmp_path, capsys):
    folder, _ = run
    table = read_table(coupon_path())
    test_rows = stratified(np.array([float(y) for y in table[COUPON_LABEL]]), seed=7)[2]
    rows = list(zip(*(column[test_rows] for column in table.values()), strict=True))
    path = write(tmp_path / "test.csv", list(table), rows)
    assert cli.main(["evaluate", str(folder / "model"), path, "--metrics-json", str(tmp_path / "m.json")]) == 0
    report, trained = json.loads((tmp_path / "m.json").read_text()), metrics_of(folder)
    assert report["test"] == trained["test"]
    assert report["model"] == "deepfm" and list(report["seconds"]) == ["encode", "compile", "evaluate", "total"]
    assert capsys.readouterr().out.startswith(f"test.csv AUC {trained['test']['auc']:.4f} ± ")


def test_predictions_have_the_rows_and_the_auc_of_the_data(run, tmp_path):
    folder, _ = run
    out, measured = tmp_path / "p.csv", tmp_path / "m.json"
    assert cli.main(["predict", str(folder / "model"), str(coupon_path()), "--out", str(out)]) == 0
    assert cli.main(["evaluate", str(folder / "model"), str(coupon_path()), "--metrics-json", str(measured)]) == 0
    header, *rows = read_rows(out)
    labels = numbers(read_table(coupon_path())[COUPON_LABEL], COUPON_LABEL)
    assert header == ["probability"] and len(rows) == len(labels)
    predicted = np.array(rows, float)[:, 0]
    assert metrics.auc(labels, predicted) == json.loads(measured.read_text())["test"]["auc"]
    assert sorted(os.listdir(tmp_path)) == ["m.json", "p.csv"]


def test_predictions_need_no_label_and_forgive_new_values(run, tmp_path, capsys):
    folder, _ = run
    table = read_table(coupon_path())
    names = [name for name in table if name != COUPON_LABEL]
    rows = [[table[name][0] for name in names], ["never met"] * len(names), [""] * len(names)]
    path = write(tmp_path / "new.csv", [*names, "ticket"], [[*row, 2**64 - 1 - i] for i, row in enumerate(rows)])
    assert cli.main(["predict", str(folder / "model"), path, "--id", "ticket"]) == 0
    header, *predicted = capsys.readouterr().out.splitlines()
    assert header == "ticket,probability"
    assert [line.split(",")[0] for line in predicted] == [str(2**64 - 1 - i) for i in range(3)]
    assert all(0 < float(line.split(",")[1]) < 1 for line in predicted)


def test_a_missing_column_or_id_is_named(run, tmp_path, capsys):
    folder, _ = run
    path = write(tmp_path / "new.csv", ["weather"], [["Sunny"]])
    assert cli.main(["predict", str(folder / "model"), path]) == 2
    assert f"{path}: there is no column" in capsys.readouterr().err
    assert cli.main(["predict", str(folder / "model"), str(coupon_path()), "--id", "wether"]) == 2
    assert "did you mean 'weather'" in capsys.readouterr().err


def test_a_reader_that_stops_reading_is_no_error(run):
    folder, _ = run
    command = [sys.executable, "-m", "fastfm_core", "predict", str(folder / "model"), str(coupon_path())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_the_seed_gives_the_same_bits_on_any_number_of_threads(run, tmp_path):
    folder, _ = run
    weights = [(folder / "model" / "model.safetensors").read_bytes()]
    for threads, seed in (("2", "7"), ("2", "8")):
        out = tmp_path / f"{threads}-{seed}"
        assert cli.main(["train", *QUICK, "--threads", threads, "--seed", seed, "--out", str(out)]) == 0
        weights.append((out / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def clicks(path, n=600, seed=0):
    """A table with every kind of column: user ids beyond 2^63, a number with gaps, tags, a label that follows them."""
    random = np.random.default_rng(seed)
    city, size = random.integers(0, 6, n), random.normal(size=n)
    tags = ["|".join(f"t{t}" for t in sorted(set(random.integers(0, 5, 3)))) for _ in range(n)]
    score = (city % 2) + size + np.array(["t0" in t for t in tags]) + 0.3 * random.normal(size=n)
    numbers = ["" if i % 11 == 0 else f"{x:.3f}" for i, x in enumerate(size)]
    users = [2**64 - 1 - int(u) for u in random.integers(0, n, n)]
    rows = zip(users, city, numbers, tags, score.round(3), (score > 1).astype(int), strict=True)
    return write(path, ["user", "city", "size", "tags", "score", "label"], rows)


OPTIONS = ["--multihot", "tags:|", "--id", "user", "--set", "epochs=4", "--set", "lr=0.02", "--set", "batch_size=64"]


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("lr", ["optimizer=adagrad", "lr=0.1"]),
        ("fm", ["optimizer=rowwise_adagrad", "lr=0.1", "clip_norm=1"]),
        ("deepfm", ["rows=dense", "batch_norm=true", "embedding_l2=0", "hidden=8,4"]),
        ("deepfm", ["optimizer=sgd", "lr=0.3", "hidden="]),
    ],
)
def test_every_model_and_optimizer_learns_from_a_small_table(tmp_path, monkeypatch, model, settings):
    monkeypatch.chdir(tmp_path)
    data = clicks(tmp_path / "clicks.csv")
    chosen = [part for setting in settings for part in ("--set", setting)]
    command = ["train", data, "--drop", "score", "--model", model, *OPTIONS, *chosen]
    assert cli.main(command) == cli.main(command) == 0
    first, second = (tmp_path / "runs" / f"clicks-{model}-{n}" for n in (1, 2))
    report = metrics_of(first)
    assert report["test"]["auc"] > 0.8 and list(report["test"]["unseen_id_share"]) == ["city", "tags"]
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    assert cli.main(["predict", str(first), data, "--out", "p.csv"]) == 0
    header, *rows = read_rows("p.csv")
    assert header == ["user", "probability"]
    assert [row[0] for row in rows] == [row[0] for row in read_rows(data)[1:]]


def test_regression_with_files_of_its_own(tmp_path, capsys):
    data, valid, test = (clicks(tmp_path / f"{name}.csv", seed=k) for k, name in enumerate(("data", "valid", "test")))
    command = ["train", data, "--valid", valid, "--test", test, "--label", "score", "--task", "regression"]
    command += ["--drop", "label", "--model", "fm", *OPTIONS, "--out", str(tmp_path / "run")]
    assert cli.main(command) == 0
    report = metrics_of(tmp_path / "run")
    assert {name: report[name]["rows"] for name in ("train", "valid", "test")} == dict.fromkeys(
        ("train", "valid", "test"), 600
    )
    assert list(report["test"]) == ["rows", "rmse", "mae", "unseen_id_share"]
    spread = np.std([float(row[4]) for row in read_rows(test)[1:]])
    assert report["test"]["rmse"] < 0.8 * spread
    assert f"test RMSE {report['test']['rmse']:.4f}" in capsys.readouterr().out
    assert cli.main(["predict", str(tmp_path / "run"), test]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header == "user,prediction" and len(rows) == 600


def test_overwriting_is_possible_when_asked_for(tmp_path):
    data = clicks(tmp_path / "clicks.csv")
    command = ["train", data, "--drop", "score", "--model", "lr", *OPTIONS, "--out", str(tmp_path / "run")]
    assert cli.main(command) == 0
    assert cli.main(command) == 2
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert cli.main([*command, "--seed", "1", "--overwrite"]) == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() != before
    assert checkpoint.load(tmp_path / "run").description["seed"] == 1


def test_info_says_what_runs_and_what_auto_picks(capsys):
    assert cli.main(["info"]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert {"version", "threads", "blas", "auto"} <= set(lines)
    assert lines["auto"] in ("native", "numba") and int(lines["threads"]) >= 1


def test_an_unavailable_backend_is_explained(capsys, monkeypatch):
    from fastfm_core import backends

    monkeypatch.setitem(backends._NEEDS, "numba", ("no_such_module", lambda: "no_such_module is not installed"))
    monkeypatch.setitem(backends._NEEDS, "native", ("no_such_module", lambda: "it was not built"))
    assert cli.main(["info"]) == 0
    shown = capsys.readouterr().out
    assert "cannot run: no_such_module is not installed" in shown and "cannot run: it was not built" in shown
    assert "none: no tuned backend can run" in shown
    assert cli.main(["train", "--backend", "numba"]) == 2
    assert "no_such_module" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["--help", "train --help", "--version"])
def test_help_is_quick_and_imports_nothing_heavy(line):
    code = f"import sys; from fastfm_core.cli import main\ntry: main({line.split()!r})\nexcept SystemExit as e: "
    code += "print(e.code, {'numba', 'pyarrow', 'safetensors', 'tqdm'} & set(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "0 set()\n" and "fastfm-core" in done.stdout


@pytest.mark.skipif(backends.why_unavailable("native") is not None, reason="the native backend was not built")
def test_the_native_engine_imports_no_numba(tmp_path):
    lines = [f"u{n % 17},c{n % 5},{n / 7},{n % 2}" for n in range(200)]
    clicks, model, predictions = (str(tmp_path / name) for name in ("clicks.csv", "model", "predictions.csv"))
    (tmp_path / "clicks.csv").write_text("\n".join(["user,city,size,label", *lines]))
    trained = ["train", clicks, "--out", model, "--set", "epochs=1"]
    for command in (trained, ["predict", model, clicks, "--out", predictions], ["evaluate", model, clicks]):
        code = f"import sys; from fastfm_core.cli import main; status = main({command!r}); "
        code += "print(status, 'numba' in sys.modules, file=sys.stderr)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stderr.splitlines()[-1] == "0 False"
