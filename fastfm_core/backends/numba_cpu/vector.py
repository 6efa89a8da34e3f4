"""A vector of one cache line (16 float32 or 8 float64) as a Numba type, so that kernels can keep sums in registers.

LLVM lowers it to whatever registers the CPU has (one AVX-512, two AVX or four SSE). In plain array loops over a
run-time D the sums live in memory. A kernel walks a row in steps of ``lanes(table)``;
``load`` and ``store`` take how many elements are left and mask the tail, so one compiled kernel serves every D.

    total = zeros(table)
    for i in range(n):
        total += load(table, i * stride + c, dim - c)     # offsets count elements from the array's first one
    store(out, c, dim - c, total)
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.extending import models, register_model, type_callable

from fastfm_core.compilation import intrinsic

LINE = 64
_I32 = ir.IntType(32)


class Vector(types.Type):
    """``lanes`` elements of ``dtype``, 64 bytes together."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.lanes = LINE * 8 // dtype.bitwidth
        self.suffix = f"v{self.lanes}f{dtype.bitwidth}"
        super().__init__(f"Vector({dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        element = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


def _elementwise(operation: Any, instruction: str) -> None:
    @type_callable(operation)
    def _type(context: Any) -> Any:
        return lambda left, right: left if isinstance(left, Vector) and left == right else None

    @lower_builtin(operation, Vector, Vector)
    def _lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments)


for _instruction, _operations in {
    "fadd": (operator.add, operator.iadd),
    "fsub": (operator.sub, operator.isub),
    "fmul": (operator.mul, operator.imul),
    "fdiv": (operator.truediv, operator.itruediv),
}.items():
    for _operation in _operations:
        _elementwise(_operation, _instruction)


@intrinsic
def lanes(typing_context: Any, array: Any) -> Any:
    """Elements of the array's dtype in one vector."""
    width = Vector(array.dtype).lanes

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, width)

    return types.intp(array), generate


@intrinsic
def pointer(typing_context: Any, array: Any) -> Any:
    """The array's first element as a bare C pointer, which everything here and indexing take in the array's place.

    Helpers take pointers: handed an array, they count its references, and an atomic count in an inner loop costs more
    than the arithmetic and spills every vector. The array must stay alive.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(array)(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def zeros(typing_context: Any, array: Any) -> Any:
    """A vector of zeros of the array's dtype."""
    kind = Vector(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _constant(context.get_value_type(kind), 0.0)

    return kind(array), generate


@intrinsic
def fill(typing_context: Any, array: Any, value: Any) -> Any:
    """A vector whose every lane is ``value``, cast to the array's dtype."""
    kind = Vector(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = context.cast(builder, arguments[1], value, kind.dtype)
        return _splat(builder, context.get_value_type(kind), element)

    return kind(array, value), generate


@intrinsic
def number(typing_context: Any, array: Any, value: Any) -> Any:
    """``value`` cast to the array's dtype."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.cast(builder, arguments[1], value, array.dtype)

    return array.dtype(array, value), generate


@intrinsic
def load(typing_context: Any, array: Any, offset: Any, left: Any) -> Any:
    """The elements at ``offset``; lanes from ``left`` on are 0 and their memory is not touched."""
    kind = Vector(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = context.get_value_type(kind)
        pointer = _pointer(context, builder, signature, arguments, vector)
        align = kind.dtype.bitwidth // 8
        result = cgutils.alloca_once(builder, vector)
        whole, one, tail = _by_length(builder, arguments[2], kind)
        with whole:
            value = builder.load(pointer)
            value.align = align
            builder.store(value, result)
        with one:
            element = builder.load(builder.bitcast(pointer, vector.element.as_pointer()))
            builder.store(builder.insert_element(_constant(vector, 0.0), element, _I32(0)), result)
        with tail:
            mask = _mask(builder, arguments[2], kind)
            arguments_of = [pointer.type, _I32, mask.type, vector]
            masked = _declare(builder, f"llvm.masked.load.{kind.suffix}.p0", vector, arguments_of)
            builder.store(builder.call(masked, [pointer, _I32(align), mask, _constant(vector, 0.0)]), result)
        return builder.load(result)

    return kind(array, types.intp, types.intp), generate


@intrinsic
def store(typing_context: Any, array: Any, offset: Any, left: Any, vector: Any) -> Any:
    """Write the first ``left`` lanes at ``offset``."""
    kind = Vector(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = arguments[3]
        pointer = _pointer(context, builder, signature, arguments, value.type)
        align = kind.dtype.bitwidth // 8
        whole, one, tail = _by_length(builder, arguments[2], kind)
        with whole:
            builder.store(value, pointer).align = align
        with one:
            element = builder.extract_element(value, _I32(0))
            builder.store(element, builder.bitcast(pointer, value.type.element.as_pointer()))
        with tail:
            mask = _mask(builder, arguments[2], kind)
            arguments_of = [value.type, pointer.type, _I32, mask.type]
            masked = _declare(builder, f"llvm.masked.store.{kind.suffix}.p0", ir.VoidType(), arguments_of)
            builder.call(masked, [value, pointer, _I32(align), mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, kind), generate


@intrinsic
def total(typing_context: Any, vector: Any) -> Any:
    """Sum of the lanes, halves added pairwise: the order is fixed."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, width = arguments[0], vector.lanes
        while width > 1:
            width //= 2
            kind = ir.VectorType(_I32, width)
            low, high = (ir.Constant(kind, list(range(start, start + width))) for start in (0, width))
            value = builder.fadd(builder.shuffle_vector(value, value, low), builder.shuffle_vector(value, value, high))
        return builder.extract_element(value, _I32(0))

    return vector.dtype(vector), generate


@intrinsic
def root(typing_context: Any, vector: Any) -> Any:
    """Square root of each lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        return builder.call(_declare(builder, f"llvm.sqrt.{vector.suffix}", kind, [kind]), arguments)

    return vector(vector), generate


@intrinsic
def prefetch(typing_context: Any, array: Any, offset: Any) -> Any:
    """Ask for the cache line of the element at an offset; any address is allowed. It comes to the second-level cache:
    a CPU waits for far more lines there than in the first."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature, arguments, ir.IntType(8))
        llvm = _declare(builder, "llvm.prefetch.p0", ir.VoidType(), [cgutils.voidptr_t, _I32, _I32, _I32])
        builder.call(llvm, [pointer, _I32(0), _I32(2), _I32(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _declare(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _constant(vector: Any, value: float) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _splat(builder: Any, vector: Any, element: Any) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, element, _I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count))


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any, pointee: Any) -> Any:
    """Address of element ``offset`` (argument 1) counted from the start of the array or pointer (argument 0)."""
    data = arguments[0]
    if isinstance(signature.args[0], types.Array):
        data = context.make_array(signature.args[0])(context, builder, data).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), pointee.as_pointer())


def _by_length(builder: Any, left: Any, kind: Vector) -> Any:
    """Blocks for a whole vector, for one element, and for a masked tail.

    One element is read and written as a scalar: a masked access counts as touching the whole vector, so rows of one
    float would wait for each other.
    """

    @contextmanager
    def block(target: Any) -> Iterator[None]:
        with builder.goto_block(target):
            yield
            builder.branch(end)

    names = ("whole", "short", "one", "tail", "end")
    whole, short, one, tail, end = (builder.append_basic_block(name) for name in names)
    builder.cbranch(builder.icmp_signed(">=", left, ir.Constant(left.type, kind.lanes)), whole, short)
    with builder.goto_block(short):
        builder.cbranch(builder.icmp_signed("==", left, ir.Constant(left.type, 1)), one, tail)
    builder.position_at_end(end)
    return block(whole), block(one), block(tail)


def _mask(builder: Any, left: Any, kind: Vector) -> Any:
    """Lane numbers below ``left``."""
    numbers = ir.VectorType(_I32, kind.lanes)
    bound = _splat(builder, numbers, builder.trunc(left, _I32))
    return builder.icmp_signed("<", ir.Constant(numbers, list(range(kind.lanes))), bound)
