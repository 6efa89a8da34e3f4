"""Every file format from end to end: trained on, evaluated and predicted."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from fastfm_core import cli, trained

ROWS = 1500
QUICK = ["--set", "epochs=12", "--set", "lr=0.02", "--set", "batch_size=64", "--set", "hidden=16", "--set", "dim=8"]


class Clicks:
    """A user and an item of small sets, whose product decides the label: a matter of pairs, not of single values."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.user, self.item = random.integers(0, 12, (2, ROWS)).tolist()
        self.label = [int((user % 2) ^ (item % 2)) for user, item in zip(self.user, self.item, strict=True)]

    def lines(self, form: str) -> str:
        rows = zip(self.label, self.user, self.item, strict=True)
        return "".join(form.format(label=y, user=u, item=100 + i) + "\n" for y, u, i in rows)


def write_libsvm(path: Path, clicks: Clicks) -> Path:
    path.write_text(clicks.lines("{label} {user}:1 {item}:1"))
    return path


def write_libffm(path: Path, clicks: Clicks) -> Path:
    path.write_text("# label field:feature:value\n" + clicks.lines("{label} 0:{user}:1 1:{item}:1"))
    return path


def write_tsv(path: Path, clicks: Clicks) -> Path:
    path.write_bytes(gzip.compress(("label\tuser_id\titem_id\n" + clicks.lines("{label}\t{user}\t{item}")).encode()))
    return path


def write_folder(path: Path, clicks: Clicks) -> Path:
    path.mkdir()
    table = pyarrow.table({"label": clicks.label, "user_id": clicks.user, "item_id": clicks.item})
    for number, begin in enumerate(range(0, ROWS, 400)):
        pyarrow.parquet.write_table(table.slice(begin, 400), path / f"part-{number}.parquet")
    return path


FORMATS = {
    "libsvm with fm": ("fm", "{}.libsvm", write_libsvm),
    "libffm with deepfm": ("deepfm", "{}.libffm", write_libffm),
    "Parquet folder with fm": ("fm", "{}", write_folder),
    "gzipped TSV with deepfm": ("deepfm", "{}.tsv.gz", write_tsv),
    "libsvm by its content": ("fm", "{}.dat", write_libsvm),
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_model_learns_pairs_from_every_format(form, tmp_path, capsys):
    model, name, write = FORMATS[form]
    data, new = (write(tmp_path / name.format(part), Clicks(seed)) for seed, part in enumerate(("clicks", "new")))
    out = tmp_path / "model"
    assert cli.main(["train", str(data), "--model", model, *QUICK, "--out", str(out)]) == 0
    assert json.loads((out / "metrics.json").read_text())["test"]["auc"] > 0.99
    assert cli.main(["evaluate", str(out), str(new), "--metrics-json", str(tmp_path / "m.json")]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["test"]["auc"] > 0.99
    assert cli.main(["predict", str(out), str(new), "--out", str(tmp_path / "p.csv")]) == 0
    with open(tmp_path / "p.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["probability"] and len(rows) == ROWS
    clicked = np.array(Clicks(1).label) == 1
    probabilities = np.array(rows, float)[:, 0]
    assert probabilities[clicked].min() > probabilities[~clicked].max()


def test_a_libffm_file_without_labels_and_with_another_field_is_predicted(tmp_path):
    data, out = write_libffm(tmp_path / "clicks.libffm", Clicks(0)), tmp_path / "model"
    assert cli.main(["train", str(data), "--model", "fm", *QUICK, "--out", str(out)]) == 0
    assert trained.load(out).encoder.field_names == ["field0", "field1"]
    new = tmp_path / "new.libffm"
    new.write_text("0:1:1 1:100:1\n7:5:1 1:100:1 0:1:1\n0:77:1\n\n1 0:1:1 1:100:1\n")
    assert cli.main(["predict", str(out), str(new), "--out", str(tmp_path / "p.csv")]) == 0
    first, second, third, fourth = map(float, (tmp_path / "p.csv").read_text().split()[1:])
    assert first == second == fourth != third
