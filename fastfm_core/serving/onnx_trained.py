"""A trained model as an ONNX file that tells a server how its inputs are made.

Among the file's metadata, as texts: model, task, label, fastfm_core (the version), pooling, and two lists as JSON:

    fields   in the order of the ids: name, first (its first row), rows (how many), unknown (the row of unknown values,
             null: none); of a number also transform, mean and scale: its value is (transform(x) - mean) / scale, its
             row the first; of a number in bins their edges
    numbers  in the order of the input numbers: name, transform, mean, scale
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastfm_core.serving.onnx_export import export_onnx
from fastfm_core.serving.onnx_lookup import FieldRows

if TYPE_CHECKING:
    from fastfm_core.data.encoded import Encoded
    from fastfm_core.trained import TrainedModel


def export_trained(trained: TrainedModel, path: str | Path) -> None:
    """Writes the model with the inputs that its encoder makes, and with the outputs logit and probability, or
    prediction for a regression. Unknown ids read their field's unknown row. InputError as ``export_onnx``."""
    encoder = trained.encoder
    export_onnx(
        trained.model, path, bags=encoder.bags, values=encoder.weighted, pooling=encoder.pooling,
        rows=FieldRows(encoder.bases, encoder.sizes, encoder.unknown_rows),
        outputs=("prediction",) if trained.task == "regression" else ("logit", "probability"),
        metadata=metadata_of(trained),
    )  # fmt: skip


def metadata_of(trained: TrainedModel) -> dict[str, str]:
    """As above, what ``export_onnx`` adds itself left out."""
    encoder = trained.encoder
    scaling, rows = encoder.scaling(), zip(encoder.bases, encoder.sizes, encoder.unknown_rows, strict=True)
    fields = [
        {"name": name, "first": int(first), "rows": int(count), "unknown": int(unknown) if unknown >= 0 else None}
        | scaling.get(name, {})
        for name, (first, count, unknown) in zip(encoder.field_names or [""], rows, strict=True)
    ]
    numbers = [{"name": name} | scaling[name] for name in encoder.dense_names]
    known = {"model": trained.name, "task": trained.task, "label": trained.label}
    return known | {"fields": json.dumps(fields), "numbers": json.dumps(numbers)}


def inputs_of(encoded: Encoded, names: Iterable[str]) -> dict[str, np.ndarray]:
    """An encoded table as the inputs of its model's file, of which those ``names`` are asked for."""
    values = np.ones(encoded.ids.shape, np.float32) if encoded.values is None else encoded.values
    made = {"ids": encoded.ids.astype(np.int64), "offsets": encoded.offsets, "values": values, "numbers": encoded.dense}
    return {name: made[name] for name in names}
