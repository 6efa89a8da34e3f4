"""Counter-based random numbers: a draw depends on (seed, step, stream, index) and on nothing else.

Philox4x32-10 of Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. With j = index // 4 the 128-bit
counter is (j mod 2^32, step, stream, j div 2^32) and the 64-bit key is the seed; word index % 4 of the block is the
draw. Threads, resume and batch order therefore change nothing. Shuffles use NumPy's own Philox (``generator``).
"""

from __future__ import annotations

import numpy as np

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10


def philox(seed: int, step: int, stream: int, count: int) -> np.ndarray:
    """The first ``count`` draws, [count] uint32, of the stream named by (seed, step, stream)."""
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    return philox_blocks(seed, step, stream, blocks).reshape(-1)[:count]


def philox_blocks(seed: int, step: int, stream: int, blocks: np.ndarray) -> np.ndarray:
    """The four draws of each block j [n] uint64, those of index 4j to 4j + 3 in the stream: [n, 4] uint32."""
    mask = np.uint64(0xFFFFFFFF)
    counter = [
        blocks & mask,
        np.full_like(blocks, step & 0xFFFFFFFF),
        np.full_like(blocks, stream),
        blocks >> np.uint64(32),
    ]
    key = [seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF]
    for _ in range(ROUNDS):
        product0 = counter[0] * np.uint64(MULTIPLIERS[0])
        product1 = counter[2] * np.uint64(MULTIPLIERS[1])
        counter = [
            (product1 >> np.uint64(32)) ^ counter[1] ^ np.uint64(key[0]),
            product1 & mask,
            (product0 >> np.uint64(32)) ^ counter[3] ^ np.uint64(key[1]),
            product0 & mask,
        ]
        key = [(k + w) & 0xFFFFFFFF for k, w in zip(key, WEYL, strict=True)]
    return np.stack(counter, axis=1).astype(np.uint32)


def keep_threshold(rate: float) -> int:
    """A draw below this 32-bit bound drops the element: round(rate * 2^32)."""
    return min(round(rate * 2**32), 2**32 - 1)


def generator(seed: int, *stream: int) -> np.random.Generator:
    """A NumPy generator whose stream is named by the seed and any integers, not negative, of any size."""
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence([seed & 0xFFFFFFFFFFFFFFFF, len(stream), *stream]))
    )
