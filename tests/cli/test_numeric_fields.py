"""Numbers in each part of a model and by each transform, several fields of one column: by options, TOML and schema."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from fastfm_core import cli
from fastfm_core.data import Numeric, Schema, read_table
from fastfm_core.data.encode import Encoder
from fastfm_core.data.schema import Transform
from fastfm_core.trained import load

QUICK = [
    "--model", "deepfm", "--set", "epochs=1", "--set", "hidden=4", "--set", "dim=2", "--categorical", "c",
    "--drop", "n",
]  # fmt: skip
NAMED = [name for name in get_args(Transform) if name != "auto"]
OPTION = ",".join(["x", *(f"x:{name}" for name in NAMED), "x:raw:log1p", "x:first", "x:pairs"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    numbers = random.normal(3, 2, 300).round(3)
    rows = (f"{x},{'ab'[n % 2]},{n},{int(x + random.normal() > 3)}\n" for n, x in enumerate(numbers.tolist()))
    (tmp_path / "t.csv").write_text("x,c,n,label\n" + "".join(rows))
    return tmp_path


def fields() -> list[Numeric]:
    """What OPTION says, as a schema does."""
    further = [Numeric(f"x {name}", source="x", transform=name) for name in NAMED]
    further += [Numeric("x raw log1p", source="x", use="raw", transform="log1p")]
    return [Numeric("x"), *further, *(Numeric(f"x {use}", source="x", use=use) for use in ("first", "pairs"))]


def test_options_toml_and_schema_are_one(folder: Path) -> None:
    assert cli.main(["train", "t.csv", *QUICK, "--numeric", OPTION, "--out", "option"]) == 0
    declared = [
        f"[columns.{field.name!r}]\ntype = 'numeric'\nsource = 'x'\n"
        f"transform = {field.transform!r}\nuse = {list(field.use)}\n"
        for field in fields()
    ]
    (folder / "t.toml").write_text("".join(declared))
    assert cli.main(["train", "t.csv", *QUICK, "--config", "t.toml", "--out", "toml"]) == 0
    option, toml = load("option"), load("toml")
    table = read_table("t.csv")
    schema = Encoder.fit(table, Schema(fields()), np.arange(210)).transform(table)
    assert set(fields()) < set(option.encoder.schema.fields)
    np.testing.assert_array_equal(option.predict(table), toml.predict(table))
    assert schema.ids.shape == (300, len(fields()) - 1) and schema.dense is not None and schema.dense.shape == (300, 1)


def test_the_numbers_are_those_of_the_formulas(folder: Path) -> None:
    table = read_table("t.csv")
    x = np.array(table["x"].tolist(), float)
    encoder = Encoder.fit(table, Schema(fields()))
    encoded = encoder.transform(table)
    assert encoded.values is not None and encoded.dense is not None
    formulas = {
        "x square": x**2, "x sqrt": np.copysign(np.sqrt(abs(x)), x), "x standardize": x,
        "x log1p": np.copysign(np.log1p(abs(x)), x),
    }  # fmt: skip
    for name, expected in formulas.items():
        found = encoded.values[:, encoder.field_names.index(name)]
        np.testing.assert_allclose(found, (expected - expected.mean()) / expected.std(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(encoded.dense[:, 0], encoded.values[:, encoder.field_names.index("x log1p")])
    np.testing.assert_array_equal(encoded.values[:, encoder.field_names.index("x none")], x.astype(np.float32))
    bins = encoded.ids[:, encoder.field_names.index("x quantile")]
    assert len(np.unique(bins)) == 16 and np.all(np.diff(bins[np.argsort(x)]) >= 0)


def test_each_part_reads_its_own_fields(folder: Path) -> None:
    assert cli.main(["train", "t.csv", *QUICK, "--numeric", OPTION, "--out", "model"]) == 0
    encoder = load("model").encoder
    assert encoder.uses is not None
    for name, parts in {"x": (1, 1, 1), "x first": (1, 0, 0), "x pairs": (0, 1, 0)}.items():
        assert tuple(int(part[encoder.field_names.index(name)]) for part in encoder.uses) == parts
    assert encoder.dense_names == ["x raw log1p"]
