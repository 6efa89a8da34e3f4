"""Uses: which fields take part in the first order, in the pairs and in the deep part, and lookups cut down to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastfm_core.backends import Backend
from fastfm_core.contract import Batch, Entries


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


def batch_of_fields(batch: Batch, fields: np.ndarray, backend: Backend) -> Batch:
    """The entries of the fields that are True in ``fields`` [F], at least one: a batch that has no others and no plan.

    Entries with offsets are counted by ``batch.host_offsets``; on a device the host waits where there are none.
    """
    if fields.all():
        return batch
    xp, entries, columns, on_host = backend.xp, batch.entries, np.flatnonzero(fields), batch.host_offsets
    if entries.offsets is None:
        keep = (xp.arange(0, entries.slots, entries.fields)[:, None] + backend.to_device(columns)).reshape(-1)
        return _of_entries(batch, keep, len(columns), None, None)
    wanted = of_each_entry(backend.to_device(fields), entries, backend)
    if on_host is None:
        offsets = _offsets_of(entries.offsets, entries.fields, backend.to_device(columns), xp)
        return _of_entries(batch, xp.flatnonzero(wanted), len(columns), offsets, None)
    on_host = _offsets_of(on_host, entries.fields, columns, np)
    keep = xp.searchsorted(xp.cumsum(wanted), xp.arange(1, int(on_host[-1]) + 1))
    return _of_entries(batch, keep, len(columns), backend.to_device(on_host), on_host)


def _offsets_of(offsets: Any, fields: int, columns: Any, xp: Any) -> Any:
    """[B*k + 1] the offsets of k of a batch's fields, from those of all."""
    kept = xp.diff(offsets).reshape(-1, fields)[:, columns].reshape(-1)
    made = xp.zeros(len(kept) + 1, np.int64)
    made[1:] = xp.cumsum(kept)
    return made


def _of_entries(batch: Batch, keep: Any, fields: int, offsets: Any, host_offsets: Any) -> Batch:
    """The entries ``keep`` [n] of a batch."""
    ids, _, _, values, pooling = batch.entries
    entries = Entries(ids[keep], fields, offsets, None if values is None else values[keep], pooling)
    return batch._replace(entries=entries, plan=None, host_offsets=host_offsets)


def of_each_entry(of_fields: Any, entries: Entries, backend: Backend) -> Any:
    """What the field of each entry has, [N]: of_fields [F] on the backend."""
    if entries.offsets is None:
        return backend.xp.tile(of_fields, entries.samples)
    return of_fields[backend.entry_slots(entries) % entries.fields]
