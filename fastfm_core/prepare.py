"""From files to encoded training, validation and test part, encoded once and then mapped from the cache."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastfm_core
from fastfm_core.data import Batches, Encoded, Encoder, cache
from fastfm_core.data.readers import require_file
from fastfm_core.data.schema import field_to_dict
from fastfm_core.data.stream import digest, require_unchanged, stamps
from fastfm_core.data.text import engine
from fastfm_core.errors import InputError
from fastfm_core.files import naming_full
from fastfm_core.preparation import Preparation
from fastfm_core.source import PARTS, Source

EVALUATION_BATCH = 4096


class Part(NamedTuple):
    """One part: the samples ``rows`` [k] of an encoded table, and the share of unknown ids in it per field.

    codes  numbers [k] of the values of columns by what these are for: group, user, item
    """

    encoded: Encoded
    rows: np.ndarray
    unseen_id_share: dict[str, float]
    codes: dict[str, np.ndarray]

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
    columns   of DATA's own file, in order: what a file without header is taken to have
    parts     train, valid, test;  encoder  fitted on train alone
    notes     lines for the reader: what every column was taken for, collisions, suspected leaks
    cached    nothing was read: the same files had been encoded with the same options
    """

    name: str
    label: str
    columns: list[str]
    encoder: Encoder
    parts: dict[str, Part]
    notes: list[str]
    cached: bool


def prepare(
    source: Source, *, seed: int, min_count: int | None = None, base: Encoder | None = None, progress: Any = None
) -> Prepared:
    """Reads, splits, types, fits and encodes, or finds all that in the cache.

    The parts that no file gives are cut from DATA, 7 : 1 : 2, stratified unless ``split`` says otherwise.

    base      an encoder to extend by DATA's values, instead of one that is fitted on DATA alone
    progress  called with a pass's name, gives the context in which ``each_piece`` reports; None: silent
    """
    before = stamps(source.paths)
    key = _key(source, seed, min_count, base)
    entry = cache.find_entry(key)
    cached = entry is not None
    if entry is None:
        with naming_full(cache.tables_folder()), cache.new_entry(key) as (folder, manifest):
            manifest |= Preparation(source, seed, min_count, base, progress).write(folder)
            require_unchanged(before)
        entry = cache.find_entry(key)
    if entry is None:
        raise InputError(f"{cache.tables_folder()}: an encoded table vanished while it was made; run again")
    folder, manifest = entry
    encoder = Encoder.from_dict(manifest["encoder"])
    tables = {name: cache.map_encoded(folder, name, about) for name, about in manifest["tables"].items()}
    parts = {name: _part(folder, name, tables, manifest["parts"][name]) for name in PARTS}
    return Prepared(manifest["name"], manifest["label"], manifest["columns"], encoder, parts, manifest["notes"], cached)


def _part(folder: Path, name: str, tables: dict[str, Encoded], about: dict[str, Any]) -> Part:
    rows = np.array(cache.map_array(folder / f"{name}.rows", [about["count"]], "<i8"))
    count = [about["count"]]
    codes = {
        purpose: np.array(cache.map_array(folder / f"{name}.{purpose}", count, "<i4")) for purpose in about["codes"]
    }
    return Part(tables[about["table"]], rows, about["unseen_id_share"], codes)


def _key(source: Source, seed: int, min_count: int | None, base: Encoder | None) -> str:
    """Names everything that decides the encoded tables: contents, options, and this package's code."""
    contents = []
    for path in source.paths:
        require_file(path)
        contents.append([path.name, digest(path)])
    declared = list(map(field_to_dict, source.declared))
    options = {
        name: value
        for name, value in source._asdict().items()
        if name not in ("data", "valid", "test", "join", "declared")
    }
    joins = [key for _, key in source.join]
    extended = base.to_dict() if base else None
    content = [contents, list(source.files), options, joins, declared, extended, seed, min_count, _code()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _code() -> str:
    """A hash of the package's sources that read and encode, and of the extension where that does it."""
    folder = Path(fastfm_core.__file__).parent
    others = [folder / name for name in ("source.py", "labelling.py", "preparation.py", "leaks.py")]
    sources = [*(folder / "data").rglob("*.py"), *others, *engine.binary()]
    total = hashlib.sha256(fastfm_core.__version__.encode())
    for path in sorted(sources):
        total.update(path.read_bytes())
    return total.hexdigest()
