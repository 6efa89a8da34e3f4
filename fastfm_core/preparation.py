"""Reads and encodes one source into a cache entry, in passes of all threads over its files.

DATA is read three times: once to keep label, weight and what the split goes by, once to fit the encoder on the training
rows, once to write the encoded rows. Validation and test files of their own are read for their labels and encoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastfm_core.contract import Batch
from fastfm_core.data import Encoded, Encoder, Schema, cache, grow, open_table
from fastfm_core.data.columns import RowError, Table, join_rows, parse_number, take, unknown_column
from fastfm_core.data.encode import EncoderFit, default_min_count, sampled_rows
from fastfm_core.data.history import Histories, Visits, columns_read
from fastfm_core.data.infer import resolve, time_columns
from fastfm_core.data.labels import describe_label, parse_expression
from fastfm_core.data.readers import Reader, read_whole
from fastfm_core.data.readers.join import JoinedReader
from fastfm_core.data.split import Fractions, by_time, grouped, in_order, stratified
from fastfm_core.data.stream import Gathered, Piece, each_piece, gather, naming
from fastfm_core.errors import InputError
from fastfm_core.labelling import (
    gathered_labels,
    gathered_weights,
    label_expression,
    require_classes,
    require_group,
    require_sides,
    unlabelled,
)
from fastfm_core.leaks import leak_warnings, sampled
from fastfm_core.source import PARTS, Source

SHARES = {"train": 7, "valid": 1, "test": 2}
GUESS_ROWS = 50_000
DATE = re.compile(r"\d{4}([-/.:]?)\d\d\1\d\d(\D|$)|\d{4}([-/.])\d\d$")


class OpenTable(NamedTuple):
    """A file after its first pass: labels [n], weights [n] or None, the numbers [n] of the values of further columns by
    what they are for, the row each piece begins with, whole columns."""

    reader: Reader
    labels: np.ndarray
    weights: np.ndarray | None
    codes: dict[str, np.ndarray]
    begins: np.ndarray
    columns: dict[str, Gathered]

    def within(self, rows: np.ndarray, number: int, table: Table) -> np.ndarray:
        """Those of the ascending ``rows`` that lie in piece ``number``, counted from the piece's beginning."""
        begin, end = self.begins[number : number + 2].tolist() if number + 1 < len(self.begins) else (0, -1)
        if len(next(iter(table.values()))) != end - begin:
            raise InputError("the file changed while it was read: run again when nothing writes to it")
        first, last = np.searchsorted(rows, [begin, end])
        return rows[first:last] - begin


class Written(NamedTuple):
    """A table that was written: what the manifest says of it, each part's shares of unknown ids, the rows kept."""

    about: dict[str, Any]
    unseen_share: dict[str, dict[str, float]]
    sample: list[Any]


class Preparation:
    """One source on its way into a cache entry; the arguments are those of ``prepare``."""

    def __init__(
        self, source: Source, seed: int, min_count: int | None = None, base: Encoder | None = None, progress: Any = None
    ) -> None:
        self.source, self.seed, self.min_count, self.base = source, seed, min_count, base
        self.progress = progress or (lambda name: nullcontext())

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the encoded tables; returns the entry's manifest."""
        source, files = self.source, self.source.files
        own = open_table(files["data"]).names
        reader = open_source(files["data"], source.join)
        with naming(reader.path):
            label = label_expression(source, reader)
            require_sides(source, reader.names)
            label_column = None if unlabelled(source, label, reader) else parse_expression(label, reader.names).column
        data = self._first_pass(reader, label, source.split, source.columns_of_samples)
        with naming(reader.path):
            rows = _split(source.split, data, [name for name in PARTS if name in files], self.seed)
            schema, said, warned = self._typed(data, rows["train"], label)
            histories = Histories(schema.fields, data.columns, self.base.visits if self.base else None)
            encoder = self._fit(data, schema, rows["train"], histories.remembered())
            if self.base is not None:
                encoder = grow.extended(self.base, encoder)
                said += grow.describe(self.base, encoder)
        written = self._encode(folder, "data", data, encoder, histories, rows, sampled(rows["train"]))
        tables = {"data": written.about}
        parts = {name: self._part(folder, name, "data", data, rows[name], written) for name in rows}
        notes = _reader_notes(reader)
        for name in [name for name in PARTS if name in files]:
            other = self._first_pass(open_source(files[name], source.join, own, label_column), label)
            every = np.arange(len(other.labels))
            with naming(other.reader.path):
                histories = Histories(schema.fields, other.columns, encoder.visits)
            separate = self._encode(folder, name, other, encoder, histories, {name: every})
            tables[name] = separate.about
            parts[name] = self._part(folder, name, name, other, every, separate)
            notes += _reader_notes(other.reader)
        notes += said + encoder.notes()
        notes += leak_warnings(written.sample, encoder) if source.task == "binary" else []
        return {
            "name": files["data"].name.partition(".")[0], "label": label, "columns": own,
            "encoder": encoder.to_dict(), "tables": tables, "parts": parts, "notes": notes + warned,
        }  # fmt: skip

    def _first_pass(
        self, reader: Reader, label: str, split: str | None = None, further: Mapping[str, str] | None = None
    ) -> OpenTable:
        """``further``: columns whose values are numbered, too, by what they are for."""
        weight, split_column = self.source.weight, (split or "").partition(":")[2]
        coded = dict(further or {}) | ({"group": self.source.group} if self.source.group else {})
        with naming(reader.path):
            whole = further is not None and unlabelled(self.source, label, reader)
            label_column = None if whole else parse_expression(label, reader.names).column
            require_group(self.source.group, reader.names, self.source.task)
            fields = self.base.schema.fields if self.base else self.source.declared
            kept = columns_read(fields, reader.names, training=True)
            names = list(dict.fromkeys(filter(None, [label_column, weight, split_column, *coded.values(), *kept])))
            for name in names:
                if name not in reader.names:
                    raise InputError(unknown_column(name, reader.names))
        with self.progress(f"reading {reader.path.name}") as progress:
            columns, begins = gather(reader, names, progress)
        with naming(reader.path):
            labels = np.ones(begins[-1], np.float32)
            if label_column:
                labels = gathered_labels(columns[label_column], label_column, label, self.source.task)
            weights = gathered_weights(columns[weight], weight) if weight else None
        codes = {purpose: columns[column].codes for purpose, column in coded.items()}
        return OpenTable(reader, labels, weights, codes, begins, columns)

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

    def _typed(self, data: OpenTable, train_rows: np.ndarray, label: str) -> tuple[Schema, list[str], list[str]]:
        """What the columns are, the lines that say so, and the warning of a time that the split does not heed.

        Decided by the beginning of the training part; a model to start from knows its columns.
        """
        source, sample = self.source, self._sample(data, train_rows)
        missing = unlabelled(source, label, data.reader)
        said = ["no label: every row is a positive" if missing else describe_label(sample, label, source.task)]
        heeded = source.split or "test" in source.files
        warned = [] if heeded else list(map(_time_warning, time_columns(sample)[:1]))
        if self.base is not None:
            return self.base.schema, said, warned
        names = ("categorical", "numeric", "multihot", "drop", "id", "weight", "cross", "user", "item")
        options = {name: getattr(source, name) for name in names}
        typed = resolve(
            sample, None if missing else label, declared=source.declared, hints=data.reader.hints, **options
        )
        return typed.schema, [*said, *typed.describe(), *typed.doubts()], warned

    def _fit(self, data: OpenTable, schema: Schema, train_rows: np.ndarray, visits: dict[str, Visits]) -> Encoder:
        fitting = EncoderFit(schema, self.min_count or default_min_count(len(train_rows)))
        sampled = sampled_rows(train_rows)

        def observe(number: int, table: Table) -> list[Any]:
            return fitting.observe(table, *(data.within(rows, number, table) for rows in (train_rows, sampled)))

        with self.progress("fitting the encoder") as progress:
            for piece in each_piece(data.reader, observe, progress):
                fitting.merge(piece.result)
        return fitting.finish(visits)

    def _encode(
        self, folder: Path, name: str, data: OpenTable, encoder: Encoder, histories: Histories,
        parts: dict[str, np.ndarray], sample: np.ndarray | None = None,
    ) -> Written:  # fmt: skip
        """Writes a table's rows. ``parts``: the rows of each part in it; ``sample``: rows to keep in memory, too."""
        everything = np.arange(len(data.labels))

        def encode(number: int, table: Table) -> tuple[Encoded, dict[str, np.ndarray], Batch | None]:
            rows = data.within(everything, number, table) + data.begins[number]
            table = histories.beside(table, data.begins, number)
            encoded = encoder.transform(table, data.labels[rows], None if data.weights is None else data.weights[rows])
            counts = {part: encoded.unknown_counts(data.within(parts[part], number, table)) for part in parts}
            kept = None if sample is None else encoded.take(data.within(sample, number, table))
            return encoded, counts, kept

        counts, kept = dict.fromkeys(parts, np.zeros((2, encoder.fields), np.int64)), []

        def collected(pieces: Iterator[Piece]) -> Iterator[Encoded]:
            for piece in pieces:
                encoded, found, batch = piece.result
                counts.update({part: counts[part] + found[part] for part in parts})
                kept.append(batch)
                yield encoded

        with self.progress(f"encoding {data.reader.path.name}") as progress:
            about = cache.write_encoded(folder, name, collected(each_piece(data.reader, encode, progress)))
        return Written(about, {part: encoder.unseen_share(counts[part]) for part in parts}, kept)

    def _part(
        self, folder: Path, name: str, table: str, data: OpenTable, rows: np.ndarray, written: Written
    ) -> dict[str, Any]:
        """Writes the part's rows; returns what the manifest says of it."""
        if self.source.task == "binary" and name != "test":
            with naming(data.reader.path):
                require_classes(name, np.unique(data.labels[rows]), sampled=self.source.sampled)
        (folder / f"{name}.rows").write_bytes(rows.astype(np.int64).tobytes())
        for purpose, codes in data.codes.items():
            (folder / f"{name}.{purpose}").write_bytes(codes[rows].astype(np.int32).tobytes())
        about = {"table": table, "count": len(rows), "codes": list(data.codes)}
        return {**about, "unseen_id_share": written.unseen_share[name]}


def open_source(
    path: str | Path, join: Sequence[tuple[str, str]] = (), columns: Sequence[str] = (), label: str | None = None
) -> Reader:
    """A file with the joined tables' columns. ``columns`` and ``label`` describe one that lacks a header or a label."""
    reader: Reader = open_table(path, columns, label)
    for file, key in join:
        with naming(file):
            joined = open_table(file)
            table, hints = read_whole(joined), joined.hints
            if key not in table:
                raise InputError(unknown_column(key, table))
            reader = JoinedReader(reader, table, key, name=Path(file).name, hints=hints)
    return reader


def _split(split: str | None, data: OpenTable, given: list[str], seed: int) -> dict[str, np.ndarray]:
    """Row numbers of each part that DATA must provide."""
    shares = [0 if name in given else SHARES[name] for name in PARTS]
    train, valid, test = (share / sum(shares) for share in shares)
    fractions: Fractions = (train, valid, test)
    kind, _, column = (split or "random").partition(":")
    if kind == "time":
        parts = by_time(_times(data.columns[column]), fractions)
    elif kind == "group":
        parts = grouped(data.columns[column].codes, fractions, seed)
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
