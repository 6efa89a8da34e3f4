"""Each operation of a graph as instructions of the C++ scorer: a function an operation, and the table of them.

A translation is told where to build (``Programs``), the node, and the values of its inputs. The first order is split by
sides. The sum over pairs is P_U + P_I + <S_U, S_I>, P being that of a side's fields and S the sum of their vectors. A
layer is x_U W_U + b + x_I W_I, and only what comes after it depends on the pair of user and item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastfm_core.errors import InputError
from fastfm_core.serving.folding import affine_of, weights_of
from fastfm_core.serving.graph import Node
from fastfm_core.serving.values import (
    FUSED,
    ITEM,
    PAIR,
    ROW,
    USER,
    Columns,
    Fixed,
    Segments,
    Sum,
    Value,
    cut,
    identity,
    merged,
    side_of,
    terms_of,
)

ADDING = ("Add", "Scale", "ReLU")  # these take sums that nobody has added up
NUMBERS = {USER: 0, ITEM: 0, FUSED: 1}  # which given matrix has a side's raw numbers


def translate(programs: Any, node: Node, inputs: list[Any]) -> Value:
    """The value of a node. InputError for an operation that has no translation."""
    if node.op not in TRANSLATIONS:
        raise InputError(f"the scorer does not know the operation {node.op}, which the model's forward pass calls")
    return TRANSLATIONS[node.op](programs, node, *inputs)


# ---- what is looked up or given -------------------------------------------------------------------------------------


def first(programs: Any, node: Node) -> Value:
    return Sum([([part], 1.0) for _, part in programs.looked_up(node.facts["lookup"], "first").values()])


def pairs(programs: Any, node: Node) -> Value:
    lookup = node.facts["lookup"]
    terms: list[Any] = [([part], 1.0) for _, part in programs.looked_up(lookup, "pairs").values()]
    if len(terms) == 2:
        user, item = ([part] for _, part in programs.looked_up(lookup, "sums").values())
        terms.append((product(programs, "inner", user, item), 1.0))
    return Sum(terms)


def vectors(programs: Any, node: Node) -> Value:
    lookup = node.facts["lookup"]
    dim, of_field = lookup.table.shape[1], {}
    for own, part in programs.looked_up(lookup, "vectors").values():
        of_field |= {field: cut([part], dim, [n]) for n, field in enumerate(own.fields)}
    return merged(segment for field in lookup.fields for segment in of_field[field])


def numbers(programs: Any, node: Node) -> Value:
    places = [0, 0]
    found: Segments = []
    for of_user in programs.sides.numbers.tolist():
        side = USER if of_user else programs.item
        found.append(Columns(side, NUMBERS[side], places[of_user], 1))
        places[of_user] += 1
    return merged(found)


def constant(programs: Any, node: Node) -> Value:
    return [Fixed(np.asarray(node.facts["array"]).reshape(-1))]


# ---- sums and products ----------------------------------------------------------------------------------------------


def add(programs: Any, node: Node, *terms: Value) -> Value:
    return Sum([term for value in terms for term in terms_of(value)])


def scale(programs: Any, node: Node, x: Value) -> Value:
    return Sum([(segments, factor * node.facts["factor"]) for segments, factor in terms_of(x)])


def multiply(programs: Any, node: Node, a: Segments, b: Segments) -> Value:
    return product(programs, "multiply", a, b)


def inner(programs: Any, node: Node, a: Segments, b: Segments) -> Value:
    return product(programs, "inner", a, b)


def product(programs: Any, kind: str, a: Segments, b: Segments) -> Segments:
    """a * b, or <a, b>, where both are known."""
    left, right = programs.together(a), programs.together(b)
    side, width = side_of([left, right]), left.width

    def call(program: Any, out: int) -> None:
        getattr(program, kind)(programs.place(left, side), programs.place(right, side), width, out)

    key = kind, identity(left), identity(right)
    return [programs.emit(side, key, 1 if kind == "inner" else width, call)]


def sum_fields(programs: Any, node: Node, x: Segments) -> Value:
    return sum_of(x, node.inputs[0].shape)


def sum_of(x: Segments, shape: tuple[int, ...], factor: float = 1.0) -> Value:
    """factor times the sum over the first dimension; 0 where it is empty."""
    count, width = shape
    rows = [(cut(x, width, [n]), factor) for n in range(count)]
    return Sum(rows) if rows and width else [Fixed(np.zeros(width, np.float32))]


# ---- arrangement ----------------------------------------------------------------------------------------------------


def concatenate(programs: Any, node: Node, *parts: Segments) -> Value:
    return merged(segment for part in parts for segment in part)


def reshape(programs: Any, node: Node, x: Segments) -> Value:
    return x


def as_vectors(programs: Any, node: Node, x: Segments) -> Value:
    return cut(x, node.width, [0])


def take_fields(programs: Any, node: Node, x: Segments) -> Value:
    return cut(x, node.shape[1], node.facts["fields"].tolist())


# ---- layers ---------------------------------------------------------------------------------------------------------


def linear(programs: Any, node: Node, x: Segments, *_: Value) -> Value:
    return layer(programs, x, *weights_of(node))


def linear_relu(programs: Any, node: Node, x: Segments, *_: Value) -> Value:
    return layer(programs, x, *weights_of(node), relu=True)


def layer(
    programs: Any, x: Segments, weight: np.ndarray, bias: np.ndarray, relu: bool = False, out: Any = None
) -> Value:
    """x W + b, the part of each side where that side is known; ``out``: where to put it, if there is one side."""
    pieces: dict[int, list[tuple[Columns, np.ndarray]]] = {}
    start, row = bias.astype(np.float64), 0
    for segment in x:
        rows = weight[row : row + segment.width]
        row += segment.width
        if isinstance(segment, Fixed):
            start = start + segment.array.astype(np.float64) @ rows
        else:
            pieces.setdefault(segment.side, []).append((segment, rows))
    if not pieces:
        fixed = Fixed(np.maximum(start, 0) if relu else start)
        return [fixed] if out is None else [programs.add_up([(fixed, 1.0)], out.side, out)]
    parts: list[Columns | Fixed] = [Fixed(start)]
    for side, own in sorted(pieces.items()):
        joins = len(parts) == 1 and (isinstance(parts[0], Fixed) or side >= PAIR)  # goes on from what there is
        begin = parts.pop() if joins else Fixed(np.zeros_like(start))
        last = not parts and side == max(pieces)
        parts.append(dense(programs, side, own, begin, relu and last, len(start) if out is None else out))
    if len(parts) == 1:
        return [parts[0]]
    total = Sum([([part], 1.0) for part in parts])
    return programs.added(total, relu=True) if relu else total


def dense(
    programs: Any, side: int, pieces: list[tuple[Columns, np.ndarray]], start: Columns | Fixed, relu: bool, out: Any
) -> Columns:
    """start + the sum of the pieces' x W, by one instruction for each of them."""
    addresses = (rows.__array_interface__["data"][0] for _, rows in pieces)  # the graph keeps them
    key = "dense", *(segment for segment, _ in pieces), *addresses, identity(start), relu

    def call(program: Any, begin: int) -> None:
        before = programs.place(start, side)
        for number, (segment, rows) in enumerate(pieces, 1):
            matrix, last = np.ascontiguousarray(rows, np.float32), number == len(pieces)
            program.dense(programs.place(segment, side), matrix, before, relu and last, begin)
            before = (ROW, begin)

    return programs.emit(side, key, out, call)


def relu(programs: Any, node: Node, x: Value) -> Value:
    return programs.added(x, relu=True)


def normalize(programs: Any, node: Node, x: Segments, *_: Value) -> Value:
    factor, offset = affine_of(node)
    return Sum([(product(programs, "multiply", x, [Fixed(factor)]), 1.0), ([Fixed(offset)], 1.0)])


def field_linear(programs: Any, node: Node, x: Segments, *_: Value) -> Value:
    weight, bias = weights_of(node)
    return each_field(programs, node, x, lambda f: (weight[f], bias[f]))


def project(programs: Any, node: Node, x: Segments, *_: Value) -> Value:
    weight = node.inputs[1].facts["array"]
    return each_field(programs, node, x, lambda f: (weight, np.zeros(weight.shape[1])))


def each_field(programs: Any, node: Node, x: Segments, layer_of: Callable[[int], tuple[Any, Any]]) -> Value:
    """A layer for each field, those of a side side by side in one buffer."""
    (fields, width), outputs = node.inputs[0].shape, node.shape[1]
    made: dict[int, Segments] = {}
    for side, own in fields_by_side(x, fields, width).items():
        buffer = programs.allocate(side, len(own) * outputs)
        for place, f in enumerate(own):
            (out,) = cut([buffer], outputs, [place])
            made[f] = programs.added(layer(programs, cut(x, width, [f]), *layer_of(f), out=out))
    return merged(segment for f in range(fields) for segment in made[f])


# ---- interactions ---------------------------------------------------------------------------------------------------


def bi_interaction(programs: Any, node: Node, x: Segments) -> Value:
    return pairs_per_dim(programs, x, node.inputs[0].shape)


def fm(programs: Any, node: Node, x: Segments) -> Value:
    shape = node.inputs[0].shape
    return product(programs, "inner", programs.added(pairs_per_dim(programs, x, shape)), [Fixed(np.ones(shape[1]))])


def pairs_per_dim(programs: Any, x: Segments, shape: tuple[int, ...]) -> Value:
    """sum_{f<g} e_f * e_g [D]: within each side, and what the sides' sums have in common."""
    count, dim = shape
    by_side = fields_by_side(x, count, dim)
    terms: list[tuple[Segments, float]] = []
    for side, fields in by_side.items():
        vectors = programs.together(cut(x, dim, fields), side)
        out = of_vectors(programs, "bi_interaction", side, vectors, dim, len(fields), dim)
        terms.append(([out], 1.0))
    if len(by_side) == 2:
        user, item = (programs.added(sum_of(cut(x, dim, of), (len(of), dim))) for of in by_side.values())
        terms.append((product(programs, "multiply", user, item), 1.0))
    return Sum(terms)


def of_vectors(programs: Any, kind: str, side: int, vectors: Columns | Fixed, width: int, *told: Any) -> Columns:
    """What an instruction makes of field vectors that a side can read."""
    key = kind, identity(vectors), *(x.tobytes() if isinstance(x, np.ndarray) else x for x in told)
    call = lambda program, out: getattr(program, kind)(programs.place(vectors, side), *told, out)  # noqa: E731
    return programs.emit(side, key, width, call)


def fields_by_side(x: Segments, count: int, dim: int) -> dict[int, list[int]]:
    """The vectors of each side, by their numbers; all of them PAIR's, where one depends on both."""
    sides = [side_of(cut(x, dim, [f])) for f in range(count)]
    if PAIR in sides:
        return {PAIR: list(range(count))}
    return {side: [f for f in range(count) if sides[f] == side] for side in sorted(set(sides))}


def pair_interaction(programs: Any, node: Node, x: Segments, *_: Value) -> Value:
    (count, dim), chosen = node.inputs[0].shape, node.facts["pairs"]
    weights = node.inputs[1].facts["array"] if len(node.inputs) > 1 else np.ones(len(chosen), np.float32)
    side_at = {f: side for side, fields in fields_by_side(x, count, dim).items() for f in fields}
    of_pair = [(side_at[f], side_at[g]) for f, g in chosen.tolist()]
    terms = pairs_between(programs, x, dim, chosen, weights, side_at)
    for side in sorted({left for left, right in of_pair if left == right}):
        inside = np.array([ends == (side, side) for ends in of_pair])
        fields = [f for f in range(count) if side_at[f] == side]
        own = np.searchsorted(fields, chosen[inside]).astype(np.int32)
        together, kept = programs.together(cut(x, dim, fields), side), np.ascontiguousarray(weights[inside])
        terms.append(([of_vectors(programs, "pair_interaction", side, together, 1, dim, own, kept)], 1.0))
    return Sum(terms) if terms else [Fixed(np.zeros(1, np.float32))]


def pairs_between(
    programs: Any, x: Segments, dim: int, chosen: np.ndarray, weights: np.ndarray, side_at: dict[int, int]
) -> list[tuple[Segments, float]]:
    """Pairs of a user's and an item's field: sum_g <sum_f r_fg e_f, e_g>, the inner sum being the user's."""
    partners: dict[int, list[tuple[Segments, float]]] = {}
    for (f, g), weight in zip(chosen.tolist(), weights.tolist(), strict=True):
        if side_at[f] != side_at[g]:
            user, item = (f, g) if side_at[f] == USER else (g, f)
            partners.setdefault(item, []).append((cut(x, dim, [user]), weight))
    if not partners or not dim:
        return []
    users = merged(segment for terms in partners.values() for segment in programs.added(Sum(terms)))
    return [(product(programs, "inner", users, cut(x, dim, list(partners))), 1.0)]


def pair_products(programs: Any, node: Node, x: Segments) -> Value:
    dim, chosen, kind = node.inputs[0].shape[1], node.facts["pairs"], node.facts["product"]
    if not node.width:
        return []
    together = programs.together(x)
    return [of_vectors(programs, "pair_products", side_of([together]), together, node.width, dim, chosen, kind)]


def pool_pairs(programs: Any, node: Node, x: Segments) -> Value:
    (count, width), pooling = node.inputs[0].shape, node.facts["pooling"]
    if pooling != "max" or not node.inputs[0].width:
        return sum_of(x, (count, width), 1 / count if pooling == "mean" and count else 1.0)
    together = programs.together(x)
    return [of_vectors(programs, "largest", side_of([together]), together, width, count, width)]


TRANSLATIONS: dict[str, Callable[..., Value]] = {
    "First": first, "Pairs": pairs, "Vectors": vectors, "Numbers": numbers, "Constant": constant, "Add": add,
    "Scale": scale, "Multiply": multiply, "Inner": inner, "SumFields": sum_fields, "Concatenate": concatenate,
    "Reshape": reshape, "AsVectors": as_vectors, "TakeFields": take_fields, "Linear": linear, "LinearReLU": linear_relu,
    "ReLU": relu, "Normalize": normalize, "FieldLinear": field_linear, "Project": project,
    "BiInteraction": bi_interaction, "FM": fm, "PairInteraction": pair_interaction, "PairProducts": pair_products,
    "PoolPairs": pool_pairs,
}  # fmt: skip
