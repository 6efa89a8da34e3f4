"""The backward pass: visit nodes in reverse topological order and add up what each passes to its inputs."""

from __future__ import annotations

from typing import Any

from fastfm_core.autograd.function import Context
from fastfm_core.autograd.tensor import Tensor


def backward(roots: list[Tensor], gradients: list[Any]) -> None:
    """Add the sum over roots of d(root)/d(leaf) * gradient to each ``leaf.grad``. A tape is walked once, then freed."""
    pending: dict[Context, list[Any]] = {}
    for root, gradient in zip(roots, gradients, strict=True):
        _deliver(root, gradient, pending)
    for node in _topological(list(pending)):
        for tensor, grad in node.backward(pending.pop(node)):
            _deliver(tensor, grad, pending)


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
            stack.extend([(x.node, False) for x in node.tensors if x.node is not None])
    return order[::-1]
