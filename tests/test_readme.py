"""README.md has two one-line commands; they are the lines that .ci/run runs and name what the project has."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def readme_commands() -> dict[str, list[str]]:
    """Marker name -> the lines of the fenced block that follows it."""
    blocks = re.findall(r"<!-- command: (\w+) -->\n```bash\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    return {name: block.splitlines() for name, block in blocks}


def test_both_commands_are_one_line_from_a_bare_python() -> None:
    commands = readme_commands()
    assert set(commands) == {"train", "tests"}
    for lines in commands.values():
        assert len(lines) == 1
        assert lines[0].startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_ci_runs_the_readme_commands() -> None:
    script = ROOT / ".ci" / "run"
    shown = subprocess.run(["bash", str(script), "--show"], capture_output=True, text=True, check=True).stdout
    commands = readme_commands()
    assert shown.splitlines() == [*commands["train"], *commands["tests"]]
    text = script.read_text()
    assert 'run "$train"' in text and 'run "$tests"' in text


def test_commands_name_what_the_project_defines() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    for (line,) in readme_commands().values():
        for extra in re.findall(r"\.\[(\w+)\]", line):
            assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
    assert 'fastfm-core = "fastfm_core.cli:main"' in project
    assert "fastfm-core train" in readme_commands()["train"][0]


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def run_example(section: str) -> dict[str, Any]:
    """Runs the section's Python block; the names it leaves."""
    text = (ROOT / "README.md").read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    return names


def test_the_kernel_example_runs_as_it_stands() -> None:
    names = run_example("The kernels in your own trainer")
    moved = (names["accumulator"] != np.float32(0.1)).any(axis=1)
    assert np.flatnonzero(moved).tolist() == [3, 4, 500, 998, 999]


def test_the_scikit_learn_example_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_example("From scikit-learn")
    areas = [float(text) for text in re.findall(r"0\.\d+", capsys.readouterr().out)]
    assert len(areas) == 3 and min(areas) > 0.6
    np.testing.assert_array_equal(names["probabilities"], names["model"].predict_proba(names["X"][:3]))
