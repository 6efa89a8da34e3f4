"""The functions compiled by Numba, for where no C++ is built; they define what the C++ gives, bit for bit."""

from __future__ import annotations

from fastfm_core.data.text.numba_cpu.index import (
    bucket_hashes,
    bucket_texts,
    combine_hashes,
    copy_texts,
    distinct_texts,
    find_texts,
    hash_texts,
    place_keys,
    sketch_hashes,
)
from fastfm_core.data.text.numba_cpu.numbers import parse_decimals, standardize
from fastfm_core.data.text.numba_cpu.scan import last_of, records_end, scan_bags, scan_cells, scan_entries

__all__ = [
    "bucket_hashes",
    "bucket_texts",
    "combine_hashes",
    "copy_texts",
    "distinct_texts",
    "find_texts",
    "hash_texts",
    "last_of",
    "parse_decimals",
    "place_keys",
    "records_end",
    "scan_bags",
    "scan_cells",
    "scan_entries",
    "sketch_hashes",
    "standardize",
]
