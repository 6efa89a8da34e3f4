"""libfastfm for compiled code: its functions by name, its structures on the stack, its errors as ValueError.

Functions are linked by name, so what Numba has cached of a caller is good in the next process, too. All members of
fastfm.h's structures have eight bytes: a structure is so many int64 words.
"""

from __future__ import annotations

import ctypes

import llvmlite.binding
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from fastfm_core import linking, threads
from fastfm_core.errors import BackendUnavailable

SUM, MEAN, SQRTN, MAX, NONE = range(5)  # poolings
ABI = 1


def _load() -> None:
    try:
        path = str(linking.library())
    except BackendUnavailable as error:
        raise ImportError(f"fastfm_numba: {error}") from None
    library = ctypes.CDLL(path)
    library.fastfm_abi.restype = ctypes.c_int64
    if (found := library.fastfm_abi()) != ABI:
        raise ImportError(f"fastfm_numba calls ABI {ABI} of libfastfm, {path} has {found}; install both again")
    library.fastfm_set_threads.argtypes = [ctypes.c_int64]
    threads.follow(library.fastfm_set_threads)
    llvmlite.binding.load_library_permanently(path)


_load()

_WORD, _DOUBLE = types.intp, types.float64


def function(name: str, letters: str, returns: types.Type = types.int32) -> types.ExternalFunction:
    """fastfm_<name>: w for addresses and whole numbers, d for doubles."""
    arguments = [_DOUBLE if letter == "d" else _WORD for letter in letters]
    return types.ExternalFunction(f"fastfm_{name}", returns(*arguments))


_last_error = function("last_error", "", _WORD)


@intrinsic
def data(typingctx, array):
    """The address of an array's first element."""

    def generate(context, builder, signature, arguments):
        made = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.ptrtoint(made.data, context.get_value_type(types.intp))

    return types.intp(array), generate


@intrinsic
def structure(typingctx, words):
    """The address of a structure of these words on the stack of the function that asks; 0 for None."""

    def generate(context, builder, signature, arguments):
        (of,), word = signature.args, context.get_value_type(types.intp)
        if isinstance(of, types.NoneType):
            return context.get_constant(types.intp, 0)
        place = cgutils.alloca_once(builder, word, size=len(of))
        for number in range(len(of)):
            value = builder.extract_value(arguments[0], number)
            builder.store(value, cgutils.gep(builder, place, number))
        return builder.ptrtoint(place, word)

    known = isinstance(words, types.NoneType) or (isinstance(words, types.UniTuple) and words.dtype == types.intp)
    return (types.intp(words), generate) if known else None


def _reader(of: types.Type):
    """An intrinsic of an address: the number of this type there."""

    def read(typingctx, address):
        def generate(context, builder, signature, arguments):
            return builder.load(builder.inttoptr(arguments[0], context.get_value_type(of).as_pointer()))

        return of(types.intp), generate

    return intrinsic(read)


word_at, double_at, _byte_at = _reader(types.intp), _reader(types.float64), _reader(types.uint8)


@njit
def _words_of_error():
    text, place = "", _last_error()
    while _byte_at(place) != 0:
        text += chr(_byte_at(place))
        place += 1
    return text


@njit(inline="always")
def done(code):
    """Raises ValueError with libfastfm's line where a call returned an error."""
    if code != 0:
        raise ValueError(_words_of_error())
