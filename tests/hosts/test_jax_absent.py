"""``import fastfm_jax`` without jax, or with one too old, is one line that says what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

NEEDS = "fastfm_jax needs jax >= 0.5: pip install 'fastfm-core[jax]'"
ABSENT = "sys.modules['jax'] = None"
OLD = "jax = sys.modules['jax'] = types.ModuleType('jax'); jax.__version__, jax.__version_info__ = '0.4.38', (0, 4, 38)"


@pytest.mark.parametrize(("before", "line"), [(ABSENT, NEEDS), (OLD, f"{NEEDS}; this is jax 0.4.38")])
def test_import(before: str, line: str) -> None:
    code = f"import sys, types\n{before}\ntry:\n    import fastfm_jax\nexcept ImportError as error:\n    print(error)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == f"{line}\n"
