"""A trained model on the disk: a folder with weights, description and metrics. No pickle, nothing executable.

    model.safetensors      every array of the model's state by name
    optimizer.safetensors  the optimizer's state that belongs to it, for a warm start; absent where nobody gave it
    model.json             what rebuilds the model around them (names, hyper-parameters, encoder, version) the
                           SHA-256 of the two and its own, so that a mixed, cut or damaged set is noticed
    metrics.json           how the training went

The three are written beside their places and renamed together, model.json last: a folder without it holds no model.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import fastfm_core
from fastfm_core.errors import InputError
from fastfm_core.files import json_text, whole_file

if TYPE_CHECKING:  # it needs safetensors, which is imported by whoever saves or loads
    from fastfm_core.saved_arrays import SavedArrays

WEIGHTS, DESCRIPTION, METRICS = "model.safetensors", "model.json", "metrics.json"
OPTIMIZER = "optimizer.safetensors"
FILES = (WEIGHTS, OPTIMIZER, DESCRIPTION, METRICS)
PARTS = (*(f".{name}.*.part" for name in FILES), ".tmp??????")  # what a killed writer may leave, the library's too
FORMAT, FORMAT_NUMBER = "fastfm-core model", 3
APART = 2  # the format that kept embeddings [V, D] and first order [V] apart
CHECKSUM = "sha256"


class Checkpoint(NamedTuple):
    """What ``load`` returns: the model's state by name, the description given to ``save``, the metrics."""

    state: Mapping[str, np.ndarray]
    description: dict[str, Any]
    metrics: dict[str, Any]


def save(
    folder: str | Path,
    state: Mapping[str, np.ndarray],
    description: Mapping[str, Any],
    metrics: Mapping[str, Any],
    optimizer: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes the model into ``folder``, made if absent; files of the same names there are replaced.

    state        arrays of any float or integer dtype
    description  JSON values: whatever rebuilds the model; format, format number, version and checksum are added
    metrics      JSON values; NaN becomes null
    optimizer    the optimizer's state by name, for a later warm start
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    header = {"format": FORMAT, "format_number": FORMAT_NUMBER, "version": fastfm_core.__version__}
    with ExitStack() as stack:  # left in the order of renaming, from the last line to the first
        described, measured = (stack.enter_context(whole_file(folder / name)) for name in (DESCRIPTION, METRICS))
        checksums = {}
        for key, name, arrays in (("optimizer", OPTIMIZER, optimizer), ("weights", WEIGHTS, state)):
            if arrays is not None:
                path = stack.enter_context(whole_file(folder / name))
                _save_weights(path, arrays)
                checksums[f"{key}_sha256"] = sha256(path)
        measured.write_text(json_text(metrics), encoding="utf-8")
        content = header | dict(description) | checksums
        described.write_text(json_text(content | {CHECKSUM: _checksum(content)}), encoding="utf-8")
    if optimizer is None:
        (folder / OPTIMIZER).unlink(missing_ok=True)


def load(folder: str | Path) -> Checkpoint:
    """Reads what ``save`` wrote.

    Raises InputError when the folder or a file of it is missing, cut, damaged, another program's, or a newer version's.
    """
    folder = Path(folder)
    description = load_description(folder)
    if not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder / WEIGHTS}: missing, the model is incomplete; copy the whole folder or train again")
    if sha256(folder / WEIGHTS) != description.get("weights_sha256"):
        raise InputError(
            f"{folder / WEIGHTS}: cut, damaged, or not from {DESCRIPTION}'s training; copy the whole folder again"
        )
    metrics = read_json(folder / METRICS) if (folder / METRICS).is_file() else {}
    return Checkpoint(_read(folder / WEIGHTS, description), description, metrics)


def load_description(folder: str | Path) -> dict[str, Any]:
    """What rebuilds the model in a folder, without its weights; InputError as ``load`` raises it."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder that `fastfm-core train` named at its end")
    if not (folder / DESCRIPTION).is_file():
        raise InputError(f"{folder}: holds no model, {DESCRIPTION} is missing; give the folder of a finished training")
    description = read_json(folder / DESCRIPTION)
    if description.get("format") != FORMAT:
        raise InputError(f"{folder / DESCRIPTION}: not written by fastfm-core; give the folder of a trained model")
    if description.get("format_number") not in (APART, FORMAT_NUMBER):
        wrote = description.get("version")
        raise InputError(f"{folder}: written by fastfm-core {wrote}, which this version cannot read; install that one")
    if description.pop(CHECKSUM, None) != _checksum(description):
        raise InputError(f"{folder / DESCRIPTION}: damaged or edited; copy the whole folder again or train again")
    return description


def load_optimizer(folder: str | Path) -> Mapping[str, np.ndarray]:
    """The optimizer's state saved beside a model. InputError when there is none, or it is cut or another training's."""
    path = Path(folder) / OPTIMIZER
    description = load_description(folder)
    if not path.is_file():
        raise InputError(f"{path}: missing, the model was saved without its optimizer's state; train it again")
    if sha256(path) != description.get("optimizer_sha256"):
        raise InputError(f"{path}: cut, damaged, or not from {DESCRIPTION}'s training; copy the whole folder again")
    return _read(path, description)


def holds_model(folder: str | Path) -> bool:
    """True when a training has put (part of) a model there."""
    return any((Path(folder) / name).exists() for name in FILES)


def write_weights(path: str | Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name to one safetensors file, whole or not at all."""
    with whole_file(path) as temporary:
        _save_weights(temporary, state)


def _save_weights(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes the file; what the system said of a full disk, which safetensors tells as text, becomes an OSError."""
    library = require_safetensors()
    from safetensors import SafetensorError

    path.touch()
    mode = path.stat().st_mode
    try:
        library.save_file({name: np.asarray(array, order="C") for name, array in state.items()}, path)
    except SafetensorError as error:
        code = re.search(r"os error (\d+)", str(error))
        raise (OSError(int(code[1]), os.strerror(int(code[1]))) if code else OSError(str(error))) from None
    path.chmod(mode)  # the library may have renamed a private file of its own (PARTS) over ours


def read_weights(path: str | Path) -> SavedArrays:
    """What ``write_weights`` wrote, read array by array as each is asked for."""
    require_safetensors()
    from fastfm_core.saved_arrays import SavedArrays

    return SavedArrays(path)


def _read(path: Path, description: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
    """The arrays of a model or of its optimizer, by today's names."""
    arrays = read_weights(path)
    return joined(arrays, path) if description["format_number"] == APART else arrays


def joined(arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """What format 2 kept as <module>.table [V, D] and <module>.linear [V], or their states, as one table [V, D + 1]."""
    result = dict(arrays)
    for name in [name for name in arrays if name.partition("/")[0].endswith(".linear")]:
        table, linear = name.replace(".linear", ".table"), result.pop(name)
        if "/" in name and linear.ndim == 1:
            raise InputError(f"{path}: row-wise Adagrad's state of an older version fits no row of today; train anew")
        embeddings = result.get(table, np.zeros((len(linear), 0), linear.dtype))
        result[table] = np.concatenate([embeddings, linear.reshape(-1, 1)], axis=1)
    return result


def require_safetensors() -> Any:
    """The safetensors.numpy module; InputError naming the mend where it is not installed."""
    try:
        import safetensors.numpy
    except ModuleNotFoundError:
        raise InputError("saving and loading models needs safetensors: pip install 'fastfm-core[train]'") from None
    return safetensors.numpy


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object. InputError when it is cut or something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: cut or damaged, not JSON ({error}); copy the whole folder again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not written by fastfm-core; give the folder of a training")
    return content


def _checksum(description: Mapping[str, Any]) -> str:
    """SHA-256 of what stands in model.json without it."""
    return hashlib.sha256(json_text(description).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Of a file's bytes, as hexadecimal text."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
