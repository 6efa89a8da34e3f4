"""ONNX Runtime: inference on a graph of Gather, ReduceSum and MatMul, built here node by node.

Settings are the session's threads: "spin" all of them, waiting actively, as by default; "calm" all of them, without
spinning; "one" a single thread, which is the fastest for the smallest batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.referee.problem import Problem
from benchmarks.referee.worker import THREADS, main
from fastfm_core.bench.workload import FIELDS


class Graph:
    """Nodes and constants, by name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, array: Any) -> str:
        """Adds an array."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Adds a node with one output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output


def model_of(problem: Problem) -> Any:
    """The FM, or DeepFM: ids [B, F] int64 and, with an MLP, numbers [B, I] -> logits [B]."""
    graph, rows = Graph(), problem.rows
    fields, dims = graph.constant("fields", np.array([1])), graph.constant("dims", np.array([1]))
    e = graph.node("Gather", [graph.constant("table", rows[:, : problem.dim]), "ids"], "e", axis=0)
    w = graph.node("Gather", [graph.constant("linear", rows[:, problem.dim]), "ids"], "w", axis=0)
    first = graph.node("ReduceSum", [w, fields], "first", keepdims=0)
    total = graph.node("ReduceSum", [e, fields], "total", keepdims=0)
    of_squares = graph.node("ReduceSumSquare", [e, fields], "of_squares", keepdims=0)
    difference = graph.node("Sub", [graph.node("Mul", [total, total], "square"), of_squares], "difference")
    pairs = graph.node("ReduceSum", [difference, dims], "pairs", keepdims=0)
    half = graph.node("Mul", [pairs, graph.constant("half", np.float32(0.5))], "half_pairs")
    output = graph.node("Add", [first, half], "shallow")
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", FIELDS])]
    if problem.hidden:
        inputs.append(helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["B", problem.numbers.shape[1]]))
        output = graph.node("Add", [output, deep(graph, problem)], "logits")
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["B"])]
    made = helper.make_graph(graph.nodes, "model", inputs, outputs, graph.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def deep(graph: Graph, problem: Problem) -> str:
    """The MLP's nodes; their output is [B]."""
    flat = graph.node("Reshape", ["e", graph.constant("flat_shape", np.array([0, -1]))], "flat")
    x = graph.node("Concat", [flat, "numbers"], "inputs", axis=1)
    for number, weight in enumerate(problem.layers):
        bias = graph.constant(f"bias{number}", np.zeros(weight.shape[1], np.float32))
        x = graph.node("Gemm", [x, graph.constant(f"weight{number}", weight), bias], f"product{number}")
        if number < len(problem.layers) - 1:
            x = graph.node("Relu", [x], f"hidden{number}")
    return graph.node("Squeeze", [x, graph.constant("last", np.array([1]))], "deep")


class Score:
    """Logits of batches that are given."""

    def __init__(self, problem: Problem, settings: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1 if settings == "one" else THREADS
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings == "spin")))
        file = model_of(problem).SerializeToString()
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.feeds = [self._feed(problem, problem.samples(number)) for number in range(problem.batches)]

    @staticmethod
    def _feed(problem: Problem, samples: np.ndarray) -> dict[str, np.ndarray]:
        feed = {"ids": problem.ids[samples].astype(np.int64)}
        return feed | ({"numbers": problem.numbers[samples]} if problem.hidden else {})

    def __call__(self, number: int) -> Any:
        return self.session.run(None, self.feeds[number % len(self.feeds)])[0]


def build(problem: Problem, kind: str, settings: str) -> Any:
    """Inference alone."""
    return Score(problem, settings) if kind in ("kernel", "score") else None


if __name__ == "__main__":
    main(build)
