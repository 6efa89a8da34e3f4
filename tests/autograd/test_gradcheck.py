"""gradcheck passes what is right and catches what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawing import draw_entries, draw_tensor

from fastfm_core import backends, ops
from fastfm_core.autograd import Tensor, gradcheck

from .functions import Product, SquareAndCube, WrongSine

REFERENCE = backends.get("reference")


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), REFERENCE, requires_grad=True)


def test_right_gradients_pass() -> None:
    gradcheck(Product.apply, [leaf(1.0, 2.0), leaf(3.0, -4.0)])
    gradcheck(SquareAndCube.apply, [leaf(1.0, 2.0)])


def test_a_planted_error_is_found() -> None:
    with pytest.raises(AssertionError, match=r"input 0: tape says .*, differences say"):
        gradcheck(WrongSine.apply, [leaf(0.3, -1.0, 2.0)])


def test_an_error_in_the_second_input_names_it() -> None:
    with pytest.raises(AssertionError, match="input 1"):
        gradcheck(lambda x, y: Product.apply(x, WrongSine.apply(y)), [leaf(0.5, 2.0), leaf(0.3, -1.0)])


def test_a_wrong_lazy_gradient_is_found() -> None:
    """A row source that forgets the term of the row itself, as a wrong fused kernel would."""
    random = np.random.default_rng(1)
    entries, table = draw_entries(random), draw_tensor(REFERENCE, random, 9, 4)

    def forgetful(table: Tensor) -> Any:
        _, pairs, _ = ops.embedding_fm(table, None, entries)
        backward = pairs.node.function.backward

        class Forgetful(pairs.node.function):
            @staticmethod
            def backward(context: Any, *grads: Any) -> tuple[Any, ...]:
                lazy, *rest = backward(context, *grads)
                plan, source = lazy.parts[0]
                lazy.parts = [(plan, source._replace(slot_values=np.zeros((entries.slots, 4))))]
                return lazy, *rest

        pairs.node.function = Forgetful
        return pairs

    gradcheck(lambda t: ops.embedding_fm(t, None, entries), [table])
    with pytest.raises(AssertionError, match="input 0"):
        gradcheck(forgetful, [table])


def test_a_gradient_that_never_arrives_is_found() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    with pytest.raises(AssertionError, match=r"input 1: tape says 0, "):
        gradcheck(lambda x, y: Product.apply(x, Tensor(y.data, REFERENCE)), [x, y])


def test_float32_is_refused() -> None:
    x = Tensor(np.ones(2, np.float32), REFERENCE, requires_grad=True)
    with pytest.raises(AssertionError, match="float64"):
        gradcheck(SquareAndCube.apply, [x])


def test_inputs_are_restored() -> None:
    x, constant = leaf(1.0, 2.0), Tensor(np.array([5.0, 6.0]), REFERENCE)
    gradcheck(Product.apply, [x, constant])
    assert x.data.tolist() == [1.0, 2.0] and constant.data.tolist() == [5.0, 6.0] and constant.grad is None
