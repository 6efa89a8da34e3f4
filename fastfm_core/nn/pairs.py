"""Lists of pairs of fields: [P, 2] int32 positions (f, g), f < g, no pair twice, in ascending order."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from fastfm_core.errors import InputError


def all_pairs(count: int) -> np.ndarray:
    """Every pair of ``count`` fields."""
    return _as_pairs(combinations(range(count), 2))


def pairs_between(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Every pair with one field on each side; left, right [F] bool."""
    return _as_pairs(
        (f, g) for f, g in combinations(range(len(left)), 2) if (left[f] and right[g]) or (left[g] and right[f])
    )


def pair_list(chosen: str, names: Sequence[str], sides: Mapping[str, np.ndarray]) -> np.ndarray:
    """The pairs that a text chooses among the fields ``names`` [F].

    chosen  "all"; or terms with commas between, each "a*b": of two fields, or of two sides, every pair between them
    sides   [F] bool by name, such as user and item

    Raises InputError for what is no term, and for names that are no field's.
    """
    if chosen == "all":
        return all_pairs(len(names))
    found: set[tuple[int, ...]] = set()
    for term in chosen.split(","):
        ends = [_fields(end.strip(), names, sides) for end in term.split("*")]
        if len(ends) != 2:
            raise InputError(f"pairs={chosen}: write all, or pairs with commas between: a*b,c*d")
        found.update(map(tuple, pairs_between(*ends).tolist()))
    return _as_pairs(sorted(found))


def _fields(name: str, names: Sequence[str], sides: Mapping[str, np.ndarray]) -> np.ndarray:
    """[F] bool: a side's fields, or else the field of that name."""
    if name in sides:
        return sides[name]
    if name in names:
        return np.array([other == name for other in names])
    close = difflib.get_close_matches(name, names)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names)}"
    raise InputError(f"pairs: no column {name!r} takes part in pairs; {hint}")


def _as_pairs(pairs: object) -> np.ndarray:
    return np.array(list(pairs), np.int32).reshape(-1, 2)  # type: ignore[call-overload]
