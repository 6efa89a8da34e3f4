"""A fitted encoder grown by the values of new training rows, and where its rows have moved.

A field's rows stay in their order and the new values' rows follow them, so the arena is laid out anew while row i of a
field remains row i of that field. Numbers keep the scaling that the model was trained with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.data.columns import Table
from fastfm_core.data.encode import Encoder


def extended(
    encoder: Encoder, columns: Table, train_rows: np.ndarray | None = None, min_count: int | None = None
) -> Encoder:
    """An encoder that also knows the values which the rows ``train_rows`` [k] (None: all) hold ``min_count`` times.

    New values are ordered by descending count, then text. InputError for a column that is not there or a number that
    cannot be read.
    """
    old = encoder.to_dict()
    new = Encoder.fit(columns, encoder.schema, train_rows, min_count=min_count).to_dict()
    codecs = [_extended(*pair) for pair in zip(old["codecs"], new["codecs"], strict=True)]
    return Encoder.from_dict({**old, "min_count": new["min_count"], "codecs": codecs})


def moved_rows(old: Encoder, new: Encoder) -> np.ndarray:
    """[V of old] int64: the row of ``new``, which was extended from ``old``, that each row of ``old`` has become."""
    sizes = np.diff(old.bases)
    return np.arange(old.rows) + np.repeat(new.bases[:-1] - old.bases[:-1], sizes)


def describe(old: Encoder, new: Encoder) -> list[str]:
    """A line for each field that has grown."""
    sizes = zip(new.field_names, np.diff(old.bases).tolist(), np.diff(new.bases).tolist(), strict=True)
    return [f"{name}: {after - before:,} new values" for name, before, after in sizes if after > before]


def _extended(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The description of one column's codec, extended by the values of another fitted on new rows."""
    if "vocabulary" not in old:
        return old
    known = set(old["vocabulary"])
    return {
        **old,
        "vocabulary": [*old["vocabulary"], *(text for text in new["vocabulary"] if text not in known)],
        "rare_training": old["rare_training"] and new["rare_training"],
        "missing_seen": old["missing_seen"] or new["missing_seen"],
    }
