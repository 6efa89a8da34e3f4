"""Batch norm folded into the layer before it, in float64, and ReLU made the layer's own: a graph with fewer nodes."""

from __future__ import annotations

import numpy as np

from fastfm_core.serving.graph import Node


def weights_of(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a layer."""
    return node.inputs[1].facts["array"], node.inputs[2].facts["array"]


def affine_of(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """Normalize as x factor + offset, float64."""
    gamma, beta = (node.inputs[n].facts["array"].astype(np.float64) for n in (1, 2))
    factor = gamma * node.facts["scale"]
    return factor, beta - node.facts["mean"] * factor


def folded(node: Node, done: dict[int, Node]) -> Node:
    """The node with batch norm folded into the layer before it, and ReLU made the layer's own; all below it, too."""
    if id(node) not in done:
        inputs = tuple(folded(x, done) for x in node.inputs)
        below = inputs[0] if inputs else node
        if node.op == "Normalize" and below.op == "Linear":
            (weight, bias), (factor, offset) = weights_of(below), affine_of(node)
            made = (weight * factor, bias * factor + offset)
            constants = (Node("Constant", array.shape, array=array) for array in made)
            done[id(node)] = Node("Linear", node.shape, (below.inputs[0], *constants))
        elif node.op == "ReLU" and below.op == "Linear":
            done[id(node)] = Node("LinearReLU", node.shape, below.inputs, rate=0.0)
        else:
            done[id(node)] = Node(node.op, node.shape, inputs, **node.facts)
    return done[id(node)]
