"""A trained model on the disk: a folder with weights, description and metrics. No pickle, nothing executable.

    model.safetensors   every array of the model's state by name
    model.json          what rebuilds the model around them (names, hyper-parameters, encoder, version), the SHA-256 of
                        model.safetensors and its own, so that a mixed, cut or damaged pair is noticed
    metrics.json        how the training went

The three are written beside their places and renamed together, model.json last: a folder without it holds no model.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastfm_core
from fastfm_core.errors import InputError
from fastfm_core.files import json_text, whole_file

WEIGHTS, DESCRIPTION, METRICS = "model.safetensors", "model.json", "metrics.json"
FORMAT, FORMAT_NUMBER = "fastfm-core model", 1
CHECKSUM = "sha256"


class Checkpoint(NamedTuple):
    """What ``load`` returns: the model's state by name, the description given to ``save``, the metrics."""

    state: dict[str, np.ndarray]
    description: dict[str, Any]
    metrics: dict[str, Any]


def save(
    folder: str | Path, state: Mapping[str, np.ndarray], description: Mapping[str, Any], metrics: Mapping[str, Any]
) -> None:
    """Writes the model into ``folder``, made if absent; files of the same names there are replaced.

    state        arrays of any float or integer dtype
    description  JSON values: whatever rebuilds the model; format, format number, version and checksum are added
    metrics      JSON values; NaN becomes null
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    header = {"format": FORMAT, "format_number": FORMAT_NUMBER, "version": fastfm_core.__version__}
    with (
        whole_file(folder / DESCRIPTION) as model,
        whole_file(folder / METRICS) as measured,
        whole_file(folder / WEIGHTS) as weights,
    ):
        _save_weights(weights, state)
        measured.write_text(json_text(metrics), encoding="utf-8")
        content = header | dict(description) | {"weights_sha256": _sha256(weights)}
        model.write_text(json_text(content | {CHECKSUM: _checksum(content)}), encoding="utf-8")


def load(folder: str | Path) -> Checkpoint:
    """Reads what ``save`` wrote.

    Raises InputError when the folder or a file of it is missing, cut, damaged, another program's, or a newer version's.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder that `fastfm-core train` named at its end")
    if not (folder / DESCRIPTION).is_file():
        raise InputError(f"{folder}: holds no model, {DESCRIPTION} is missing; give the folder of a finished training")
    description = _read_json(folder / DESCRIPTION)
    if description.get("format") != FORMAT:
        raise InputError(f"{folder / DESCRIPTION}: not written by fastfm-core; give the folder of a trained model")
    if description.get("format_number") != FORMAT_NUMBER:
        wrote = description.get("version")
        raise InputError(f"{folder}: written by fastfm-core {wrote}, which this version cannot read; install that one")
    if description.pop(CHECKSUM, None) != _checksum(description):
        raise InputError(f"{folder / DESCRIPTION}: damaged or edited; copy the whole folder again or train again")
    if not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder / WEIGHTS}: missing, the model is incomplete; copy the whole folder or train again")
    if _sha256(folder / WEIGHTS) != description.get("weights_sha256"):
        raise InputError(
            f"{folder / WEIGHTS}: cut, damaged, or not from {DESCRIPTION}'s training; copy the whole folder again"
        )
    metrics = _read_json(folder / METRICS) if (folder / METRICS).is_file() else {}
    return Checkpoint(read_weights(folder / WEIGHTS), description, metrics)


def holds_model(folder: str | Path) -> bool:
    """True when a training has put (part of) a model there."""
    return any((Path(folder) / name).exists() for name in (WEIGHTS, DESCRIPTION, METRICS))


def write_weights(path: str | Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name to one safetensors file, whole or not at all."""
    with whole_file(path) as temporary:
        _save_weights(temporary, state)


def _save_weights(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes the file; what the system said of a full disk, which safetensors tells as text, becomes an OSError."""
    writer = require_safetensors()
    try:
        writer.save_file({name: np.asarray(array, order="C") for name, array in state.items()}, path)
    except Exception as error:
        if code := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from None
        raise


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Reads what ``write_weights`` wrote."""
    return require_safetensors().load_file(path)


def require_safetensors() -> Any:
    """The safetensors.numpy module; InputError naming the mend where it is not installed."""
    try:
        import safetensors.numpy
    except ModuleNotFoundError:
        raise InputError("saving and loading models needs safetensors: pip install 'fastfm-core[train]'") from None
    return safetensors.numpy


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: cut or damaged, not JSON ({error}); copy the whole folder again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not written by fastfm-core; give the folder of a trained model")
    return content


def _checksum(description: Mapping[str, Any]) -> str:
    """SHA-256 of what stands in model.json without it."""
    return hashlib.sha256(json_text(description).encode()).hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
