"""docs/hosts: the pages whose examples need nothing but Python do what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfm_core import backends, cli

PAGES = Path(__file__).parents[2] / "docs" / "hosts"


def run(page: str) -> dict[str, Any]:
    """The names that a page's Python blocks leave, run one after another."""
    names: dict[str, Any] = {}
    found = re.findall(r"^```python\n(.*?)^```", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found
    for block in found:
        exec(compile(block, page, "exec"), names)
    return names


def test_numpy() -> None:
    names = run("numpy.md")
    assert names["losses"][-1] < names["losses"][0] - 0.04
    np.testing.assert_array_equal(names["found"], names["rows"][[3, 1, 3]])
    assert names["shared"]


def test_the_scorer_of_c_and_rust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := backends.why_unavailable("native"):
        pytest.skip(reason)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--set", "epochs=1", "--out", "model"]) == 0
    run("c_and_rust.md")
    written = (tmp_path / "scorer").read_bytes()
    assert cli.main(["export", "model", "--scorer", "scorer"]) == 0
    assert (tmp_path / "scorer").read_bytes() == written


def test_numba_gives_the_losses_of_numpy() -> None:
    if reason := backends.why_unavailable("native"):
        pytest.skip(reason)
    import fastfm_numba

    names = run("numba.md")
    np.testing.assert_allclose(names["losses"], run("numpy.md")["losses"], rtol=1e-6)
    rules = {f"{kind}_rows_{rule}_" for kind in ("update", "catch_up") for rule in
             ("sgd", "adagrad", "rowwise_adagrad", "adam", "adamw", "ftrl")}  # fmt: skip
    named = set(re.findall(r"\w+", (PAGES / "numba.md").read_text()))
    assert set(fastfm_numba.__all__) <= named | rules
