"""docs/hosts/pytorch.md is true: its Python blocks run, and its names are the code's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import fastfm_torch as ft

PAGE = (Path(__file__).parents[3] / "docs" / "hosts" / "pytorch.md").read_text(encoding="utf-8")


def test_the_blocks_run() -> None:
    names: dict[str, Any] = {}
    alone = re.sub(r"^## Several processes\n.*?(?=^## )", "", PAGE, flags=re.DOTALL | re.MULTILINE)  # test_ddp runs it
    for block in re.findall(r"^```python\n(.*?)^```$", alone, re.DOTALL | re.MULTILINE):
        exec(block, names)
    assert names["loss"].isfinite() and names["pooled"].shape == (2, 16)
    assert [t.shape for t in (names["first"], names["pair"], names["deep"])] == [(2,), (2,), (2, 32)]


def test_the_names_are_those_of_the_package() -> None:
    table = PAGE[PAGE.index("| name | is |") :].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    own = {name for name in ft.__all__ if name not in ("ops", "optim", "EmbeddingFMOutput")}
    assert named == own | {"optim.SGD", "Adagrad", "RowwiseAdagrad", "Adam"}
    assert all(hasattr(ft.optim, name) for name in ("SGD", "Adagrad", "RowwiseAdagrad", "Adam"))
