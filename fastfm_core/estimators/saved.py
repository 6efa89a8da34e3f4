"""A fitted estimator on the disk: the model's own folder (``fastfm_core.checkpoint``) and, beside it, estimator.json.

estimator.json holds class, parameters, classes, columns and history, and names the weights it belongs to by their
SHA-256; it is written last, so that a folder without it, or with another model's, holds no estimator.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fastfm_core import backends, checkpoint, trained
from fastfm_core.data import Schema
from fastfm_core.errors import InputError
from fastfm_core.files import write_json

ESTIMATOR = "estimator.json"
PLAIN, ARRAYS = ("n_features_in_", "n_iter_", "best_iteration_", "history_"), ("classes_", "feature_names_in_")


def save(estimator: Any, folder: str | Path) -> None:
    """Writes model and estimator.json into ``folder``. InputError for classes that JSON cannot hold."""
    parameters = estimator.get_params(deep=False)
    if isinstance(parameters["schema"], Schema):
        parameters["schema"] = parameters["schema"].to_dict()
    if not isinstance(parameters["random_state"], int | np.integer):
        parameters["random_state"] = None
    fitted: dict[str, Any] = {name: getattr(estimator, name) for name in PLAIN if hasattr(estimator, name)}
    fitted |= {name: _to_json(getattr(estimator, name), name) for name in ARRAYS if hasattr(estimator, name)}
    optimizer = estimator._optimizer
    estimator.model_.save(folder, {"history": estimator.history_}, optimizer.state_dict())
    description = {"class": type(estimator).__name__, "parameters": parameters, "fitted": fitted, "lr": optimizer.lr}
    write_json(Path(folder) / ESTIMATOR, description | {"weights_sha256": _weights_of(folder)})


def load(kind: type, folder: str | Path, backend: str) -> Any:
    """The estimator of class ``kind`` that ``save`` wrote, its model on the backend."""
    model = trained.load(folder, backends.get(backend))
    path = Path(folder) / ESTIMATOR
    if not path.is_file():
        raise InputError(f"{path}: missing, the folder holds a model but no estimator; give one that save() wrote")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        name, parameters, fitted = (description[key] for key in ("class", "parameters", "fitted"))
        weights, rate = description["weights_sha256"], description["lr"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cut or damaged ({error}); copy the whole folder again") from None
    if weights != _weights_of(folder):
        raise InputError(f"{path}: belongs to other weights than {checkpoint.WEIGHTS}; save the estimator again")
    if name != kind.__name__:
        raise InputError(f"{path}: is a {name}, not a {kind.__name__}; load it with {name}.load")
    if parameters["schema"] is not None:
        parameters["schema"] = Schema.from_dict(parameters["schema"])
    parameters = {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}
    estimator = kind(**parameters)
    for key, value in fitted.items():
        setattr(estimator, key, np.array(value["values"], value["dtype"]) if key in ARRAYS else value)
    estimator.model_, estimator._optimizer = model, model.optimizer()
    estimator._optimizer.load_state_dict(checkpoint.load_optimizer(folder))
    estimator._optimizer.lr = rate
    return estimator


def _to_json(array: np.ndarray, name: str) -> dict[str, Any]:
    values = array.tolist()
    if not all(isinstance(value, str | int | float) for value in values):
        raise InputError(f"{name} holds {values[0]!r}: save keeps text, numbers and booleans; train on such classes")
    return {"dtype": array.dtype.str if array.dtype != object else "object", "values": values}


def _weights_of(folder: str | Path) -> str:
    """The SHA-256 of the model's weights, as its description has it."""
    return json.loads((Path(folder) / checkpoint.DESCRIPTION).read_text(encoding="utf-8"))["weights_sha256"]
