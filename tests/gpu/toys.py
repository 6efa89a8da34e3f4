"""Launches of the kernels of toys.cu; ``python -m gpu.toys <right or wrong> <kernel> ...`` runs some."""

from __future__ import annotations

import sys
from pathlib import Path

import emulated_cupy as cupy
import numpy as np

TEXT = (Path(__file__).parent / "toys.cu").read_text()
BARRIERS = ["mirror", "even_sum", "two_barriers", "leave_early", "wait_for_each_other", "spin"]
WARPS = ["lack_caller", "other_operation", "outside_mask", "left_lanes"]
PLAIN = [*BARRIERS, *WARPS, "much_shared", "append"]
ADDRESS = ["past_end", "past_shared", "misaligned", "overflow"]
THREAD = ["second_barrier", "within_warp", "across_blocks", "last_block"]
COUNTING = {"spin", "append", "across_blocks", "last_block"}  # these count in an integer, the others read numbers
BLOCKS = {"mirror": 3, "even_sum": 3, "second_barrier": 3, "spin": 8, "across_blocks": 8, "last_block": 8}
THREADS = 128
NAMES = tuple(f"{kernel}<{right}>" for kernel in PLAIN + ADDRESS + THREAD for right in ("true", "false"))


def line_of(kernel: str) -> str:
    """Where the kernel's mistake is, as messages name it."""
    for number, line in enumerate(TEXT.splitlines(), 1):
        if line.endswith(f"// wrong: {kernel}"):
            return f"toys:{number}"
    raise ValueError(f"{kernel} has no line that is wrong")


def run(kernel: str, right: bool) -> np.ndarray:
    """What one launch leaves in y."""
    module = cupy.RawModule(code=f'#line 1 "toys"\n{TEXT}', name_expressions=NAMES)
    blocks = BLOCKS.get(kernel, 1)
    numbers = np.arange(1, blocks * THREADS + 1, dtype=np.float32)
    x = cupy.zeros(1, np.uint32) if kernel in COUNTING else cupy.asarray(numbers)
    y = cupy.zeros(blocks * THREADS, np.float32)
    module.get_function(f"{kernel}<{'true' if right else 'false'}>")((blocks,), (THREADS,), (x, y))
    return cupy.peek(y)


if __name__ == "__main__":
    for named in sys.argv[2:]:
        run(named, sys.argv[1] == "right")
