"""One byte of a buffer, without Numba's check for positions counted from the end: scanners read each byte once."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastfm_core.compilation import intrinsic


@intrinsic
def byte_at(typing_context: Any, buffer: Any, position: Any) -> Any:
    """buffer [bytes] uint8, 0 <= position < bytes -> the byte as int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = cgutils.pointer_add(builder, array.data, arguments[1])
        return builder.zext(builder.load(address), ir.IntType(64))

    return types.int64(buffer, types.int64), generate
