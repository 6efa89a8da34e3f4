"""The command end to end: tables on stdout, a file with every second measured, user mistakes in one line."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastfm_core.bench.cases import CASES, all_inputs
from fastfm_core.bench.run import Plan
from fastfm_core.bench.step import FIRST, MODELS
from fastfm_core.bench.workload import field_sizes
from fastfm_core.contract import KERNELS

from .conftest import Ran


def test_every_kernel_has_a_case_and_labels_are_unique() -> None:
    assert {kernel_case.kernel for kernel_case in CASES} == set(KERNELS)
    assert len({kernel_case.label for kernel_case in CASES}) == len(CASES)


def test_the_plan_takes_a_case_of_each_kernel_all_or_the_named() -> None:
    plan = Plan(["reference"], [])
    assert [case.kernel for case in plan.cases()] == list(dict.fromkeys(case.kernel for case in CASES))
    assert plan.models() == [FIRST]
    assert plan._replace(every_case=True).cases() == list(CASES)
    assert plan._replace(every_case=True).models() == list(MODELS)
    named = plan._replace(kernels=["embedding_fm", "step"])
    assert {case.kernel for case in named.cases()} == {"embedding_fm"} and len(named.cases()) > 1
    assert named.models() == [FIRST] and plan._replace(kernels=["matmul"]).models() == []
    assert [case.label for case in named._replace(only=frozenset({"embedding_fm-bags"})).cases()] == [
        "embedding_fm-bags"
    ]
    assert plan._replace(kernels=["step"]).cases() == []


@pytest.mark.parametrize("rows", [1000, 20_000, 1_000_000])
def test_field_sizes_sum_to_the_rows(rows: int) -> None:
    sizes = field_sizes(rows)
    assert sizes.sum() == rows and sizes.min() >= 4 and (sizes[1:] >= sizes[:-1]).all()


@pytest.mark.parametrize("name", sorted({kernel_case.ceiling for kernel_case in CASES}))
def test_ceilings_run_and_say_their_bytes(name: str) -> None:
    inputs = all_inputs(rows=1000, batch=8)[0]
    inputs.ceiling(name)
    expected = {"gather": 8 * 26 * 68, "bags": len(inputs.loose.ids) * 68, "fields": 2 * 8 * 26 * 64, "hidden": 25600}
    assert inputs.ceiling_bytes(name) == expected.get(name)


def test_tables_and_file_of_a_kernel_and_the_step(bench: Callable[..., Ran]) -> None:
    ran = bench("--backend", "numba", "reference", "--kernel", "embedding_gather", "step", "--json", "new.json")
    assert ran.status == 0
    for text in ("processor", "threads", "last cache", "load", "rows 1000", "batch 32", "GB/s", "ns a row", "GFLOP/s"):
        assert text in ran.out
    saved = json.loads(Path("new.json").read_text())
    assert list(saved) == ["fastfm-core bench", "machine", "settings", "ceilings", "figures"]
    assert {"date", "processor", "cores", "load", "python", "numpy", "threads"} <= set(saved["machine"])
    assert saved["settings"] == {"rounds": 2, "rows": 1000, "batch": 32}
    assert [ceiling["name"] for ceiling in saved["ceilings"]] == ["copy", "random rows", "gemm"]
    assert all(len(ceiling["seconds"]) == 2 and ceiling["per_second"] > 0 for ceiling in saved["ceilings"])
    found = [(figure["case"], figure["side"]) for figure in saved["figures"]]
    assert found == [(case, side) for case in ("embedding_gather", f"step-{FIRST}") for side in ("numba", "reference")]
    for figure in saved["figures"]:
        check_figure(figure, ran.out)


def check_figure(figure: dict[str, Any], printed: str) -> None:
    seconds, least = figure["seconds"], figure["ceiling_seconds"]
    assert len(seconds) == len(least) == 2 and figure["failure"] == ""
    assert figure["median"] == statistics.median(seconds)
    assert figure["share"] == pytest.approx(statistics.median(least) / figure["median"])
    expected = None if figure["kernel"] == "step" else 32 * 26 * 68
    assert figure["bytes"] == expected
    (line,) = [
        row for row in printed.splitlines() if row.split("|")[1:3] and figure["case"] in row and figure["side"] in row
    ]
    assert f"{figure['share']:.0%}" in line and f"{figure['median'] * 1e6:.0f}" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kernel", "embeding_fm"], "there is no kernel 'embeding_fm'; meant embedding_fm"),
        (["--kernel", "zzz"], "there is no kernel 'zzz'"),
        (["--backend", "nothing"], "unknown backend 'nothing'"),
        (["--rounds", "0"], "0 is no whole number"),
        (["--rows", "999"], "at least 1000"),
        (["--json", "no/folder.json"], "there is no folder"),
        (["--compare", "absent.json"], "absent.json: No such file"),
        (["--kernels", "absent.py"], "absent.py: no such file"),
    ],
)
def test_mistakes_cost_one_line(bench: Callable[..., Ran], options: list[str], message: str) -> None:
    ran = bench(*options)
    assert ran.status == 2 and ran.out == ""
    assert message in ran.err and len(ran.err.splitlines()) == 1
