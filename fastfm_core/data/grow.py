"""A fitted encoder grown by the values of new training rows, and where its rows have moved.

A field's rows stay in their order and the new values' rows follow them, so the arena is laid out anew while row i of a
field remains row i of that field. Numbers keep the scaling that the model was trained with. Of both
tables' visits each user's last are remembered.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.data.encode import Encoder


def extended(old: Encoder, fresh: Encoder) -> Encoder:
    """``old`` with the values that ``fresh`` knows as well, in its order; ``fresh`` has the same schema."""
    ours, theirs = old.to_dict(), fresh.to_dict()
    codecs = [_extended(*pair) for pair in zip(ours["codecs"], theirs["codecs"], strict=True)]
    grown = Encoder.from_dict({**ours, "min_count": theirs["min_count"], "codecs": codecs})
    for field in grown.histories:
        visits = old.visits[field.name].followed_by(fresh.visits[field.name])
        grown.visits[field.name] = visits.last(field.length)
    return grown


def moved_rows(old: Encoder, new: Encoder) -> np.ndarray:
    """[V of old] int64: the row of ``new``, which was extended from ``old``, that each row of ``old`` has become."""
    moved = np.empty(old.rows, np.int64)
    for size, before, after in zip(old.sizes.tolist(), old.bases.tolist(), new.bases.tolist(), strict=True):
        moved[before : before + size] = np.arange(after, after + size)
    return moved


def describe(old: Encoder, new: Encoder) -> list[str]:
    """A line for each field that has grown."""
    grown = zip(new.field_names, (new.sizes - old.sizes).tolist(), strict=True)
    return [f"{name}: {more:,} new values" for name, more in grown if more]


def _extended(old: dict[str, Any] | None, fresh: dict[str, Any] | None) -> dict[str, Any] | None:
    """The description of one field's codec, extended by the vocabulary of another."""
    if old is None or fresh is None or "vocabulary" not in old:
        return old
    known = set(old["vocabulary"])
    return {
        **old,
        "vocabulary": [*old["vocabulary"], *(text for text in fresh["vocabulary"] if text not in known)],
        "rare_training": old["rare_training"] and fresh["rare_training"],
        "missing_seen": old["missing_seen"] or fresh["missing_seen"],
    }
