"""--compare finds what became slower over its ceiling, and lets equal runs and slower machines pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfm_core.bench import command, compare, run
from fastfm_core.bench.figures import Figure, Record, read_record

from .conftest import Ran

KERNEL = ["--backend", "reference", "--kernel", "embedding_gather"]


def figure(case: str, slower: float = 1.0, machine: float = 1.0, spread: float = 0.02) -> Figure:
    """Rounds that scatter by ``spread``, on a machine that is slower as a whole, too."""
    draw = np.random.default_rng(len(case))
    least = 1e-3 * machine * (1 + spread * draw.standard_normal(15))
    own = least * 2 * slower * (1 + spread * draw.standard_normal(15))
    return Figure(case, case, "native", "gather", None, own.tolist(), least.tolist())


def record(*figures: Figure) -> Record:
    return Record({"processor": "a"}, {"rows": 1, "batch": 1}, [], list(figures))


def verdicts(old: list[Figure], new: list[Figure]) -> dict[str, str]:
    return {change.case: change.verdict for change in compare.changes(record(*old), new)}


def test_a_planted_regression_is_found_and_equal_figures_pass() -> None:
    old = [figure("same"), figure("worse"), figure("better"), figure("gone")]
    new = [figure("same"), figure("worse", slower=1.3), figure("better", slower=0.7), figure("added")]
    assert verdicts(old, new) == {"same": "", "worse": "slower", "better": "faster"}


def test_a_slower_machine_cancels_and_scatter_explains() -> None:
    assert verdicts([figure("all")], [figure("all", machine=2.0)]) == {"all": ""}
    assert verdicts([figure("noisy", spread=0.3)], [figure("noisy", slower=1.2, spread=0.3)]) == {"noisy": ""}
    assert verdicts([figure("little")], [figure("little", slower=1.07)]) == {"little": ""}


def test_who_looks_slower_gets_the_better_of_two_measurements() -> None:
    old, slow, well = record(figure("x"), figure("y")), figure("x", slower=1.5), figure("x")
    found = compare.changes(old, [slow, figure("y", slower=1.5)])
    once = compare.confirmed(found, compare.changes(old, [well]))
    assert [change.verdict for change in once] == ["", "slower"]
    still = compare.confirmed(found, compare.changes(old, [figure("x", slower=1.4), figure("y", slower=1.9)]))
    assert [round(change.ratio, 1) for change in still] == [1.4, 1.5]


def plant(saved: dict[str, Any], factor: float) -> None:
    """Writes old.json with its kernel's times multiplied."""
    for kernel in saved["figures"]:
        kernel["seconds"] = [seconds * factor for seconds in kernel["seconds"]]
    Path("old.json").write_text(json.dumps(saved))


def test_status_1_and_the_name_of_a_regression(saved: dict[str, Any], bench: Callable[..., Ran]) -> None:
    plant(saved, 1e-3)
    ran = bench(*KERNEL, "--compare", "old.json")
    assert ran.status == 1
    assert "1 of 1 slower: embedding_gather on reference" in ran.out
    assert ran.err.count("1 cases look slower and are measured again") == compare.AGAIN


def test_equal_figures_have_status_0(
    saved: dict[str, Any], bench: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = read_record("old.json").figures
    monkeypatch.setattr(run, "measure_kernels", lambda plan, show: iter(figures))
    ran = bench(*KERNEL, "--compare", "old.json")
    assert ran.status == 0 and "0 of 1 slower" in ran.out and ran.err.count("\n") == 1
    assert [row.split("|")[3].strip() for row in ran.out.splitlines() if "reference |" in row][-1] == "1.00"


def test_a_second_look_clears_a_disturbed_case(
    saved: dict[str, Any], bench: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = read_record("old.json").figures
    disturbed = [f._replace(seconds=[1e3 * seconds for seconds in f.seconds]) for f in figures]
    looks = iter([disturbed, figures])
    monkeypatch.setattr(command, "_figures", lambda plan: next(looks))
    ran = bench(*KERNEL, "--compare", "old.json")
    assert ran.status == 0 and "measured again" in ran.err and "0 of 1 slower" in ran.out


def test_another_machine_is_a_warning(saved: dict[str, Any], bench: Callable[..., Ran]) -> None:
    saved["machine"]["processor"] = "Abacus 3000"
    plant(saved, 1e3)
    ran = bench(*KERNEL, "--compare", "old.json")
    assert ran.status == 0 and "faster" in ran.out
    assert "warning: old.json: the old run is another machine's (processor Abacus 3000, here" in ran.err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"machine": {}}', "\x00", '{"fastfm-core bench": 1}', "3"])
def test_a_file_of_another_kind_is_refused(content: str, bench: Callable[..., Ran]) -> None:
    Path("old.json").write_text(content)
    ran = bench(*KERNEL, "--compare", "old.json")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "fastfm-core: old.json: is no file of fastfm-core bench --json\n"


def test_other_sizes_forms_and_cases_are_refused(saved: dict[str, Any], bench: Callable[..., Ran]) -> None:
    plant(saved, 1.0)
    assert "has none of the cases" in bench("--kernel", "matmul", "--compare", "old.json").err
    assert "had --rows 1000: give that, too" in bench(*KERNEL, "--rows", "2000", "--compare", "old.json").err
    saved["fastfm-core bench"] = 2
    plant(saved, 1.0)
    ran = bench(*KERNEL, "--compare", "old.json")
    assert ran.status == 2 and "another version" in ran.err
