"""From files to encoded training, validation and test part: read, split, type columns, fit, encode, look for leaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastfm_core import metrics
from fastfm_core.data import Batches, Encoded, Encoder, grow, read_table
from fastfm_core.data.bundled import COUPON_LABEL, coupon_path
from fastfm_core.data.columns import Table
from fastfm_core.data.infer import resolve
from fastfm_core.data.labels import Task, describe_label, label_values
from fastfm_core.data.split import stratified
from fastfm_core.errors import InputError

SHARES = {"train": 7, "valid": 1, "test": 2}
LEAK_AUC, LEAK_ROWS = 0.99, 100_000
EVALUATION_BATCH = 4096


class Source(NamedTuple):
    """What to learn from: files, label, and what the columns are, as on the command line."""

    data: str | Path | None = None
    valid: str | Path | None = None
    test: str | Path | None = None
    label: str | None = None
    task: Task = "binary"
    categorical: str | None = None
    numeric: str | None = None
    multihot: str | None = None
    drop: str | None = None
    id: str | None = None


class Part(NamedTuple):
    """One part: the samples ``rows`` [k] of an encoded table, and the share of unknown ids in it per field."""

    encoded: Encoded
    rows: np.ndarray
    unseen_id_share: dict[str, float]

    @property
    def labels(self) -> np.ndarray:
        """[k] float32."""
        assert self.encoded.labels is not None
        return self.encoded.labels[self.rows]

    def in_order(self) -> Batches:
        """The part's rows in order, cut for evaluation."""
        return Batches(self.encoded, self.rows, EVALUATION_BATCH, shuffle=False)


class Prepared(NamedTuple):
    """What ``prepare`` returns.

    name      of the data, for the run's folder;  label  the label's expression
    parts     train, valid, test;  encoder  fitted on train alone
    notes     lines for the reader: what every column was taken for, suspected leaks
    """

    name: str
    label: str
    encoder: Encoder
    parts: dict[str, Part]
    notes: list[str]


def prepare(source: Source, *, seed: int, min_count: int | None = None, base: Encoder | None = None) -> Prepared:
    """Reads and encodes everything. The parts that no file gives are cut from DATA, stratified, 7 : 1 : 2.

    base  an encoder to extend by DATA's values, instead of one that is fitted on DATA alone
    """
    path = Path(source.data or coupon_path())
    table = read_table(path)
    files = {"valid": source.valid, "test": source.test}
    with naming(path):
        label = _label_expression(source, table)
        labels = label_values(table, label, source.task)
        rows = _split(labels, [name for name, file in files.items() if file], seed)
        training = {name: column[rows["train"]] for name, column in table.items()}
        if base is None:
            encoder, described = _fitted(source, table, training, label, rows["train"], min_count)
        else:
            encoder = grow.extended(base, table, rows["train"], min_count)
            described = grow.describe(base, encoder)
        encoded = encoder.transform(table, labels)
        parts = {name: Part(encoded, rows[name], encoder.unseen_share(encoded, rows[name])) for name in rows}
    for name, file in files.items():
        if file:
            parts[name] = encode_file(file, encoder, label, source.task)
    if source.task == "binary":
        _require_both_classes(parts)
    notes = [describe_label(training, label, source.task), *described]
    notes += [_leak_warning(*leak) for leak in suspected_leaks(parts["train"], encoder, source.task)]
    return Prepared(path.name.partition(".")[0], label, encoder, {name: parts[name] for name in SHARES}, notes)


def encode_file(path: str | Path, encoder: Encoder, label: str, task: Task) -> Part:
    """A whole file with labels as one part."""
    table = read_table(path)
    with naming(path):
        encoded = encoder.transform(table, label_values(table, label, task))
        return Part(encoded, np.arange(len(encoded)), encoder.unseen_share(encoded))


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Puts the file's name before the message of an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def suspected_leaks(part: Part, encoder: Encoder, task: Task = "binary") -> list[tuple[str, float]]:
    """The columns that alone order the part's labels with an AUC above LEAK_AUC, with that AUC.

    A number is its own score. A category's score is its mean label in the other half of the rows, so that ids met once
    prove nothing. Bags are not looked at. Large parts are judged by LEAK_ROWS evenly spaced rows.
    """
    if task != "binary":
        return []
    rows = part.rows[:: -(-len(part.rows) // LEAK_ROWS)]
    entries, dense, labels, _ = part.encoded.take(rows)
    assert labels is not None
    slots = len(rows) * entries.fields
    starts = np.arange(slots) if entries.offsets is None else entries.offsets[:-1]
    starts = starts.reshape(-1, entries.fields)
    scores: dict[str, np.ndarray] = dict(zip(encoder.dense_names, [] if dense is None else list(dense.T), strict=True))
    for field, (name, unknown) in enumerate(zip(encoder.field_names, encoder.unknown_rows, strict=True)):
        if unknown < 0 and entries.values is not None:
            scores[name] = entries.values[starts[:, field]]
        elif _single(entries.offsets, entries.fields, field):
            scores[name] = _target_means(entries.ids[starts[:, field]] - encoder.bases[field], labels)
    areas = {name: metrics.auc(labels, score) for name, score in scores.items()}
    return [(name, max(area, 1 - area)) for name, area in areas.items() if max(area, 1 - area) > LEAK_AUC]


def _fitted(
    source: Source, table: Table, training: Table, label: str, rows: np.ndarray, min_count: int | None
) -> tuple[Encoder, list[str]]:
    """An encoder for columns that are typed as asked for or guessed, and what each was taken for."""
    dropped = ",".join(filter(None, (source.drop, source.id)))
    options = {"categorical": source.categorical, "numeric": source.numeric, "multihot": source.multihot}
    typed = resolve(training, label, **options, drop=dropped)
    return Encoder.fit(table, typed.schema, rows, min_count=min_count), typed.describe()


def _label_expression(source: Source, table: Table) -> str:
    if source.label:
        return source.label
    if not source.data:
        return COUPON_LABEL
    if "label" in table:
        return "label"
    raise InputError(f"which column is the label? give --label COL; the columns are {', '.join(table)}")


def _split(labels: np.ndarray, given: list[str], seed: int) -> dict[str, np.ndarray]:
    """Row numbers of each part that DATA must provide."""
    shares = [0 if name in given else share for name, share in SHARES.items()]
    train, valid, test = (share / sum(shares) for share in shares)
    rows = dict(zip(SHARES, stratified(labels, (train, valid, test), seed), strict=True))
    return {name: part for name, part in rows.items() if name not in given}


def _require_both_classes(parts: dict[str, Part]) -> None:
    for name in ("train", "valid"):
        if len(classes := np.unique(parts[name].labels)) < 2:
            raise InputError(f"all labels of the {name} part are {classes[0]:g}; it needs 0 and 1: give more rows")


def _single(offsets: np.ndarray | None, fields: int, field: int) -> bool:
    return offsets is None or bool((np.diff(offsets).reshape(-1, fields)[:, field] == 1).all())


def _target_means(ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[n] -> [n]: mean label of the row's id among the rows of the other parity, one row of the base rate added."""
    scores, base = np.empty(len(ids)), labels.mean()
    for parity in (0, 1):
        others, targets = ids[1 - parity :: 2], labels[1 - parity :: 2]
        counts = np.bincount(others, minlength=ids.max() + 1)
        sums = np.bincount(others, targets, minlength=ids.max() + 1)
        scores[parity::2] = ((sums + base) / (counts + 1))[ids[parity::2]]
    return scores


def _leak_warning(name: str, area: float) -> str:
    return f"warning: column {name!r} alone reaches AUC {area:.4f} on the training part: a leak? then --drop {name}"
