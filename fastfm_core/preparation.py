"""Reads and encodes one source into a cache entry, in passes of all threads over its files.

DATA is read three times: once to keep label, weight and what the split goes by, once to fit the encoder on the training
rows, once to write the encoded rows. Validation and test files of their own are read for their labels and encoded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastfm_core.data import Encoded, Encoder, Schema, cache, open_table, read_table
from fastfm_core.data.bundled import COUPON_LABEL
from fastfm_core.data.columns import RowError, Table, join_rows, numbers, parse_number, take, unknown_column
from fastfm_core.data.encode import EncoderFit, default_min_count, sampled_rows
from fastfm_core.data.infer import TypedColumns, resolve, time_columns
from fastfm_core.data.labels import Task, describe_label, label_values, parse_expression
from fastfm_core.data.readers import Reader
from fastfm_core.data.readers.join import JoinedReader
from fastfm_core.data.split import Fractions, by_time, grouped, in_order, stratified
from fastfm_core.data.stream import Gathered, each_piece, gather, naming
from fastfm_core.errors import InputError
from fastfm_core.leaks import leak_warnings
from fastfm_core.source import PARTS, Source

SHARES = {"train": 7, "valid": 1, "test": 2}
GUESS_ROWS = 200_000
DATE = re.compile(r"\d{4}([-/.:]?)\d\d\1\d\d(\D|$)|\d{4}([-/.])\d\d$")


class OpenTable(NamedTuple):
    """A file after its first pass: labels [n], weights [n] or None, split column, the row each piece begins with."""

    reader: Reader
    labels: np.ndarray
    weights: np.ndarray | None
    split: Gathered | None
    begins: np.ndarray

    def within(self, rows: np.ndarray, number: int, table: Table) -> np.ndarray:
        """Those of the ascending ``rows`` that lie in piece ``number``, counted from the piece's beginning."""
        begin, end = self.begins[number : number + 2].tolist() if number + 1 < len(self.begins) else (0, -1)
        if len(next(iter(table.values()))) != end - begin:
            raise InputError("the file changed while it was read: run again when nothing writes to it")
        first, last = np.searchsorted(rows, [begin, end])
        return rows[first:last] - begin


class Preparation:
    """One source on its way into a cache entry; ``progress`` as for ``prepare``."""

    def __init__(self, source: Source, seed: int, min_count: int | None, progress: Any = None) -> None:
        self.source, self.seed, self.min_count = source, seed, min_count
        self.progress = progress or (lambda name: nullcontext())

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the encoded tables; returns the entry's manifest."""
        source, files = self.source, self.source.files
        reader = open_source(files["data"], source.join)
        with naming(reader.path):
            label = label_expression(source, reader)
            label_column = parse_expression(label, reader.names).column
        data = self._first_pass(reader, label, source.split)
        with naming(reader.path):
            rows = _split(source.split, data, [name for name in PARTS if name in files], self.seed)
            sample = self._sample(data, rows["train"])
            typed = self._typed(sample, label, reader)
            encoder = self._fit(data, typed.schema, rows["train"])
        tables = {"data": self._encode(folder, "data", data, encoder)}
        notes = _reader_notes(reader)
        for name in [name for name in PARTS if name in files]:
            own = open_table(files["data"]).names
            other = self._first_pass(open_source(files[name], source.join, own, label_column), label)
            tables[name] = self._encode(folder, name, other, encoder)
            rows[name] = np.arange(len(other.labels))
            notes += _reader_notes(other.reader)
        parts = {name: self._part(folder, name, tables, rows[name], encoder) for name in PARTS}
        notes += [describe_label({label_column: sample[label_column]}, label, source.task), *typed.describe()]
        notes += encoder.notes()
        notes += leak_warnings(cache.map_encoded(folder, "data", tables["data"]), rows["train"], encoder, source.task)
        notes += [] if source.split or "test" in files else list(map(_time_warning, time_columns(sample)[:1]))
        return {
            "name": files["data"].name.partition(".")[0], "label": label, "columns": open_table(files["data"]).names,
            "encoder": encoder.to_dict(), "tables": tables, "parts": parts, "notes": notes,
        }  # fmt: skip

    def _first_pass(self, reader: Reader, label: str, split: str | None = None) -> OpenTable:
        weight, split_column = self.source.weight, (split or "").partition(":")[2]
        with naming(reader.path):
            label_column = parse_expression(label, reader.names).column
            names = list(dict.fromkeys(filter(None, [label_column, weight, split_column])))
            for name in names:
                if name not in reader.names:
                    raise InputError(unknown_column(name, reader.names))
        with self.progress(f"reading {reader.path.name}") as progress:
            columns, begins = gather(reader, names, progress)
        with naming(reader.path):
            labels = gathered_labels(columns[label_column], label_column, label, self.source.task)
            weights = _weights(columns[weight], weight) if weight else None
        return OpenTable(reader, labels, weights, columns.get(split_column), begins)

    def _sample(self, data: OpenTable, train_rows: np.ndarray) -> Table:
        """The training rows of the first pieces, at least GUESS_ROWS of them or all."""
        tables, count = [], 0
        for number, chunk in enumerate(data.reader.chunks()):
            table = chunk.parse()
            rows = data.within(train_rows, number, table)
            if len(rows):
                tables.append({name: take(column, rows) for name, column in table.items()})
                count += len(rows)
            if count >= GUESS_ROWS:
                break
        return join_rows(tables)

    def _typed(self, sample: Table, label: str, reader: Reader) -> TypedColumns:
        source = self.source
        dropped = ",".join(filter(None, (source.drop, source.id, source.weight)))
        options = {"categorical": source.categorical, "numeric": source.numeric, "multihot": source.multihot}
        return resolve(sample, label, declared=source.declared, hints=reader.hints, drop=dropped, **options)

    def _fit(self, data: OpenTable, schema: Schema, train_rows: np.ndarray) -> Encoder:
        fitting = EncoderFit(schema, self.min_count or default_min_count(len(train_rows)))
        sampled = sampled_rows(train_rows)

        def observe(number: int, table: Table) -> list[Any]:
            return fitting.observe(table, *(data.within(rows, number, table) for rows in (train_rows, sampled)))

        with self.progress("fitting the encoder") as progress:
            for piece in each_piece(data.reader, observe, progress):
                fitting.merge(piece.result)
        return fitting.finish()

    def _encode(self, folder: Path, name: str, data: OpenTable, encoder: Encoder) -> dict[str, Any]:
        everything = np.arange(len(data.labels))

        def encode(number: int, table: Table) -> Encoded:
            rows = data.within(everything, number, table) + data.begins[number]
            return encoder.transform(table, data.labels[rows], None if data.weights is None else data.weights[rows])

        with self.progress(f"encoding {data.reader.path.name}") as progress:
            pieces = each_piece(data.reader, encode, progress)
            return cache.write_encoded(folder, name, (piece.result for piece in pieces))

    def _part(
        self, folder: Path, name: str, tables: dict[str, Any], rows: np.ndarray, encoder: Encoder
    ) -> dict[str, Any]:
        table = name if name in tables else "data"
        encoded = cache.map_encoded(folder, table, tables[table])
        if self.source.task == "binary" and name != "test":
            assert encoded.labels is not None
            if len(classes := np.unique(encoded.labels[rows])) < 2:
                path = self.source.files.get(name, self.source.files["data"])
                what = f"all labels of the {name} part are {classes[0]:g}; it needs 0 and 1: give more rows"
                raise InputError(f"{path}: {what}")
        (folder / f"{name}.rows").write_bytes(rows.astype(np.int64).tobytes())
        return {"table": table, "count": len(rows), "unseen_id_share": encoder.unseen_share(encoded, rows)}


def open_source(
    path: str | Path, join: Sequence[tuple[str, str]] = (), columns: Sequence[str] = (), label: str | None = None
) -> Reader:
    """A file with the joined tables' columns. ``columns`` and ``label`` describe one that lacks a header or a label."""
    reader: Reader = open_table(path, columns, label)
    for file, key in join:
        with naming(file):
            table, hints = read_table(file), open_table(file).hints
            if key not in table:
                raise InputError(unknown_column(key, table))
            reader = JoinedReader(reader, table, key, name=Path(file).name, hints=hints)
    return reader


def label_expression(source: Source, reader: Reader) -> str:
    """The label that was named, or the one that goes without saying."""
    if source.label:
        return source.label
    if not source.data:
        return COUPON_LABEL
    if "label" in reader.names:
        return "label"
    raise InputError(f"which column is the label? give --label COL; the columns are {', '.join(reader.names)}")


def gathered_labels(column: Gathered, name: str, label: str, task: Task) -> np.ndarray:
    """The labels [n] float32 that the expression makes of a whole column."""
    try:
        return label_values({name: column.texts}, label, task)[column.codes]
    except RowError as error:
        raise RowError(error.where, column.row_of(error.row), error.what) from None


def _weights(column: Gathered, name: str) -> np.ndarray:
    try:
        weights = numbers(column.texts, name)[column.codes]
    except RowError as error:
        raise RowError(error.where, column.row_of(error.row), error.what) from None
    if (wrong := ~(weights >= 0)).any():
        row = int(np.argmax(wrong)) + 1
        raise RowError(f"column {name!r}, ", row, ": a sample weight must be a number of at least 0: correct the cell")
    return weights


def _split(split: str | None, data: OpenTable, given: list[str], seed: int) -> dict[str, np.ndarray]:
    """Row numbers of each part that DATA must provide."""
    shares = [0 if name in given else SHARES[name] for name in PARTS]
    train, valid, test = (share / sum(shares) for share in shares)
    fractions: Fractions = (train, valid, test)
    kind = (split or "random").partition(":")[0]
    if kind == "time":
        assert data.split is not None
        parts = by_time(_times(data.split), fractions)
    elif kind == "group":
        assert data.split is not None
        parts = grouped(data.split.codes, fractions, seed)
    elif kind == "order":
        parts = in_order(len(data.labels), fractions)
    else:
        parts = stratified(data.labels, fractions, seed)
    return {name: rows for name, rows in zip(PARTS, parts, strict=True) if name not in given}


def _times(column: Gathered) -> np.ndarray:
    """[n] numbers that order the rows: the column's own, or the rank of its text (dates as in 2026-11-24)."""
    texts = column.texts.tolist()
    kinds = [DATE.match(text) is not None for text in texts]
    times = np.empty(len(texts))
    if all(kinds):
        times[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
        return times[column.codes]
    for number, text in enumerate(texts):
        try:
            times[number] = parse_number(text)
        except ValueError:
            times[number] = np.nan
        if np.isnan(times[number]):
            what = f": {text!r} is neither a number nor a date as in 2026-11-24, like the others: correct or fill it"
            raise RowError("--split time: ", column.row_of(number + 1), what)
    return times[column.codes]


def _reader_notes(reader: Reader) -> list[str]:
    joined = reader.describe() if isinstance(reader, JoinedReader) else None
    return [*reader.notes, *([joined] if joined else [])]


def _time_warning(name: str) -> str:
    return f"warning: {name!r} looks like a time, and a random split trains on the future: --split time:{name}"
