"""What the command line's commands do. Each takes the parsed options; results go to stdout, the rest to stderr."""

from __future__ import annotations

import csv
import math
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from fastfm_core import backends, checkpoint, info, optim, report, threads, trained
from fastfm_core.config import TrainConfig, parse_settings
from fastfm_core.data import Batches, read_table
from fastfm_core.data.columns import column_of, text_of
from fastfm_core.files import require_place, whole_file, write_json
from fastfm_core.prepare import Prepared, Source, encode_file, naming, prepare
from fastfm_core.progress import EpochProgress, say
from fastfm_core.report import Stopwatch, run_folder, score_line
from fastfm_core.train import Training, evaluate as score, fit
from fastfm_core.trained import TrainedModel, build_model


def train(options: Namespace) -> None:
    """Trains a model on a table, saves it with its metrics, and shows how good it is."""
    config = parse_settings(options.set)
    checkpoint.require_safetensors()
    _require_places(options.metrics_json)
    backend = _backend(options)
    watch = Stopwatch(backend)
    source = Source(**{name: getattr(options, name) for name in Source._fields})
    with watch.measure("encode"):
        prepared = prepare(source, seed=options.seed, min_count=config.min_count)
    config = config.resolved(len(prepared.parts["train"].rows))
    _say_notes(prepared, config)
    with run_folder(options.out, f"{prepared.name}-{options.model}", overwrite=options.overwrite) as folder:
        model = TrainedModel(
            build_model(options.model, prepared.encoder, config, backend, seed=options.seed, bias=_bias(prepared)),
            prepared.encoder, config, options.model, prepared.label, options.task, options.id, options.seed,
        )  # fmt: skip
        with watch.measure("train"):
            training = _fit(model, prepared, folder, watch)
        metrics = _metrics(model, prepared, training, watch, backend)
        model.save(folder, metrics)
    _write_metrics(options.metrics_json, metrics)
    print(score_line("test", metrics["test"]))
    print(f"model saved in {folder}")


def evaluate(options: Namespace) -> None:
    """Scores a trained model on a table with labels."""
    _require_places(options.metrics_json)
    backend = backends.get("auto")
    watch = Stopwatch(backend)
    model = trained.load(options.folder, backend)
    with watch.measure("encode"):
        part = encode_file(options.data, model.encoder, model.label, model.task)
    with watch.measure("evaluate"):
        measured = score(model.model, part.in_order(), model.task)
    ...
