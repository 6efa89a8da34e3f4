"""The backward pass: visit nodes in reverse topological order and add up what each passes to its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastfm_core.autograd.function import Context
from fastfm_core.autograd.tensor import Tensor


def backward(roots: Sequence[Tensor], gradients: Sequence[Any]) -> None:
    """Add the sum over roots of d(root)/d(leaf) * gradient to each ``leaf.grad``. A tape is walked once, then freed."""
    pending: dict[Context, list[Any]] = {}
    for root, gradient in zip(roots, gradients, strict=True):
        _deliver(root, gradient, pending)
    for node in _topological(list(pending)):
        passed = node.function.backward(node, *pending.pop(node))
        for position, parent in node.parents():
            _deliver(parent, passed[position], pending)
        node.saved = ()


def _deliver(tensor: Tensor, grad: Any, pending: dict[Context, list[Any]]) -> None:
    """Add a gradient to a leaf's own, or to those that wait for the node that computed the tensor."""
    if tensor.node is None:
        tensor.grad = _sum(tensor.grad, grad)
    else:
        outputs = pending.setdefault(tensor.node, [None] * tensor.node.outputs)
        outputs[tensor.index] = _sum(outputs[tensor.index], grad)


def _sum(total: Any, grad: Any) -> Any:
    """total + grad, where None is zero. Never in place: the arrays may be shared."""
    return grad if total is None else total if grad is None else total + grad


def _topological(roots: list[Context]) -> list[Context]:
    """Nodes below the roots, each before all nodes whose outputs it consumed. Iterative: depth costs no stack."""
    order: list[Context] = []
    seen: set[Context] = set()
    stack = [(root, False) for root in roots]
    while stack:
        node, finished = stack.pop()
        if finished:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent.node, False) for _, parent in node.parents() if parent.node is not None)
    return order[::-1]
