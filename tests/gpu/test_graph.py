"""A captured step: replayed with other ids, rates and steps it has the bits of the same steps taken one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from devices import DEVICE, cupy_module, import_with_cupy

from fastfm_core.contract import DropoutKey, Entries, RowSource

cuda: Any = import_with_cupy("fastfm_core.backends.cuda")
Graph: Any = import_with_cupy("fastfm_core.backends.cuda.graph").Graph
xp = cuda.xp
SAMPLES, FIELDS, DIM, ROWS = 40, 3, 4, 30
RULES: dict[str, tuple[int, dict[str, Any]]] = {
    "sgd": (0, {}), "adagrad": (1, {}), "rowwise_adagrad": (1, {}), "adam": (2, {"step": None}),
    "adamw": (2, {"step": None, "weight_decay": 0.1}), "ftrl": (2, {"l1": 1e-3}),
}  # fmt: skip


class Sparse:
    """Lookup, plan and update of one table, all of whose inputs lie on the device."""

    def __init__(self, rule: str) -> None:
        draw = np.random.default_rng(0)
        self.rule, (states, self.options) = rule, RULES[rule]
        self.table = xp.asarray(draw.standard_normal((ROWS, DIM)).astype(np.float32))
        shape = (ROWS,) if rule == "rowwise_adagrad" else (ROWS, DIM)
        self.states = [xp.zeros(shape, np.float32) for _ in range(states)]
        self.linear = xp.zeros(ROWS, np.float32)
        self.ids = xp.zeros(SAMPLES * FIELDS, np.int32)
        self.grad = xp.asarray(draw.standard_normal(SAMPLES).astype(np.float32))
        self.lr, self.step = xp.full(1, 0.1), xp.full(1, 1)

    def load(self, number: int) -> None:
        """The inputs of that step, by copies into the arrays that stay."""
        draw = np.random.default_rng(number)
        self.ids.set((draw.zipf(1.3, SAMPLES * FIELDS) % ROWS).astype(np.int32))
        self.lr.set(np.full(1, 0.1 / number))
        self.step.set(np.full(1, number))

    def work(self) -> Any:
        entries = Entries(self.ids, FIELDS)
        out = cuda.embedding_fm(self.table, self.linear, entries, None, deep=False)
        source = RowSource(FIELDS, pair_grad=self.grad, sums=out.sums)
        plan = cuda.plan_rows(self.ids, ROWS)
        options = {key: self.step if key == "step" else value for key, value in self.options.items()}
        update = getattr(cuda, f"update_rows_{self.rule}_")
        update(self.table, *self.states, plan, source, lr=self.lr, **options)
        return out.pair

    def numbers(self) -> list[np.ndarray]:
        return [array.get() for array in (self.table, *self.states)]


@pytest.mark.parametrize("rule", RULES)
def test_replays_have_the_bits_of_steps_taken_one_by_one(rule: str) -> None:
    eager, captured = Sparse(rule), Sparse(rule)
    with cupy_module():
        eager.load(1)
        eager.work()
        captured.load(1)
        graph = Graph(captured.work)
        for number in range(2, 6):
            for side in (eager, captured):
                side.load(number)
            pair = eager.work()
            graph.replay()
            np.testing.assert_array_equal(graph.outputs.get(), pair.get())
            for expected, found in zip(eager.numbers(), captured.numbers(), strict=True):
                np.testing.assert_array_equal(found, expected)


def test_numbers_in_device_memory_are_those_of_the_host() -> None:
    """Learning rate and step, and the seed and step of a dropout."""
    there, here = Sparse("adam"), Sparse("adam")
    for number in (1, 7):
        there.load(number)
        here.load(number)
        there.work()
        here.lr, here.step = 0.1 / number, number
        here.work()
        here.lr, here.step = xp.full(1, 0.1), xp.full(1, 1)
    for expected, found in zip(here.numbers(), there.numbers(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    x = xp.ones((7, 9), np.float32)
    seed = 12_345_678_901
    expected = cuda.dropout(x, 0.4, DropoutKey(seed, 3, 2)).get()
    live = DropoutKey(xp.full(1, seed), xp.full(1, 3), 2)
    np.testing.assert_array_equal(cuda.dropout(x, 0.4, live).get(), expected)
    y = xp.ones((7, 9), np.float32)
    cuda.bias_relu_dropout_(y, xp.zeros(9, np.float32), 0.4, live)
    np.testing.assert_array_equal(y.get(), expected)


@pytest.mark.skipif(DEVICE, reason="a device says so itself, in words of its own")
def test_what_waits_or_is_no_kernel_is_not_captured() -> None:
    x = xp.ones(4, np.float32)
    for work, words in ((lambda: x.get(), "within a capture"), (lambda: x + x, "add is not captured")):
        stream = xp.cuda.Stream()
        stream.begin_capture()
        with pytest.raises(RuntimeError, match=words):
            work()
        stream.end_capture()
