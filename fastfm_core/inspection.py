"""What a trained model makes of a table's columns: how much each column, and each pair of columns, moves its outputs.

z is the logit (the prediction of a regression), all means are over the rows, and r_fg is what the model multiplies a
pair by: 1, or a weight it learned.

effect        of a column: mean |z - z'|, where z' has the column's values permuted among the rows, all else as it was
first order   of a column: mean |w_f(x)|, w_f(x) being the pooled first-order weight of its values
contribution  of a pair of columns: mean |r_fg <e_f(x), e_g(x)>|

Every model has effects, of fields and raw numbers alike; the others are there where the model has such terms. One
permutation, named by the model's seed, serves all columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastfm_core import train
from fastfm_core.autograd import no_grad
from fastfm_core.contract import Batch
from fastfm_core.data import Batches
from fastfm_core.data.columns import Table
from fastfm_core.data.encoded import Encoded, concatenated
from fastfm_core.data.history import Histories
from fastfm_core.data.stream import each_piece, require_unchanged, stamps
from fastfm_core.errors import InputError
from fastfm_core.models.base import Terms
from fastfm_core.prepare import EVALUATION_BATCH
from fastfm_core.random import generator
from fastfm_core.score import Passes, files_of, gathered_columns, open_data, silent
from fastfm_core.trained import TrainedModel

PERMUTATION_STREAM = 3


class Column(NamedTuple):
    """A column's effect, and its first order; None where it has none."""

    name: str
    effect: float
    first_order: float | None


class Pair(NamedTuple):
    """A pair of columns, "a*b", its contribution, and r."""

    name: str
    contribution: float
    weight: float


class Inspection(NamedTuple):
    """Columns and pairs, the largest first, of the first ``rows`` rows of a table.

    pairs     None: the model has no sum over pairs of columns
    branches  the weights of a model that is made of several, by name; None: it is one
    """

    rows: int
    columns: list[Column]
    pairs: list[Pair] | None
    branches: Mapping[str, float] | None


def inspect_file(model: TrainedModel, path: str | Path, *, rows: int, passes: Passes = silent) -> Inspection:
    """Inspects the model on the first ``rows`` rows of a file, which needs no labels."""
    before = stamps(files_of(model, path))
    encoded = _first_rows(model, path, rows, passes)
    rows = min(rows, len(encoded))
    if encoded.pooling == "none":
        raise InputError(f"{path}: rows without fields (pooling none) have no columns to rank; give columns or libffm")
    if rows < 2:
        raise InputError(f"{path}: one row cannot be permuted; give at least 2")
    terms = model.model.terms()
    first, pairs = (None, None) if terms is None else _shares(model, terms, _batches(encoded, rows))
    effects = _effects(model, encoded, rows, passes)
    columns = [Column(name, effect, None if first is None else first.get(name)) for name, effect in effects.items()]
    require_unchanged(before)
    return Inspection(
        rows,
        sorted(columns, key=lambda column: -column.effect),
        None if pairs is None else sorted(pairs, key=lambda pair: -pair.contribution),
        None if terms is None else terms.branches,
    )


def to_json(model: TrainedModel, found: Inspection) -> dict[str, Any]:
    """All of it, JSON-able."""
    return {
        "model": model.name,
        "task": model.task,
        "seed": model.seed,
        "rows": found.rows,
        "columns": [column._asdict() for column in found.columns],
        "pairs": None if found.pairs is None else [pair._asdict() for pair in found.pairs],
        "branches": found.branches,
    }


def to_lines(model: TrainedModel, found: Inspection, top: int) -> list[str]:
    """The ``top`` columns and pairs as tables, and in words what the model does not have."""
    lines = _column_lines(found, top)
    if all(column.first_order is None for column in found.columns):
        lines.append(f"{model.name} has no first order")
    if found.pairs is None:
        lines.append(f"{model.name} has no terms of single pairs")
    else:
        lines += ["", *_pair_lines(found.pairs, top)]
    if found.branches is not None:
        lines += ["", "branches: " + ", ".join(f"{name} {weight:.4g}" for name, weight in found.branches.items())]
    return lines


def _column_lines(found: Inspection, top: int) -> list[str]:
    rows = [(column.name, f"{column.effect:.4f}", column.first_order) for column in found.columns[:top]]
    if all(column.first_order is None for column in found.columns):
        table = [("column", "effect"), *(row[:2] for row in rows)]
    else:
        shown = [(name, effect, "-" if first is None else f"{first:.4f}") for name, effect, first in rows]
        table = [("column", "effect", "first order"), *shown]
    return [*_aligned(table), *_left_out(len(found.columns), top, "columns")]


def _pair_lines(pairs: list[Pair], top: int) -> list[str]:
    weighted = any(pair.weight != 1 for pair in pairs)
    rows = [(pair.name, f"{pair.contribution:.4f}", f"{pair.weight:.4f}") for pair in pairs[:top]]
    table = [row if weighted else row[:2] for row in [("pair", "contribution", "r"), *rows]]
    return [*_aligned(table), *_left_out(len(pairs), top, "pairs")]


def _aligned(table: Sequence[tuple[str, ...]]) -> list[str]:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in table
    ]


def _left_out(count: int, top: int, what: str) -> list[str]:
    return [f"... {count - top:,} of {count:,} {what} left out: raise --top"] if count > top else []


def _first_rows(model: TrainedModel, path: str | Path, rows: int, passes: Passes) -> Encoded:
    """The pieces of the file that hold its first ``rows`` rows, encoded."""
    reader = open_data(model, path)
    columns, begins = gathered_columns(model, reader, passes)
    histories = Histories(model.encoder.histories, columns, model.encoder.visits)

    def encode(number: int, table: Table) -> Encoded:
        return model.encoder.transform(histories.beside(table, begins, number))

    encoded: list[Encoded] = []
    with (
        passes(f"reading {reader.path.name}") as progress,
        closing(each_piece(reader, encode, progress)) as pieces,
    ):
        for piece in pieces:
            encoded.append(piece.result)
            if piece.begin + piece.rows >= rows:
                break
    return concatenated(encoded)


def _batches(encoded: Encoded, rows: int) -> Batches:
    return Batches(encoded, np.arange(rows), EVALUATION_BATCH, shuffle=False)


def _effects(model: TrainedModel, encoded: Encoded, rows: int, passes: Passes) -> dict[str, float]:
    """Of each column by name, fields first."""
    encoder = model.encoder
    fields, numbers = ({name: k for k, name in enumerate(n)} for n in (encoder.field_names, encoder.dense_names))
    order = np.arange(len(encoded))
    order[:rows] = generator(model.seed, 0, 0, PERMUTATION_STREAM).permutation(rows)

    def outputs(table: Encoded) -> np.ndarray:
        return train.predict(model.model, _batches(table, rows), task="regression")

    own, effects, names = outputs(encoded), {}, list(fields | numbers)
    with passes("permuting columns") as progress:
        for done, name in enumerate(names, 1):
            changed = encoded.exchanged(order, fields.get(name), numbers.get(name))
            effects[name] = float(np.abs(outputs(changed) - own).mean())
            if progress:
                progress(done, len(names))
    return effects


def _shares(model: TrainedModel, terms: Terms, batches: Batches) -> tuple[dict[str, float] | None, list[Pair] | None]:
    """First order by column, and the pairs; None for what the model does not have."""
    names = np.array(model.encoder.field_names, object)
    crossing = _fields(terms, "pairs", len(names))
    starting = _fields(terms, "first", len(names))
    first, products = np.zeros(starting.sum()), np.zeros(0 if terms.pairs is None else len(terms.pairs))
    backend = model.model.backend
    for batch in map(backend.to_device, batches.epoch(0)):
        if terms.first is not None and starting.any():
            orders = backend.to_host(terms.embedding.first_orders(batch))
            first += np.abs(orders).sum(axis=0, dtype=np.float64) * abs(terms.first)
        if len(products):
            products += _products(terms, batch)
    count = len(batches.rows)
    by_column = None if terms.first is None else dict(zip(names[starting], (first / count).tolist(), strict=True))
    if terms.pairs is None or terms.weights is None:
        return by_column, None
    mean = np.abs(terms.weights) * products / count
    ends = names[crossing][terms.pairs]
    listed = zip(ends.tolist(), mean.tolist(), terms.weights.tolist(), strict=True)
    return by_column, [Pair("*".join(pair), *facts) for pair, *facts in listed]


def _fields(terms: Terms, part: str, fields: int) -> np.ndarray:
    """[F] bool: the fields that take part."""
    uses = terms.embedding.uses
    return np.ones(fields, bool) if uses is None else getattr(uses, part)


def _products(terms: Terms, batch: Batch) -> np.ndarray:
    """[P] sums over the samples of |<e_f, e_g>|."""
    assert terms.pairs is not None
    with no_grad():
        (vectors,) = terms.embedding(batch, "vectors")
    backend = vectors.backend
    products = backend.pair_products(vectors.data, backend.to_device(terms.pairs), "inner")
    return np.abs(backend.to_host(products)[:, :, 0]).sum(axis=0, dtype=np.float64)
