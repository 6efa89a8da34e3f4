"""A kernel of the user's own: judged by the same cases, refused and named when it is wrong. The page's example runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfm_core import backends
from fastfm_core.bench import register, registry
from fastfm_core.bench.cases import CASES, Inputs, all_inputs
from fastfm_core.bench.checks import mistake, truth_of
from fastfm_core.errors import InputError

from .conftest import Ran

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
BY_LABEL = {kernel_case.label: kernel_case for kernel_case in CASES}


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return all_inputs(rows=1000, batch=16)[0]


def test_the_page_s_example_is_checked_and_timed(bench: Callable[..., Ran]) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    Path("mine.py").write_text(example)
    ran = bench("--backend", "reference", "--kernels", "mine.py", "--json", "mine.json")
    assert ran.status == 0
    figures = json.loads(Path("mine.json").read_text())["figures"]
    assert [(f["case"], f["side"], len(f["seconds"])) for f in figures] == [
        ("embedding_gather", "reference", 2),
        ("embedding_gather", "mine", 2),
    ]
    assert "| mine " in ran.out


def test_the_page_s_commands_are_those_of_the_program(
    bench: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastfm_core import cli

    (commands,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in commands.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "fastfm-core" and cli.build_parser().parse_args(arguments).command == "bench"
    defaults = cli.build_parser().parse_args(["bench"])
    assert (defaults.rows, defaults.batch) == (1_000_000, 4096) and "4,096 samples" in PAGE


def test_a_wrong_kernel_is_named_and_not_timed(bench: Callable[..., Ran]) -> None:
    register("embedding_gather", lambda table, ids: table[ids] * 1.01, name="rough")
    register("embedding_gather", lambda table, ids: np.full_like(table[ids], np.inf), name="infinite")
    ran = bench("--backend", "reference", "--kernel", "embedding_gather", "--json", "wrong.json")
    assert ran.status == 1
    assert "embedding_gather on rough is not timed: array 1 of 1: its largest error is" in ran.err
    assert "embedding_gather on infinite is not timed" in ran.err
    assert [line for line in ran.out.splitlines() if "rough" in line and "not timed" in line]
    found = {f["side"]: f for f in json.loads(Path("wrong.json").read_text())["figures"]}
    assert found["rough"]["seconds"] == [] and "median" not in found["rough"] and found["rough"]["failure"]
    assert len(found["reference"]["seconds"]) == 2


def test_a_kernel_that_raises_is_named_with_its_error(bench: Callable[..., Ran]) -> None:
    def broken(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
        raise IndexError("far\nout")

    register("embedding_gather", broken, name="broken")
    ran = bench("--backend", "reference", "--kernel", "embedding_gather")
    assert ran.status == 1 and "embedding_gather on broken is not timed: it raises IndexError: far out" in ran.err


@pytest.mark.parametrize(
    ("label", "spoil", "message"),
    [
        ("embedding_gather", lambda found: found[:-1], "its shape is"),
        ("embedding_gather", lambda found: (found, found), "it returns and changes 2 arrays, not 1"),
        ("embedding_gather", lambda found: np.where(found == found.max(), np.nan, found), "its largest error is nan"),
        ("embedding_gather", lambda found: found.astype(str), "its dtype is"),
        ("plan_rows", lambda plan: plan._replace(order=plan.order[::-1]), "elements differ"),
    ],
)
def test_what_is_wrong_is_said(label: str, spoil: Callable[[Any], Any], message: str, inputs: Inputs) -> None:
    kernel_case = BY_LABEL[label]
    right, truth = getattr(backends.get("reference"), kernel_case.kernel), truth_of(kernel_case, inputs)
    wrong = mistake(lambda *arguments: spoil(right(*arguments)), kernel_case, inputs, truth)
    assert wrong is not None and message in wrong
    assert mistake(right, kernel_case, inputs, truth) is None


def test_what_a_kernel_changes_in_place_is_checked(inputs: Inputs) -> None:
    kernel_case = BY_LABEL["update_rows_sgd_"]
    truth = truth_of(kernel_case, inputs)
    before = inputs.table.copy()
    assert "largest error" in str(mistake(lambda *arguments, lr: None, kernel_case, inputs, truth))
    np.testing.assert_array_equal(inputs.table, before)


@pytest.mark.parametrize("label", BY_LABEL)
@pytest.mark.parametrize("name", [name for name in ("numba", "native") if name in backends.available()])
def test_backends_pass_every_case(label: str, name: str, inputs: Inputs) -> None:
    kernel_case = BY_LABEL[label]
    kernel = getattr(backends.get(name), kernel_case.kernel)
    assert mistake(kernel, kernel_case, inputs, truth_of(kernel_case, inputs)) is None


def test_register_says_what_is_wrong() -> None:
    with pytest.raises(InputError, match="there is no kernel 'gather'; meant embedding_gather"):
        register("gather", len, name="mine")
    with pytest.raises(InputError, match="cannot be called"):
        register("embedding_gather", 3, name="mine")  # type: ignore[arg-type]
    for name in ("native", ""):
        with pytest.raises(InputError, match="is taken"):
            register("embedding_gather", len, name=name)
    register("embedding_gather", len, name="mine")
    register("embedding_gather", max, name="mine")
    assert registry.registered() == {"embedding_gather": {"mine": max}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "mine.py: registers no kernel"),
        ("\n1 / 0\n", "mine.py:2: ZeroDivisionError: division by zero"),
        ("def f(:\n", "mine.py: SyntaxError"),
        ("from fastfm_core.bench import register\nregister('fm', len, name='a')\n", "mine.py: there is no kernel 'fm'"),
    ],
)
def test_a_file_of_kernels_that_fails_costs_one_line(text: str, message: str, bench: Callable[..., Ran]) -> None:
    Path("mine.py").write_text(text)
    ran = bench("--kernels", "mine.py")
    assert ran.status == 2 and ran.out == ""
    assert ran.err.startswith(f"fastfm-core: {message}") and len(ran.err.splitlines()) == 1
