"""The emulator finds what it says it finds: every check with a kernel that is right and one that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from emulated_cupy.raw_module import EmulationError, settings

from . import toys
from .processes import run_module, sanitized

MESSAGES = {
    "two_barriers": "other threads of the block wait at the barrier of toys",
    "leave_early": "left",
    "lack_caller": "mask 0000ffff lacks the calling lane|meets the one of toys",
    "other_operation": "meets the one of toys",
    "outside_mask": "reads lane 20, which mask 0000ffff lacks",
    "left_lanes": "have left|has left",
    "spin": "spins without end",
    "much_shared": "more than a kernel may declare",
}
RACES = ["mirror", *toys.THREAD]
FOUND = {
    "past_end": "AddressSanitizer: use-after-poison",
    "past_shared": "AddressSanitizer: use-after-poison",
    "misaligned": "load of misaligned address|reference binding to misaligned address",
    "overflow": "signed integer overflow",
}


@pytest.fixture(autouse=True)
def seed_restored() -> Iterator[None]:
    before = settings.seed
    yield
    settings.seed = before


def results(kernel: str, right: bool, seeds: int = 20) -> list[np.ndarray]:
    made = []
    for settings.seed in range(seeds):
        made.append(toys.run(kernel, right))
    return made


@pytest.mark.parametrize("kernel", [*toys.PLAIN, *toys.ADDRESS, *toys.THREAD])
def test_a_right_kernel_gives_the_same_bits_in_every_order(kernel: str) -> None:
    made = results(kernel, right=True)
    assert all(y.tobytes() == made[0].tobytes() for y in made) and np.isfinite(made[0]).all()


@pytest.mark.parametrize("kernel", MESSAGES)
def test_a_wrong_kernel_is_named_by_line_block_and_thread(kernel: str) -> None:
    for settings.seed in range(5):
        with pytest.raises(EmulationError, match=MESSAGES[kernel]) as error:
            toys.run(kernel, right=False)
        assert f"{kernel}<false>: " in str(error.value) and "block (" in str(error.value)
        assert toys.line_of(kernel) in str(error.value)


def test_threads_that_wait_for_each_other_are_a_deadlock() -> None:
    with pytest.raises(EmulationError, match=r"toys:\d+: block \(0, 0, 0\), thread .*deadlock: .* never come"):
        toys.run("wait_for_each_other", right=False)
    toys.run("wait_for_each_other", right=True)


@pytest.mark.parametrize("kernel", ["mirror", "even_sum"])
def test_shared_memory_is_not_a_number_until_it_is_written(kernel: str) -> None:
    assert all(np.isnan(y).any() for y in results(kernel, right=False))


def test_what_depends_on_the_order_of_threads_differs_between_seeds() -> None:
    assert len({y.tobytes() for y in results("append", right=False)}) == 20
    settings.seed = 3
    again = toys.run("append", right=False)
    assert again.tobytes() == results("append", right=False)[3].tobytes()


@sanitized
@pytest.mark.parametrize(("mode", "kernels"), [("address", toys.ADDRESS), ("thread", RACES)])
def test_sanitizers_find_nothing_in_right_kernels(mode: str, kernels: list[str]) -> None:
    done = run_module(mode, "toys", "right", *kernels, *toys.BARRIERS, *toys.WARPS)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@sanitized
@pytest.mark.parametrize("kernel", toys.ADDRESS)
def test_the_line_of_a_wrong_access_is_found(kernel: str) -> None:
    done = run_module("address", "toys", "wrong", kernel)
    assert done.returncode != 0 and re.search(FOUND[kernel], done.stderr), done.stderr
    assert toys.line_of(kernel) in done.stderr


@sanitized
def test_the_lines_of_races_are_found() -> None:
    done = run_module("thread", "toys", "wrong", *RACES)
    assert done.returncode != 0
    reports = done.stderr.split("WARNING: ThreadSanitizer: ")[1:]
    assert all(report.startswith("data race") for report in reports)
    for kernel in RACES:
        assert any(f"{kernel}<false>" in report and toys.line_of(kernel) in report for report in reports), kernel


@sanitized
@pytest.mark.parametrize("mode", ["address", "thread"])
def test_an_error_under_a_sanitizer_is_no_other_error(mode: str) -> None:
    done = run_module(mode, "toys", "wrong", "leave_early")
    assert toys.line_of("leave_early") in done.stderr and "Sanitizer" not in done.stderr
    assert done.returncode == 1
