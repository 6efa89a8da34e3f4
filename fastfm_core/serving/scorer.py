"""Scorer: a model's logits without tape and Python, and Ranker: users against items, each side computed once.

Both are made of a trained model as it is: layers are copied and packed, tables are read where they lie, so a scorer is
made anew after the model has trained on. They hold nothing that a call changes: any number of threads may score at
once. Every score has the same bits on any number of threads, alone and in any batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastfm_core.contract import Batch, Entries
from fastfm_core.errors import InputError
from fastfm_core.serving.graph import Graph, graph_of
from fastfm_core.serving.program import Programs, Sides
from fastfm_core.serving.saved import Recording
from fastfm_core.serving.values import FUSED, ITEM, PAIR, USER


class Scorer:
    """Scores rows or batches of encoded samples. BackendUnavailable where the C++ kernels were not built."""

    def __init__(self, model: Any) -> None:
        self._graph = graph_of(model)
        self._run = Programs(self._graph).programs[USER].run

    def score(self, batch: Batch) -> np.ndarray:
        """Logits [B] float32 of a batch as models take it: entries of F fields, raw numbers [B, I] float32.

        Raises InputError for ids that are no rows of their field's table and for arrays of other shapes or dtypes.
        """
        return _run(self._run, batch, self._graph.fields, self._graph.numbers)[:, 0]

    def score_rows(self, ids: np.ndarray, numbers: np.ndarray | None = None) -> np.ndarray:
        """Logits [B] of ids [B, F], int32 or int64, one a field, and raw numbers [B, I]; [F] and [I] are one row."""
        ids = np.atleast_2d(ids)
        if ids.shape[1] != self._graph.fields:
            raise InputError(f"ids have {ids.shape[1]} columns, the model has {self._graph.fields} fields")
        dense = None if numbers is None else np.atleast_2d(numbers)
        return self.score(Batch(Entries(ids.reshape(-1), ids.shape[1]), dense))

    def save(self, path: str | Path) -> None:
        """Writes the scorer to a file that programs without Python open and score with (docs/hosts/c_and_rust.md), with
        the tables as they are now; whole or not at all. InputError where it cannot be written."""
        recording = Programs(self._graph, made=Recording).programs[USER]
        recording.write(path, self._graph.fields, self._graph.numbers)

    def ranker(self, user_fields: np.ndarray, user_numbers: np.ndarray | None = None) -> Ranker:
        """The same model with its sides apart.

        user_fields   [F] bool, the fields that describe the user or the request; the others are the item's
        user_numbers  [I] bool, the same of the raw numbers; None: all are the item's
        """
        return Ranker(self._graph, _mask(user_fields, self._graph.fields, "user_fields"),
                      _mask(user_numbers, self._graph.numbers, "user_numbers"))  # fmt: skip


class Ranker:
    """One user against many items: what depends on one of them alone is computed once, as rows of float32 numbers.

    Batches of a side have its fields and raw numbers alone, in the model's order; a side without fields has entries of
    0 fields, and as many samples as rows of numbers. Scores agree with Scorer's within
    rounding: sums are added side by side.
    """

    def __init__(self, graph: Graph, user_fields: np.ndarray, user_numbers: np.ndarray) -> None:
        programs = Programs(graph, Sides(user_fields, user_numbers)).programs
        self.user_fields, self.user_numbers = user_fields, user_numbers
        self._fields = {USER: int(user_fields.sum()), ITEM: int((~user_fields).sum())}
        self._numbers = {USER: int(user_numbers.sum()), ITEM: int((~user_numbers).sum())}
        self._runs = [program.run for program in programs]
        self._widths = [program.result_width for program in programs]

    def users(self, batch: Batch) -> np.ndarray:
        """[n, W_u]: the contexts of the users (or requests) of a batch."""
        return self._side(USER, batch)

    def items(self, batch: Batch) -> np.ndarray:
        """[m, W_i]: the items of a batch, for any number of users."""
        return self._side(ITEM, batch)

    def score(self, user: np.ndarray, items: np.ndarray | Batch) -> np.ndarray:
        """Logits [m] of one user [W_u], a row of ``users``, with each of the items: rows [m, W_i] of ``items``, or a
        batch of the items' side, which is looked up and scored in one go."""
        if user.shape != (self._widths[USER],):
            raise InputError(f"user has shape {user.shape}, a row of this ranker's users is ({self._widths[USER]},)")
        if isinstance(items, Batch):
            return _run(self._runs[FUSED], items, self._fields[ITEM], self._numbers[ITEM], user)[:, 0]
        if items.ndim != 2 or items.shape[1] != self._widths[ITEM]:
            raise InputError(f"items have shape {items.shape}, rows of this ranker's have {self._widths[ITEM]} numbers")
        try:
            return self._runs[PAIR](len(items), None, 0, None, None, "sum", [user, items])[:, 0]
        except ValueError as error:
            raise InputError(str(error)) from None

    def _side(self, side: int, batch: Batch) -> np.ndarray:
        return _run(self._runs[side], batch, self._fields[side], self._numbers[side])


def _run(run: Any, batch: Batch, fields: int, numbers: int, *given: np.ndarray) -> np.ndarray:
    """What a program makes of a batch, of matrices that are ``given``, and of the batch's raw numbers behind them."""
    (ids, given_fields, offsets, values, pooling), dense = batch.entries, batch.dense
    given_numbers = 0 if dense is None else dense.shape[1]
    if given_fields != fields:
        raise InputError(f"the batch has {given_fields} fields, {fields} are expected")
    if given_numbers != numbers:
        raise InputError(f"the batch has {given_numbers} raw numbers, {numbers} are expected")
    matrices = [*given] if dense is None else [*given, dense]
    if fields:
        count = (len(ids) if offsets is None else len(offsets) - 1) // fields
    else:
        ids, count = None, 0 if dense is None else len(dense)
    try:
        return run(count, ids, fields, offsets, values, pooling, matrices)
    except ValueError as error:
        raise InputError(str(error)) from None


def _mask(chosen: np.ndarray | None, count: int, name: str) -> np.ndarray:
    mask = np.zeros(count, bool) if chosen is None else np.asarray(chosen)
    if mask.dtype != bool or mask.shape != (count,):
        raise InputError(f"{name} must be {count} bools, got {mask.dtype} of shape {mask.shape}")
    return mask
