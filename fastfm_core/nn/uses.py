"""Uses: which fields take part in the first order, in the pairs and in the deep part, and lookups cut down to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastfm_core.contract import Entries


class Uses(NamedTuple):
    """The fields of each part of a model, three [F] bool arrays."""

    first: np.ndarray
    pairs: np.ndarray
    deep: np.ndarray

    def lookups(self, parts: Sequence[str]) -> list[tuple[np.ndarray, list[str]]]:
        """The distinct sets of fields, each with those of the named parts that read it; empty sets are left out."""
        groups: dict[bytes, tuple[np.ndarray, list[str]]] = {}
        for part in parts:
            fields = self.pairs if part == "vectors" else getattr(self, part)
            groups.setdefault(fields.tobytes(), (fields, []))[1].append(part)
        return [(fields, members) for fields, members in groups.values() if fields.any()]


def entries_of_fields(entries: Entries, fields: np.ndarray) -> Entries:
    """The entries of the fields that are True in ``fields`` [F], at least one, as a batch that has no others."""
    if fields.all():
        return entries
    ids, count, offsets, values, pooling = entries
    if offsets is None:
        keep = np.tile(fields, entries.samples)
    else:
        lengths = np.diff(offsets).reshape(-1, count)
        keep = np.repeat(np.tile(fields, entries.samples), lengths.reshape(-1))
        offsets = np.concatenate([[0], np.cumsum(lengths[:, fields])])
    return Entries(ids[keep], int(fields.sum()), offsets, None if values is None else values[keep], pooling)
