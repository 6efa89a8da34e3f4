"""The backward pass: visit nodes in reverse topological order and add up what each passes to its inputs."""

from __future__ import annotations

from typing import Any

from fastfm_core.autograd.function import Context
from fastfm_core.autograd.tensor import Tensor


def backward(root: Tensor, gradient: Any) -> None:
    """Accumulate d(root)/d(leaf) * gradient into ``leaf.grad``. A tape can be walked once: it frees what it saved."""
    if root.node is None:
        root.grad = accumulate(root.grad, gradient)
        return
    pending: dict[Context, list[Any]] = {root.node: [None] * root.node.outputs}
    pending[root.node][root.index] = gradient
    for node in _topological(root.node):
        passed = node.function.backward(node, *pending.pop(node))
        for position, parent in node.parents():
            grad = passed[position]
            if parent.node is None:
                parent.grad = accumulate(parent.grad, grad)
            else:
                outputs = pending.setdefault(parent.node, [None] * parent.node.outputs)
                outputs[parent.index] = accumulate(outputs[parent.index], grad)
        node.saved = ()


def accumulate(total: Any, grad: Any) -> Any:
    """total + grad, where None is zero. Never in place: the arrays may be shared."""
    if total is None or grad is None:
        return grad if total is None else total
    return total + grad


def _topological(root: Context) -> list[Context]:
    """Contexts below ``root``, each before all nodes whose outputs it consumed. Iterative: depth costs no stack."""
    order: list[Context] = []
    seen: set[Context] = set()
    stack: list[tuple[Context, bool]] = [(root, False)]
    while stack:
        node, finished = stack.pop()
        if finished:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent.node, False) for _, parent in node.parents() if parent.node is not None)
    return order[::-1]
