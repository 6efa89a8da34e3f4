"""What the machine allows: the least work a kernel or a step cannot avoid, timed beside it.

gather   every looked-up row [16] float32 is read and summed, rows prefetched 32 ahead; nothing is written per row
stream   an array is copied
gemm     the matrix products of an MLP's training step, through NumPy with BLAS's own threads

Gather and stream run on the package's threads in pieces, so they have the same cores as the kernels.
"""

from __future__ import annotations

import itertools
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastfm_core import threads
from fastfm_core.bench.workload import DIM
from fastfm_core.compilation import intrinsic

PREFETCH_AHEAD, LINE = 32, 64


@intrinsic
def sum_rows(context: Any, table: Any, ids: Any, low: Any, high: Any, last: Any, out: Any) -> Any:
    """Adds rows ids[low:high] of the float32 table at an address and stores the sum, DIM floats, at ``out``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, ids, low, high, last, out = arguments
        vector, word, index = ir.VectorType(ir.FloatType(), DIM), ir.IntType(32), ir.IntType(64)
        hint = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word])
        prefetch = cgutils.get_or_insert_function(builder.module, hint, "llvm.prefetch.p0")

        def row_address(position: Any) -> Any:
            place = builder.inttoptr(builder.add(ids, builder.shl(position, index(2))), word.as_pointer())
            return builder.add(table, builder.mul(builder.zext(builder.load(place), index), index(DIM * 4)))

        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * DIM))
        with cgutils.for_range(builder, builder.sub(high, low)) as loop:
            position = builder.add(low, loop.index)
            ahead = builder.add(position, index(PREFETCH_AHEAD))
            ahead = builder.select(builder.icmp_signed("<", ahead, last), ahead, position)
            pointer = builder.inttoptr(row_address(ahead), cgutils.voidptr_t)
            builder.call(prefetch, [pointer, word(0), word(3), word(1)])
            row = builder.load(builder.inttoptr(row_address(position), vector.as_pointer()))
            row.align = 4
            builder.store(builder.fadd(builder.load(total), row), total)
        builder.store(builder.load(total), builder.inttoptr(out, vector.as_pointer())).align = 4
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6), generate


@numba.njit(nogil=True)
def _sum_piece(table: Any, ids: Any, low: Any, high: Any, out: Any) -> None:
    sum_rows(table.ctypes.data, ids.ctypes.data, low, high, len(ids), out.ctypes.data)


def gather(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Sum of table[ids], [16]. table [V, 16] float32 C-contiguous, ids [N] int32."""
    pieces = 4 * threads.get_num_threads()
    sums = np.zeros((pieces, DIM), np.float32)
    borders = np.linspace(0, len(ids), pieces + 1).astype(np.int64)
    threads.run(pieces, lambda p: _sum_piece(table, ids, borders[p], borders[p + 1], sums[p]))
    return sums.sum(axis=0)


def stream(source: np.ndarray, target: np.ndarray) -> None:
    """Copies an array [B, H] into another."""
    pieces = 4 * threads.get_num_threads()
    borders = np.linspace(0, len(source), pieces + 1).astype(int)
    threads.run(pieces, lambda p: np.copyto(target[borders[p] : borders[p + 1]], source[borders[p] : borders[p + 1]]))


class Gemm:
    """The products of one step of an MLP of these widths (inputs, hidden layers, 1): forward and both gradients."""

    def __init__(self, batch: int, widths: list[int]) -> None:
        draw = np.random.default_rng(0)
        self.activations = [draw.standard_normal((batch, width), dtype=np.float32) for width in widths]
        self.weights = [draw.standard_normal(pair, dtype=np.float32) for pair in itertools.pairwise(widths)]
        self.gradients = [np.empty_like(activation) for activation in self.activations]
        self.weight_gradients = [np.empty_like(weight) for weight in self.weights]
        self.outputs = [np.empty_like(activation) for activation in self.activations]

    def __call__(self) -> None:
        for layer, weight in enumerate(self.weights):
            np.matmul(self.activations[layer], weight, out=self.outputs[layer + 1])
        for layer in reversed(range(len(self.weights))):
            upper = self.activations[layer + 1]
            np.matmul(self.activations[layer].T, upper, out=self.weight_gradients[layer])
            np.matmul(upper, self.weights[layer].T, out=self.gradients[layer])
