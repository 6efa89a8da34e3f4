"""The folder of a training: what was asked for, where the training stands, and the arrays from which it goes on.

    run.json                         the options, a fingerprint of the data, where the training stands, and name and
                                     SHA-256 of the files it needs
    step-<epoch>-<batch>.safetensors model and optimizer after so many batches of an epoch; at most two are kept,
                                     the latest and the best
    history.jsonl                    one line per evaluation, for readers; written from run.json

A checkpoint is the rename of run.json: before it everything that the new one names is on the disk, after it what
nothing names any more is deleted. So the folder can be resumed whenever the process was killed. Draws are
counter-based: position and seed are the generator's state. A finished run keeps options and history.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastfm_core import checkpoint
from fastfm_core.errors import InputError, Interrupted
from fastfm_core.files import remove_matching, write_json, write_json_lines

if TYPE_CHECKING:
    from fastfm_core.saved_arrays import SavedArrays

RECORD, HISTORY = "run.json", "history.jsonl"
PARTS = (*(f".{name}.*.part" for name in (RECORD, HISTORY, "step-*")), *checkpoint.PARTS)
FORMAT, FORMAT_NUMBER = "fastfm-core run", 2


class Run:
    """A run's folder.

    options      JSON values: what the run was started with
    position     JSON values: where the training stands; None before the first checkpoint
    finished     True when the folder holds the trained model
    """

    def __init__(self, folder: str | Path, record: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self._record: dict[str, Any] = record

    @classmethod
    def start(cls, folder: str | Path, options: Mapping[str, Any], fingerprint: str = "") -> Run:
        """A new run in an existing folder; one that was there before is forgotten, a model is left alone."""
        record: dict[str, Any] = {"format": FORMAT, "format_number": FORMAT_NUMBER, "finished": False}
        record |= {"options": dict(options), "fingerprint": fingerprint, "position": None, "latest": None, "best": None}
        run = cls(folder, record)
        run._write({})
        run.clean()
        (run.folder / HISTORY).unlink(missing_ok=True)
        return run

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """The run in a folder. InputError when there is none or its record cannot be read."""
        path = Path(folder) / RECORD
        if not path.is_file():
            raise InputError(f"{folder}: holds no training to resume, {RECORD} is missing; start one without --resume")
        record = checkpoint.read_json(path)
        # a finished run of format 1 names no arrays, and nothing else of a record has changed since
        readable = (FORMAT_NUMBER, 1) if record.get("finished") else (FORMAT_NUMBER,)
        if record.get("format") != FORMAT or record.get("format_number") not in readable:
            raise InputError(f"{path}: not written by this version of fastfm-core; start anew with --overwrite")
        return cls(folder, record)

    @property
    def options(self) -> dict[str, Any]:
        return self._record["options"]

    @property
    def position(self) -> dict[str, Any] | None:
        return self._record["position"]

    @property
    def finished(self) -> bool:
        return self._record["finished"]

    def save(self, name: str, arrays: Mapping[str, np.ndarray], position: dict[str, Any], *, best: bool) -> None:
        """Makes (arrays, position) the latest checkpoint, and the best one when ``best``.

        The same name stands for the same arrays. position["history"] is a list of records.
        """
        path = self.folder / f"step-{name}.safetensors"
        checkpoint.write_weights(path, arrays)
        mark = {"file": path.name, "sha256": checkpoint.sha256(path)}
        self._write({"position": position, "latest": mark} | ({"best": mark} if best else {}))

    def write_history(self) -> None:
        """Writes the history for readers."""
        write_json_lines(self.folder / HISTORY, self.position["history"] if self.position else [])

    def latest(self) -> SavedArrays:
        """The arrays of the latest checkpoint. InputError when a file that the run needs is missing or damaged."""
        for path, checksum in self._named.items():
            if not path.is_file() or checkpoint.sha256(path) != checksum:
                raise InputError(f"{path}: missing, cut or damaged, so the training cannot go on; use --overwrite")
        return checkpoint.read_weights(self.folder / self._record["latest"]["file"])

    def best(self) -> SavedArrays:
        """The arrays of the best checkpoint."""
        return checkpoint.read_weights(self.folder / self._record["best"]["file"])

    def finish(self) -> None:
        """To be called when the model is saved: the checkpoint is no longer needed."""
        self._write({"finished": True, "position": None, "latest": None, "best": None})

    def interrupted(self, number: int) -> Interrupted:
        """The error for a signal that stopped the training after a checkpoint."""
        return Interrupted(f"stopped; go on with: fastfm-core train --resume --out {self.folder}", number)

    def require_data(self, fingerprint: str) -> None:
        """InputError when the data are not those that the training was started on."""
        if fingerprint != self._record["fingerprint"]:
            raise InputError(f"{self.folder}: the data changed since this training began; start anew with --overwrite")

    def forget(self) -> None:
        """Removes the run from its folder; what else is there stays."""
        self._record = self._record | {"latest": None, "best": None}
        for name in (RECORD, HISTORY):
            (self.folder / name).unlink(missing_ok=True)
        self.clean()

    def clean(self) -> None:
        """Removes what killed writers left and what the record does not name."""
        remove_matching(self.folder, PARTS)
        self._drop_unnamed()

    def _write(self, changes: dict[str, Any]) -> None:
        record = self._record | changes
        write_json(self.folder / RECORD, record)
        self._record = record
        self._drop_unnamed()

    @property
    def _named(self) -> dict[Path, str]:
        """The files that the record names, with their SHA-256."""
        marks = filter(None, (self._record["latest"], self._record["best"]))
        return {self.folder / mark["file"]: mark["sha256"] for mark in marks}

    def _drop_unnamed(self) -> None:
        for path in self.folder.glob("step-*.safetensors"):
            if path not in self._named:
                path.unlink(missing_ok=True)


def unfinished(folder: str | Path) -> bool:
    """True when the folder holds a training that can be resumed."""
    return (Path(folder) / RECORD).is_file() and not Run.open(folder).finished


def fingerprint(*content: Any) -> str:
    """SHA-256 of JSON values, to notice that data changed."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
