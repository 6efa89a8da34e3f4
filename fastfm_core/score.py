"""Scores a file with a trained model, piece by piece: memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastfm_core import train
from fastfm_core.data import Batches
from fastfm_core.data.columns import Table, single_of, unknown_column
from fastfm_core.data.encoded import Encoded
from fastfm_core.data.history import Histories, columns_read
from fastfm_core.data.labels import parse_expression
from fastfm_core.data.readers import Reader
from fastfm_core.data.stream import Gathered, each_piece, gather, naming, require_unchanged, stamps
from fastfm_core.errors import InputError
from fastfm_core.labelling import gathered_labels, require_group
from fastfm_core.preparation import open_source
from fastfm_core.prepare import EVALUATION_BATCH
from fastfm_core.trained import TrainedModel
from fastfm_core.writing import form_of, table_writer

ID, PREDICTED = "Id", "Predicted"
Passes = Callable[[str], AbstractContextManager[Any]]


def silent(name: str) -> AbstractContextManager[Any]:
    return nullcontext()


class ScoredPiece(NamedTuple):
    """A piece of a file: ids [n] (None without an id column), predictions [n] float64, and its encoded rows."""

    ids: Any
    predictions: np.ndarray
    encoded: Encoded


def evaluate_file(
    model: TrainedModel, path: str | Path, passes: Passes = silent, group: str | None = None
) -> dict[str, Any]:
    """The metrics of a file with labels, and the share of unknown ids per field.

    group  the column within whose values rows are ranked; None: they are not
    """
    before = stamps(files_of(model, path))
    reader = open_data(model, path)
    with naming(path):
        column = parse_expression(model.label, reader.names).column
        require_group(group, reader.names, model.task)
    columns, begins = gathered_columns(model, reader, passes, column, *filter(None, [group]))
    with naming(path):
        labels = gathered_labels(columns[column], column, model.label, model.task)
    predictions, counts = [], np.zeros((2, model.encoder.fields), np.int64)
    with passes(f"scoring {reader.path.name}") as progress:
        for piece in _scored(model, reader, None, progress, columns, begins):
            predictions.append(piece.predictions)
            counts += piece.encoded.unknown_counts()
    require_unchanged(before)
    groups = columns[group].codes if group else None
    measured = train.measure(labels, np.concatenate(predictions), model.task, groups)
    return {**measured, "unseen_id_share": model.encoder.unseen_share(counts)}


def predict_file(
    model: TrainedModel, path: str | Path, *, out: str | Path | None, form: str | None = None, id: str | None = None,
    passes: Passes = silent,
) -> None:  # fmt: skip
    """Writes the predictions of a file, with or without labels, one row per row.

    out   file to write, whole or not at all; None: stdout, as CSV
    form  csv (id column, if there is one, and "probability" or "prediction"), parquet (the same columns), kaggle (CSV
          with the columns Id and Predicted); None: by ``out``'s suffix
    id    column to copy beside the predictions; None: the one given in training, where the file has it
    """
    if out and Path(out).resolve() in [file.resolve() for file in files_of(model, path)]:
        raise InputError(f"{out}: would replace the table it is made from; name another file")
    before = stamps(files_of(model, path))
    form = form or form_of(out)
    reader = open_data(model, path)
    id = id or (model.id if model.id in reader.names else None)
    with naming(path):
        if id and id not in reader.names:
            raise InputError(unknown_column(id, reader.names))
        if form == "kaggle" and not id:
            raise InputError("--format kaggle writes an id beside each prediction: name its column with --id COL")
    ids, values = ([id] if id else []), [score_name(model)]
    if form == "kaggle":
        ids, values = [ID], [PREDICTED]
    columns, begins = gathered_columns(model, reader, passes)
    with table_writer(out, form, ids, values) as write, passes(f"scoring {reader.path.name}") as progress:
        for piece in _scored(model, reader, id, progress, columns, begins):
            write(*([piece.ids] if id else []), piece.predictions)
        require_unchanged(before)


def score_name(model: TrainedModel) -> str:
    """What a column of its predictions is called."""
    return "prediction" if model.task == "regression" else "probability"


def files_of(model: TrainedModel, path: str | Path) -> list[Path]:
    """The file and those that are joined to it."""
    return [Path(path), *(Path(file) for file, _ in model.join)]


def open_data(model: TrainedModel, path: str | Path) -> Reader:
    """A reader of a file as the model's training read its own: joined, and with its columns if it has no header."""
    return open_source(path, model.join, model.columns, _label_column(model.label, model.columns))


def _label_column(label: str, columns: Sequence[str]) -> str:
    """The label's column among the training file's; the label itself where a joined table had it."""
    try:
        return parse_expression(label, columns).column
    except InputError:
        return label


def gathered_columns(
    model: TrainedModel, reader: Reader, passes: Passes, *names: str
) -> tuple[dict[str, Gathered], np.ndarray]:
    """The named columns and those of the model's histories, whole, and the row each piece begins with."""
    with naming(reader.path):
        kept = columns_read(model.encoder.histories, reader.names)
    if not names and not kept:
        return {}, np.zeros(1)
    with passes(f"reading {reader.path.name}") as progress:
        return gather(reader, list(dict.fromkeys([*names, *kept])), progress)


def _scored(
    model: TrainedModel, reader: Reader, id: str | None, progress: Any, columns: dict[str, Gathered],
    begins: np.ndarray,
) -> Iterator[ScoredPiece]:  # fmt: skip
    with naming(reader.path):
        histories = Histories(model.encoder.histories, columns, model.encoder.visits)

    def encode(number: int, table: Table) -> tuple[Any, Encoded]:
        encoded = model.encoder.transform(histories.beside(table, begins, number))
        return (single_of(table, id) if id else None), encoded

    for piece in each_piece(reader, encode, progress):
        ids, encoded = piece.result
        batches = Batches(encoded, None, EVALUATION_BATCH, shuffle=False)
        yield ScoredPiece(ids, train.predict(model.model, batches, model.task), encoded)
