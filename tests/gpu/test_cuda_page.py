"""docs/cuda.md is true: its example with CuPy's arrays does what it says, and its links lead to files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from devices import import_with_cupy

cupy: Any = import_with_cupy("cupy")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "cuda.md"


def test_the_example_updates_the_rows_of_its_ids() -> None:
    (example,) = re.findall(r"<!-- example: cupy -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    before = example.replace("out = ", "start = table.copy()\nout = ", 1)
    names: dict[str, Any] = {}
    exec(before, names)
    table, start = (cupy.asnumpy(names[name]) for name in ("table", "start"))
    moved = np.flatnonzero((table != start).any(axis=1))
    np.testing.assert_array_equal(moved, [3, 4, 500, 998, 999])
    assert names["table"].strides[0] == 80
    np.testing.assert_allclose(table[500, 16], start[500, 16] - 0.05 * names["by_logits"].sum().get(), rtol=1e-5)


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target
