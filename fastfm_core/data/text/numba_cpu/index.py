"""Hashing of texts, and an open-addressed index from text to number: compiled, exact, growing.

hash: 64-bit FNV-1a over the bytes (Fowler, Noll, Vo; RFC 9923), then the finaliser of MurmurHash3 (Appleby), so that
low bits are as good as high ones. It is part of a saved model's meaning and must never change.
"""

from __future__ import annotations

import numpy as np

from fastfm_core.compilation import helper, kernel
from fastfm_core.data.text.marks import FREE
from fastfm_core.data.text.numba_cpu.bytes import byte_at

FNV_OFFSET, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
MIX_1, MIX_2, SHIFT = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(33)


@helper
def mix(hash_):
    """MurmurHash3's 64-bit finaliser: a bijection."""
    hash_ = (hash_ ^ (hash_ >> SHIFT)) * MIX_1
    hash_ = (hash_ ^ (hash_ >> SHIFT)) * MIX_2
    return hash_ ^ (hash_ >> SHIFT)


@helper
def hash_text(buffer, start, end):
    hash_ = FNV_OFFSET
    for position in range(start, end):
        hash_ = (hash_ ^ np.uint64(byte_at(buffer, position))) * FNV_PRIME
    return mix(hash_)


@kernel
def hash_texts(buffer, starts, ends, hashes):
    """Texts [n] -> hashes [n] uint64."""
    for text in range(len(starts)):
        hashes[text] = hash_text(buffer, starts[text], ends[text])


@helper
def bucket_of(hash_, buckets):
    """A hash spread over 0 .. buckets-1, buckets < 2^32: its upper half, scaled (Lemire, ACM TOMACS 29, 2019)."""
    return ((hash_ >> np.uint64(32)) * np.uint64(buckets)) >> np.uint64(32)


def bucket_texts(buffers, starts, ends, buckets, bases, places, ids):
    """C columns of n texts -> column places[c] of ids [n, F]: bases[c] for an empty text, else that + 1 + its bucket.

    buckets  [C] uint64;  bases, places  [C] int64;  ids  int32 or int64
    """
    for column in zip(buffers, starts, ends, buckets, bases, places, strict=True):
        _bucket_column(*column, ids)


@kernel
def _bucket_column(buffer, starts, ends, buckets, base, place, ids):
    for text in range(len(starts)):
        ids[text, place] = base
        if ends[text] > starts[text]:
            ids[text, place] += 1 + np.int64(bucket_of(hash_text(buffer, starts[text], ends[text]), buckets))


@kernel
def bucket_hashes(hashes, buckets, rows):
    """Hashes [n] -> rows [n] int64: 1 + their buckets."""
    for number in range(len(hashes)):
        rows[number] = 1 + np.int64(bucket_of(hashes[number], buckets))


@kernel
def combine_hashes(left, right, hashes):
    """Hashes [n], [n] -> one of each ordered pair, [n] uint64."""
    for pair in range(len(left)):
        hashes[pair] = mix(left[pair] * FNV_PRIME ^ right[pair])


@helper
def _equal(left, left_start, left_end, right, right_start, right_end):
    if left_end - left_start != right_end - right_start:
        return False
    for offset in range(left_end - left_start):  # noqa: SIM110 - compiled
        if left[left_start + offset] != right[right_start + offset]:
            return False
    return True


@kernel
def find_texts(keys, key_ends, slots, buffer, starts, ends, codes):
    """Texts [n] -> codes [n] int64: their number among the keys, FREE where they are none.

    keys      [bytes] uint8, key k is keys[key_ends[k-1]:key_ends[k]];  slots [2^m] int64, FREE or a key's number
    """
    mask = np.uint64(len(slots) - 1)
    for text in range(len(starts)):
        place = hash_text(buffer, starts[text], ends[text]) & mask
        key = slots[place]
        while key != FREE:
            key_start = key_ends[key - 1] if key > 0 else 0
            if _equal(keys, key_start, key_ends[key], buffer, starts[text], ends[text]):
                break
            place = (place + np.uint64(1)) & mask
            key = slots[place]
        codes[text] = key


@kernel
def place_keys(keys, key_ends, first, count, slots):
    """Enters the keys number first .. count-1, which are distinct and not there yet, into the slots."""
    mask = np.uint64(len(slots) - 1)
    for key in range(first, count):
        place = hash_text(keys, key_ends[key - 1] if key > 0 else 0, key_ends[key]) & mask
        while slots[place] != FREE:
            place = (place + np.uint64(1)) & mask
        slots[place] = key


@kernel
def distinct_texts(buffer, starts, ends, slots, firsts, codes):
    """Texts [n] -> codes [n]: numbers in the order met; firsts [n]: where each was met first. Returns their number."""
    mask = np.uint64(len(slots) - 1)
    count = 0
    for text in range(len(starts)):
        place = hash_text(buffer, starts[text], ends[text]) & mask
        code = slots[place]
        while code != FREE:
            first = firsts[code]
            if _equal(buffer, starts[first], ends[first], buffer, starts[text], ends[text]):
                break
            place = (place + np.uint64(1)) & mask
            code = slots[place]
        if code == FREE:
            slots[place] = code = count
            firsts[count] = text
            count += 1
        codes[text] = code
    return count


@kernel
def copy_texts(buffer, starts, ends, target, begin, target_ends):
    """Writes the texts [n] one after the other to target[begin:], their ends to target_ends [n]."""
    for text in range(len(starts)):
        for position in range(starts[text], ends[text]):
            target[begin] = byte_at(buffer, position)
            begin += 1
        target_ends[text] = begin


@kernel
def sketch_hashes(hashes, registers):
    """Enters hashes [n] into HyperLogLog ``registers`` [2^12] uint8: the longest run of leading zeros met, plus 1."""
    for number in range(len(hashes)):
        rest = hashes[number] << np.uint64(12)
        rank = 1
        while rank <= 52 and rest & np.uint64(0x8000000000000000) == 0:
            rest <<= np.uint64(1)
            rank += 1
        register = hashes[number] >> np.uint64(52)
        registers[register] = max(registers[register], rank)
