"""benchmarks/lab: every experiment is in the index, and says its idea, what was measured, its result and verdict."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

LAB = Path(__file__).resolve().parents[2] / "benchmarks" / "lab"
SCRIPTS = sorted(path.name for path in LAB.glob("[0-9][0-9]_*.py"))


def test_the_index_lists_every_experiment_in_order() -> None:
    index = (LAB / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[(\d\d)\]\((\w+\.py)\)", index, re.MULTILINE) == [(name[:2], name) for name in SCRIPTS]
    assert [int(name[:2]) for name in SCRIPTS] == list(range(1, len(SCRIPTS) + 1))


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_experiment_says_what_came_of_it(name: str) -> None:
    text = ast.get_docstring(ast.parse((LAB / name).read_text(encoding="utf-8"))) or ""
    assert text.startswith(f"{name[:2]} ")
    parts = dict(re.findall(r"^(IDEA|MEASURED|RESULT|VERDICT) +(.+)$", text, re.MULTILINE))
    assert list(parts) == ["IDEA", "MEASURED", "RESULT", "VERDICT"]
    assert re.match(r"\d{4}-\d\d-\d\d, \w", parts["RESULT"])
    verdict = text.partition("VERDICT")[2]
    assert re.search(r"\b(stayed|went)\b", verdict, re.IGNORECASE)
