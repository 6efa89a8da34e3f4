"""What the command line's commands do. Each takes the parsed options; results go to stdout, the rest to stderr."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import closing
from pathlib import Path
from typing import Any

from fastfm_core import backends, checkpoint, models, optim, prepare, report, threads, trained
from fastfm_core import train as training
from fastfm_core.config import TrainConfig, parse_settings
from fastfm_core.config_file import read_config
from fastfm_core.data import Batches
from fastfm_core.errors import InputError
from fastfm_core.files import require_place, write_json
from fastfm_core.info import installation
from fastfm_core.progress import EpochProgress, PassProgress, say
from fastfm_core.report import Stopwatch
from fastfm_core.score import evaluate_file, predict_file
from fastfm_core.source import Source
from fastfm_core.trained import TrainedModel


def train(options: Namespace) -> None:
    """Trains a model on a table, saves it with its metrics, and shows how good it is."""
    config, backend = _check_train(options)
    watch = Stopwatch(backend)
    source = _source(options)
    with watch.measure("encode"):
        prepared = prepare.prepare(source, seed=options.seed, min_count=config.min_count, progress=PassProgress)
    config = config.resolved(len(prepared.parts["train"].rows))
    _say_notes(prepared, config)
    stem = f"{prepared.name}-{options.model}"
    with report.run_folder(options.out, stem, overwrite=options.overwrite) as folder:
        model = trained.create(
            options.model, prepared.encoder, config, backend, labels=prepared.parts["train"].labels,
            label=prepared.label, task=options.task, id=options.id, seed=options.seed, columns=prepared.columns,
            join=list(source.join),
        )  # fmt: skip
        with watch.measure("train"):
            result = _fit(model, prepared.parts, folder, watch)
        scores = {name: _score(model, part) for name, part in prepared.parts.items()}
        metrics = report.train_metrics(model, backend, watch, result, scores)
        model.save(folder, metrics)
    print(report.score_line("test", scores["test"]))
    print(f"model saved in {folder}", flush=True)
    _write_metrics(options, metrics)


def evaluate(options: Namespace) -> None:
    """Scores a trained model on a table with labels."""
    _check_metrics_place(options)
    backend = backends.get("auto")
    watch = Stopwatch(backend)
    model = _with_join(trained.load(options.folder, backend), options)
    with watch.measure("evaluate"):
        score = evaluate_file(model, options.data, PassProgress)
    print(report.score_line(Path(options.data).name, score), flush=True)
    _write_metrics(options, report.evaluate_metrics(model, backend, watch, score))


def predict(options: Namespace) -> None:
    """Writes a trained model's predictions for a table, one row per row of the table."""
    if options.out:
        require_place(options.out)
    model = _with_join(trained.load(options.folder), options)
    predict_file(model, options.data, out=options.out, form=options.format, id=options.id, passes=PassProgress)


def info(options: Namespace) -> None:
    """Shows version, backends, threads, libraries and folders."""
    for name, text in installation():
        print(f"{name:<20}{text}")


def _check_train(options: Namespace) -> tuple[TrainConfig, Any]:
    """Finds whatever can be found wrong before the data are read; sets the threads; returns settings and backend."""
    config = parse_settings([*read_config(options.config).settings, *options.set])
    if options.model not in models.MODELS:
        raise InputError(f"--model {options.model}: choose one of {', '.join(models.MODELS)}")
    _check_metrics_place(options)
    if options.out:
        report.require_free(options.out, overwrite=options.overwrite)
    checkpoint.require_safetensors()
    if options.threads is not None:
        threads.set_num_threads(options.threads)
    return config, backends.get(options.backend)


def _source(options: Namespace) -> Source:
    """What the options and the configuration file say about the data; files by their absolute paths."""
    given = {name: getattr(options, name) for name in Source._fields if hasattr(options, name)}
    for name in ("data", "valid", "test"):
        given[name] = given[name] and os.path.abspath(given[name])
    declared = read_config(options.config).fields
    return Source(**{**given, "join": [_join(text) for text in options.join], "declared": declared})


def _join(text: str) -> tuple[str, str]:
    file, colon, key = text.rpartition(":")
    if not colon or not file or not key:
        raise InputError(f"--join {text}: write FILE:KEY, for example --join movies.csv:movieId")
    return os.path.abspath(file), key


def _with_join(model: TrainedModel, options: Namespace) -> TrainedModel:
    """The model, joining the files that --join names in place of training's."""
    return model._replace(join=[_join(text) for text in options.join]) if options.join else model


def _check_metrics_place(options: Namespace) -> None:
    if options.metrics_json:
        require_place(options.metrics_json)


def _write_metrics(options: Namespace, metrics: dict[str, Any]) -> None:
    if options.metrics_json:
        write_json(options.metrics_json, metrics)


def _say_notes(prepared: prepare.Prepared, config: TrainConfig) -> None:
    for line in prepared.notes:
        say(line)
    if config.embedding_l2 and config.rows == "lazy":
        say(f"embedding_l2={config.embedding_l2:g} is applied to the rows a batch touches only (rows=lazy)")
    say(", ".join(f"{name} {len(part.rows):,} rows" for name, part in prepared.parts.items()))


def _fit(model: TrainedModel, parts: dict[str, prepare.Part], folder: Path, watch: Stopwatch) -> training.Training:
    config, part = model.config, parts["train"]
    assert config.batch_size is not None and config.lr is not None
    drop = model.encoder.drop_to_unknown
    batches = Batches(part.encoded, part.rows, config.batch_size, model.seed, drop_to_unknown=drop)
    optimizer = optim.build(
        config.optimizer, model.model, lr=config.lr, embedding_l2=config.embedding_l2, rows=config.rows
    )
    with closing(EpochProgress(len(part.rows), watch.compile_line)) as progress:
        return training.fit(
            model.model, optimizer, batches, parts["valid"].in_order(), config,
            task=model.task, snapshot_dir=folder, progress=progress, clock=watch.clock,
        )  # fmt: skip


def _score(model: TrainedModel, part: prepare.Part) -> dict[str, Any]:
    """A part's metrics, the share of unknown ids included."""
    measured = training.evaluate(model.model, part.in_order(), model.task)
    return {**measured, "unseen_id_share": part.unseen_id_share}
