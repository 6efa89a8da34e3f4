"""What lies around a device array may not be touched: AddressSanitizer, where it is loaded, is told so."""

from __future__ import annotations

import ctypes

_process = ctypes.CDLL(None)


def hide(address: int, size: int) -> None:
    """From now on, until its memory is freed, an access of a kernel there is an error."""
    if hasattr(_process, "__asan_poison_memory_region"):
        _process.__asan_poison_memory_region(ctypes.c_void_p(address), ctypes.c_size_t(size))
