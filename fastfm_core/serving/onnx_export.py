"""A model as an ONNX file: its graph (``serving.graph``), each operation translated to operators of the standard.

    inputs   ids int64, [B, F] row numbers of the encoder's arena, or as bags [N] with offsets int64 [B*F + 1];
             values float32, of the ids' shape, where asked for; numbers float32 [B, I], where the model reads any
    outputs  logit, probability or prediction, float32 [B]

B is free, and so is N. ``serving.onnx_lookup`` says what an id outside of its field's rows is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastfm_core
from fastfm_core.contract import POOLINGS, Pooling
from fastfm_core.errors import InputError
from fastfm_core.serving import onnx_tables
from fastfm_core.serving.graph import Graph, Node, graph_of
from fastfm_core.serving.onnx_file import FLOAT, OnnxFile
from fastfm_core.serving.onnx_lookup import Bags, FieldRows, SingleIds
from fastfm_core.serving.onnx_tables import Tables

OUTPUTS = ("logit", "probability", "prediction")


def export_onnx(
    model: Any, path: str | Path, *, bags: bool | Sequence[bool] | np.ndarray = False, values: bool = False,
    pooling: Pooling = "sum", rows: FieldRows | None = None, outputs: Sequence[str] = ("logit",),
    metadata: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Writes a ``models.Model`` in evaluation mode, float32.

    bags      whether the fields have any number of entries a sample, all alike or [F]; else they have one each
    values    entries have values; else each is 1
    pooling   of the bags, as ``contract.Entries``; "none" is for models of one field
    rows      of the fields, and what stands for unknown ids; None: an id may name any row of its table, none is unknown
    outputs   logit; probability, its sigmoid; prediction, the logit of a regression by another name
    metadata  texts to keep in the file by their names

    Raises InputError for options that do not fit each other or the model, and where the package onnx is missing.
    """
    if pooling not in POOLINGS or not set(outputs) <= set(OUTPUTS) or not outputs:
        raise InputError(f"pooling is one of {', '.join(POOLINGS)}, outputs are some of {', '.join(OUTPUTS)}")
    several = np.broadcast_to(np.asarray(bags, bool), model.shape.fields)
    if pooling != "sum" and not several.any():
        raise InputError(f'pooling "{pooling}" is of bags: export with bags=True')
    file, graph = OnnxFile(), graph_of(model)
    if pooling == "none" and graph.fields > 1:
        raise InputError(f'pooling "none" is for samples without fields, the model has {graph.fields}')
    known = rows or rows_of(model)
    if {len(part) for part in known} != {graph.fields}:
        raise InputError(f"rows are those of {len(known.first)} fields, the model has {graph.fields}")
    entries = Bags(file, known, values, several, pooling) if several.any() else SingleIds(file, known, values)
    logit = translated(graph, file, entries)
    for name in outputs:
        value = sigmoid(file, logit) if name == "probability" else logit
        if entries.lost:
            value = file.op("Where", entries.lost, file.constant(np.nan), value)
        file.output(name, value, "batch")
    about = {"fastfm_core": fastfm_core.__version__, "pooling": pooling}
    file.save(path, type(model).__name__, about | dict(metadata or {}))


def rows_of(model: Any) -> FieldRows:
    """Where no encoder says what rows a field has: its own, if the model knows them, else all."""
    shape = model.shape
    unknown = np.full(shape.fields, -1)
    if shape.ranges is not None:
        return FieldRows(np.asarray(shape.ranges[0]), np.asarray(shape.ranges[1]), unknown)
    return FieldRows(np.zeros(shape.fields, np.int64), np.full(shape.fields, shape.rows), unknown)


def translated(graph: Graph, file: OnnxFile, entries: SingleIds | Bags) -> str:
    """The logit [B], node by node."""
    tables = Tables(graph, file, entries)
    found: dict[int, str] = {}

    def of_samples(node: Node) -> str:
        """The value with B in front, also of what is the same for all samples."""
        value = found[id(node)]
        return file.op("Expand", value, file.samples(*node.shape)) if node.op == "Constant" else value

    for node in graph.nodes():
        if node.op == "Constant":
            found[id(node)] = file.constant(node.facts["array"])
        elif node.op == "Numbers":
            found[id(node)] = file.input("numbers", FLOAT, "batch", *node.shape)
        elif node.op in onnx_tables.PARTS:
            found[id(node)] = tables.value(node)
        elif node.op == "Concatenate":
            found[id(node)] = concatenate(file, node, *map(of_samples, node.inputs))
        elif node.op not in OPERATIONS:
            raise InputError(f"no ONNX file has the operation {node.op}, which the model's forward pass calls")
        else:
            first, *others = node.inputs
            inputs = [of_samples(first), *(found[id(x)] for x in others)]
            found[id(node)] = OPERATIONS[node.op](file, node, *inputs)
    return of_samples(graph.logit)


def sigmoid(file: OnnxFile, logit: str) -> str:
    """1 / (1 + e^-z). The operator Sigmoid is off by percents in ONNX Runtime where probabilities are below 1e-5."""
    one = file.constant(1.0)
    return file.op("Div", one, file.op("Add", one, file.op("Exp", file.op("Neg", logit))))


def add(file: OnnxFile, node: Node, *terms: str) -> str:
    return file.op("Sum", *terms)


def multiply(file: OnnxFile, node: Node, left: str, right: str) -> str:
    return file.op("Mul", left, right)


def scale(file: OnnxFile, node: Node, x: str) -> str:
    return file.op("Mul", x, file.constant(float(node.facts["factor"])))


def inner(file: OnnxFile, node: Node, left: str, right: str) -> str:
    return file.reduce("Sum", file.op("Mul", left, right), 1)


def sum_fields(file: OnnxFile, node: Node, x: str) -> str:
    return file.reduce("Sum", x, 1)


def concatenate(file: OnnxFile, node: Node, *parts: str) -> str:
    columns = [part if x.shape else file.reshape(part, 1) for part, x in zip(parts, node.inputs, strict=True)]
    return file.op("Concat", *columns, axis=1)


def reshape(file: OnnxFile, node: Node, x: str) -> str:
    return file.reshape(x, *node.shape)


def as_vectors(file: OnnxFile, node: Node, x: str) -> str:
    return file.reshape(file.cut(x, 0, node.width, 1), *node.shape)


def take_fields(file: OnnxFile, node: Node, x: str) -> str:
    return file.take(x, node.facts["fields"], 1)


def linear(file: OnnxFile, node: Node, x: str, weight: str, bias: str) -> str:
    return file.op("Gemm", x, weight, bias)


def linear_relu(file: OnnxFile, node: Node, x: str, weight: str, bias: str) -> str:
    return file.op("Relu", linear(file, node, x, weight, bias))


def relu(file: OnnxFile, node: Node, x: str) -> str:
    return file.op("Relu", x)


def normalize(file: OnnxFile, node: Node, x: str, gamma: str, beta: str) -> str:
    """(x - mean) scale gamma + beta, scale and gamma as one."""
    slope = np.float64(node.facts["scale"]) * node.inputs[1].facts["array"]
    centred = file.op("Sub", x, file.constant(node.facts["mean"]))
    return file.op("Add", file.op("Mul", centred, file.constant(slope)), beta)


def field_linear(file: OnnxFile, node: Node, x: str, weight: str, bias: str) -> str:
    return file.op("Add", file.op("Einsum", x, weight, equation="bfk,fkd->bfd"), bias)


def project(file: OnnxFile, node: Node, x: str, weight: str) -> str:
    return file.op("MatMul", x, weight)


def bi_interaction(file: OnnxFile, node: Node, e: str) -> str:
    return onnx_tables.bi_interaction(file, e)


def fm(file: OnnxFile, node: Node, e: str) -> str:
    return file.reduce("Sum", onnx_tables.bi_interaction(file, e), 1)


def pair_interaction(file: OnnxFile, node: Node, e: str, *weights: str) -> str:
    """sum_p r_p <e_f, e_g> as sum_f <e_f, (R e)_f> with R_fg = r_p: nothing of size [B, P, D]."""
    fields, pairs = node.inputs[0].shape[0], node.facts["pairs"]
    matrix = np.zeros((fields, fields), np.float32)
    matrix[tuple(pairs.T)] = node.inputs[1].facts["array"] if weights else 1
    crossed = file.op("MatMul", file.constant(matrix), e)
    return file.reduce("Sum", file.op("Mul", e, crossed), 1, 2)


def pair_products(file: OnnxFile, node: Node, e: str) -> str:
    left, right = (file.take(e, places, 1) for places in node.facts["pairs"].T)
    if node.facts["product"] == "outer":
        left, right = (file.op("Unsqueeze", x, file.constant([axis])) for x, axis in ((left, 3), (right, 2)))
    product = file.op("Mul", left, right)
    product = file.reduce("Sum", product, 2) if node.facts["product"] == "inner" else product
    return file.reshape(product, *node.shape)


def pool_pairs(file: OnnxFile, node: Node, products: str) -> str:
    """0 without pairs."""
    how = node.facts["pooling"].capitalize() if node.inputs[0].shape[0] else "Sum"
    return file.reduce(how, products, 1)


OPERATIONS: dict[str, Callable[..., str]] = {
    "Add": add,
    "Multiply": multiply,
    "Scale": scale,
    "Inner": inner,
    "SumFields": sum_fields,
    "Reshape": reshape,
    "AsVectors": as_vectors,
    "TakeFields": take_fields,
    "Linear": linear,
    "LinearReLU": linear_relu,
    "ReLU": relu,
    "Normalize": normalize,
    "FieldLinear": field_linear,
    "Project": project,
    "BiInteraction": bi_interaction,
    "FM": fm,
    "PairInteraction": pair_interaction,
    "PairProducts": pair_products,
    "PoolPairs": pool_pairs,
}
