"""The graph of a model: what its forward pass computes of a sample, as nodes that others can translate.

A model's forward pass runs once, in evaluation mode, on two made-up samples, with stand-ins for its embeddings. What it
leaves on the tape, read back from the logits to the stand-ins, is the graph: no model describes itself a second time.

A node's shape is that of one sample: () for a number, (K,), (F, D). Its ``op`` is one of

    First, Pairs, Vectors  of a ``lookup``: sum_s w_s (); sum_{s<t} <e_s, e_t> (); the vectors e_s (F, D)
    Numbers                the batch's raw numbers (I,)
    Constant               ``array``, a parameter or other numbers that are the same for all samples
    or a function of fastfm_core.ops, by its class: Add, Multiply, Scale, Inner, SumFields, Concatenate, Reshape,
    AsVectors, TakeFields, Linear, LinearReLU, ReLU, Normalize, FieldLinear, Project, BiInteraction, FM,
    PairInteraction, PairProducts, PoolPairs; its options are the node's facts
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.contract import Batch, Entries
from fastfm_core.errors import InputError
from fastfm_core.nn import FieldEmbedding, Module
from fastfm_core.nn.mixed_embedding import Arena

NOT_FACTS = ("key", "shape")  # of dropout, which passes; of all samples, which a node's own shape says better


class Lookup(NamedTuple):
    """The fields of one table that are looked up together.

    table   [V, D]; [V, 0] for a first order alone
    linear  [V] first-order weights, maybe a column of the table's rows; None: there are none
    fields  [F] their positions among the fields of a batch
    shifts  [F] what the batch's ids of each field go down by to be rows of the table
    """

    table: np.ndarray
    linear: np.ndarray | None
    fields: tuple[int, ...]
    shifts: tuple[int, ...]

    def of(self, fields: tuple[int, ...]) -> Lookup:
        """Of those fields alone, a subset of its own."""
        shifts = dict(zip(self.fields, self.shifts, strict=True))
        return self._replace(fields=fields, shifts=tuple(shifts[field] for field in fields))


class Node:
    """One value of a sample.

    op      see above
    inputs  the nodes it is computed from
    shape   of a sample's value
    facts   what else the operation is told: ``lookup``, ``array``, and the options of fastfm_core.ops
    """

    def __init__(self, op: str, shape: tuple[int, ...], inputs: tuple[Node, ...] = (), **facts: Any) -> None:
        self.op, self.shape, self.inputs, self.facts = op, tuple(shape), inputs, facts

    @property
    def width(self) -> int:
        """How many numbers it is."""
        return int(np.prod(self.shape))

    def __repr__(self) -> str:
        return f"{self.op}{list(self.shape)}"


class Graph(NamedTuple):
    """A model's logit and what a batch must have: F fields and I raw numbers a sample."""

    logit: Node
    fields: int
    numbers: int

    def nodes(self) -> Iterator[Node]:
        """Each node once, after its inputs."""
        seen: set[int] = set()
        stack = [(self.logit, False)]
        while stack:
            node, finished = stack.pop()
            if finished:
                yield node
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack.extend((x, False) for x in reversed(node.inputs))


def graph_of(model: Any) -> Graph:
    """The graph of a ``models.Model``. Its constants and tables are the model's own arrays, or copies from a device.

    Raises InputError for a forward pass that computes with something else than fastfm_core.ops.
    """
    model.state_dict()  # brings rows that are behind their optimizer's steps to the present
    return _Recorder(model).graph()


class _Recorder:
    """Runs one forward pass of a shadow of the model and reads its tape."""

    def __init__(self, model: Any) -> None:
        self.model, self.backend = model, model.backend
        self.dtype = next(tensor.data.dtype for _, tensor in model.named_tensors())
        fields, numbers = model.shape.fields, model.shape.dense
        dense = self.backend.to_device(np.zeros((2, numbers), self.dtype)) if numbers else None
        ids = self.backend.to_device(np.zeros(2 * fields, np.int32))
        self.batch = Batch(Entries(ids, fields), dense)
        self.leaves: dict[int, Node] = {}
        self.kept: list[Tensor] = []  # so that no id is given twice

    def graph(self) -> Graph:
        shadow = self.shadow(self.model, tuple(range(self.model.shape.fields)), None)
        logits = shadow.forward(self.batch)
        return Graph(self.read(logits), self.model.shape.fields, self.model.shape.dense)

    def shadow(self, module: Any, fields: tuple[int, ...], shifts: Any) -> Any:
        """A copy in evaluation mode whose embeddings are stand-ins and whose parameters are known leaves."""
        if isinstance(module, FieldEmbedding):
            return _StandIn(self, module, fields, shifts)
        if isinstance(module, Arena):
            fields, shifts = tuple(module.fields.tolist()), tuple(module.shifts.tolist())
        made = copy.copy(module)
        made.training = False
        for name, value in vars(module).items():
            if isinstance(value, Tensor):
                setattr(made, name, self.parameter(value))
            elif isinstance(value, Module):
                setattr(made, name, self.shadow(value, fields, shifts))
            elif isinstance(value, list):
                setattr(made, name, [self.shadow(x, fields, shifts) if isinstance(x, Module) else x for x in value])
        return made

    def parameter(self, tensor: Tensor) -> Tensor:
        return self.leaf(tensor.data, Node("Constant", tensor.data.shape, array=self.backend.to_host(tensor.data)))

    def leaf(self, data: Any, node: Node) -> Tensor:
        """A tensor that stands for a node on the tape."""
        tensor = Tensor(data, self.backend, requires_grad=True)
        self.kept.append(tensor)
        self.leaves[id(tensor)] = node
        return tensor

    def made_up(self, node: Node) -> Tensor:
        """The leaf of a looked-up part: two samples of it."""
        return self.leaf(self.backend.xp.zeros((2, *node.shape), self.dtype), node)

    def read(self, tensor: Tensor) -> Node:
        """The node of a tensor on the tape."""
        if id(tensor) in self.leaves:
            return self.leaves[id(tensor)]
        if tensor.node is None:
            node = self.without_tape(tensor)
        else:
            context = tensor.node
            inputs = tuple(self.read(x) for x in context.inputs if isinstance(x, Tensor))
            facts = {
                name: self.on_host(value) for name, value in context.options.items() if name not in ("key", "shape")
            }
            node = Node(context.function.__name__.strip("_"), tensor.data.shape[1:], inputs, **facts)
        self.kept.append(tensor)
        self.leaves[id(tensor)] = node
        return node

    def without_tape(self, tensor: Tensor) -> Node:
        """The batch's numbers, or an array that the model made, the same for all samples."""
        if tensor.data is self.batch.dense:
            return Node("Numbers", tensor.data.shape[1:])
        array = self.backend.to_host(tensor.data)
        if len(array) != 2 or (array[0] != array[1]).any():
            raise InputError(f"{type(self.model).__name__}: its forward pass uses an array that has no known source")
        return Node("Constant", array.shape[1:], array=array[0])

    def on_host(self, value: Any) -> Any:
        return self.backend.to_host(value) if hasattr(value, "shape") else value


class _StandIn:
    """Stands where a FieldEmbedding stands, and gives leaves in place of what is looked up."""

    def __init__(self, recorder: _Recorder, embedding: FieldEmbedding, fields: tuple[int, ...], shifts: Any) -> None:
        self.recorder, self.dim, self.uses = recorder, embedding.dim, embedding.uses
        self.crosses = None if embedding.crosses is None else recorder.shadow(embedding.crosses, fields, shifts)
        to_host, dim = recorder.backend.to_host, embedding.dim
        table, linear = to_host(embedding.table.data), None
        if embedding.lane:
            table, linear = table[:, :dim], table[:, dim]
        elif embedding.separate:
            linear = to_host(embedding.linear.data)
        self.whole = Lookup(table, linear, fields, shifts or (0,) * len(fields))
        self.made: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def __call__(self, batch: Batch, *parts: str) -> list[Tensor]:
        return [getattr(self, part)(batch) for part in parts]

    def lookup(self, part: str) -> Lookup:
        """Of the fields that take part."""
        taking = np.ones(len(self.whole.fields), bool) if self.uses is None else getattr(self.uses, part)
        return self.whole.of(tuple(field for field, takes in zip(self.whole.fields, taking, strict=True) if takes))

    def leaf(self, op: str, lookup: Lookup, *shape: int) -> Tensor:
        """The same tensor for the same fields."""
        key = op, lookup.fields
        if key not in self.made:
            absent = not lookup.fields or (op == "Pairs" and not self.dim)
            zero = Node("Constant", shape, array=np.zeros(shape, self.recorder.dtype))
            self.made[key] = self.recorder.made_up(zero if absent else Node(op, shape, lookup=lookup))
        return self.made[key]

    def first(self, batch: Batch) -> Tensor:
        return self.leaf("First", self.lookup("first"))

    def pairs(self, batch: Batch) -> Tensor:
        if self.crosses is not None:
            return self.crosses(self.vectors(batch))
        return self.leaf("Pairs", self.lookup("pairs"))

    def vectors(self, batch: Batch, part: str = "pairs") -> Tensor:
        lookup = self.lookup(part)
        return self.leaf("Vectors", lookup, len(lookup.fields), self.dim)

    def deep(self, batch: Batch) -> Tensor:
        side_by_side = ops.flatten(self.vectors(batch, "deep"))
        if batch.dense is None:
            return side_by_side
        return ops.concatenate(side_by_side, Tensor(batch.dense, self.recorder.backend))
