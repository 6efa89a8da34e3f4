"""Small runs of ``fastfm-core bench``, on the backends that this machine has, and a registry that is empty again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastfm_core import cli
from fastfm_core.bench import registry, run, step

SMALL = ["--rounds", "2", "--rows", "1000", "--batch", "32"]


@pytest.fixture(autouse=True)
def small_and_forgetful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ceilings on short arrays, no silence, no kernel registered before or after, and a working folder of its own."""
    monkeypatch.setattr(run, "LONG", 1 << 14)
    monkeypatch.setattr(run, "RANDOM_ROWS", 1 << 8)
    monkeypatch.setattr(run, "IDLE", 0.0)
    monkeypatch.setattr(step, "IDLE", 0.0)
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.chdir(tmp_path)


class Ran(NamedTuple):
    """Exit status, stdout and stderr of a command."""

    status: int
    out: str
    err: str


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ran]]:
    """Runs the command with small sizes."""

    def run_it(*options: str) -> Ran:
        capsys.readouterr()
        status = cli.main(["bench", *SMALL, *options])
        return Ran(status, *capsys.readouterr())

    yield run_it


@pytest.fixture
def saved(bench: Callable[..., Ran]) -> dict[str, Any]:
    """What a run of one kernel wrote to old.json."""
    assert bench("--backend", "reference", "--kernel", "embedding_gather", "--json", "old.json").status == 0
    return json.loads(Path("old.json").read_text())
