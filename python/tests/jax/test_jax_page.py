"""docs/hosts/jax.md is true, and the example reproduces the library's curve."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastfm_jax
from fastfm_jax import library

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "hosts" / "jax.md").read_text(encoding="utf-8")


def test_the_page_runs() -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        exec(block, names)
    assert names["by_table"].shape == (1000, 16)
    losses = np.asarray(names["losses"])
    assert len(losses) == 3 and losses[-1] < float(names["value"])


def test_the_page_names_what_there_is() -> None:
    for name in set(re.findall(r"fastfm_jax\.(\w+)", PAGE)) | set(re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE)):
        assert name in fastfm_jax.__all__, name
    assert f"interface 0.{library.VERSIONS[0]} to 0.{library.VERSIONS[-1]}" in PAGE
    assert f"jax >= {'.'.join(map(str, library.OLDEST[:2]))}" in PAGE


def test_the_example_reproduces_the_curve(tmp_path: Path) -> None:
    examples = ROOT / "python" / "examples"
    for script in ("curve.py", "deepfm_jax.py"):
        subprocess.run([sys.executable, examples / script, tmp_path], check=True)
