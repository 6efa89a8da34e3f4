"""What the command line's commands do. Each takes the parsed options; results go to stdout, the rest to stderr."""

from __future__ import annotations

import os
import zlib
from argparse import Namespace
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

from fastfm_core import backends, checkpoint, inspection, models, optim, prepare, report, run_options, threads, trained
from fastfm_core import train as training
from fastfm_core.config import GROUP_LOSSES, TrainConfig, parse_settings
from fastfm_core.config_file import read_config
from fastfm_core.data import Batches
from fastfm_core.data.negatives import NegativeBatches, item_fields, with_negatives
from fastfm_core.errors import InputError
from fastfm_core.files import require_place, write_json
from fastfm_core.info import installation
from fastfm_core.interrupts import Interrupts
from fastfm_core.progress import EpochProgress, PassProgress, say
from fastfm_core.recommend import recommend_files
from fastfm_core.report import Stopwatch
from fastfm_core.run import RECORD, Run, fingerprint, unfinished
from fastfm_core.score import evaluate_file, predict_file
from fastfm_core.serving import onnx_file, onnx_trained
from fastfm_core.source import Source
from fastfm_core.trained import TrainedModel


def train(options: Namespace) -> None:
    """Trains a model on a table, saves it with its metrics, and shows how good it is."""
    if options.resume and not unfinished(options.out):
        return _show_finished(Path(options.out))
    config, backend, base = _check_train(options)
    watch = Stopwatch(backend)
    source = _source(options)
    with watch.measure("encode"):
        known = None if base is None else base.encoder
        prepared = prepare.prepare(
            source, seed=options.seed, min_count=config.min_count, base=known, progress=PassProgress
        )
    config = config.resolved(len(prepared.parts["train"].rows))
    _say_notes(prepared, config, watch.seconds["encode"])
    with _run(options, prepared) as run:
        model, optimizer = _start_model(options, source, prepared, config, backend, base)
        batches = _batches(options, source, prepared.parts["train"], model)
        with watch.measure("train"):
            result = _fit(model, optimizer, batches, prepared.parts["valid"], run, watch)
        scores = {name: _score(model, part) for name, part in prepared.parts.items()}
        metrics = report.train_metrics(model, backend, watch, result, scores)
        model.save(run.folder, metrics, optimizer.state_dict())
        run.finish()
    print(report.score_line("test", scores["test"]))
    print(f"model saved in {run.folder}", flush=True)
    _write_metrics(options, metrics)


def evaluate(options: Namespace) -> None:
    """Scores a trained model on a table with labels."""
    _check_metrics_place(options)
    backend = backends.get(options.backend)
    watch = Stopwatch(backend)
    model = _with_join(trained.load(options.folder, backend), options)
    with watch.measure("evaluate"):
        score = evaluate_file(model, options.data, PassProgress, options.group)
    print(report.score_line(Path(options.data).name, score), flush=True)
    _write_metrics(options, report.evaluate_metrics(model, backend, watch, score))


def predict(options: Namespace) -> None:
    """Writes a trained model's predictions for a table, one row per row of the table."""
    if options.out:
        require_place(options.out)
    model = _with_join(trained.load(options.folder, backends.get(options.backend)), options)
    predict_file(model, options.data, out=options.out, form=options.format, id=options.id, passes=PassProgress)


def recommend(options: Namespace) -> None:
    """Writes the best items for each user of a table."""
    if options.out:
        require_place(options.out)
    if options.threads is not None:
        threads.set_num_threads(options.threads)
    model = trained.load(options.folder, backends.get("native"))
    recommend_files(
        model, options.users, options.items, out=options.out, seen=options.seen, k=options.k, user_id=options.user_id,
        item_id=options.item_id, passes=PassProgress, say=say,
    )  # fmt: skip


def inspect(options: Namespace) -> None:
    """Ranks columns and pairs of columns by what they contribute to a trained model's outputs on a table."""
    if options.json:
        require_place(options.json)
    model = _with_join(trained.load(options.folder, backends.get(options.backend)), options)
    found = inspection.inspect_file(model, options.data, rows=options.rows, passes=PassProgress)
    output = "prediction" if model.task == "regression" else "logit"
    say(f"first {found.rows:,} rows of {Path(options.data).name}; effect: mean change of the {output}, column permuted")
    print("\n".join(inspection.to_lines(model, found, options.top)), flush=True)
    if options.json:
        write_json(options.json, inspection.to_json(model, found))


def bench(options: Namespace) -> int:
    """Times kernels and a training step beside the machine's ceilings; the exit status."""
    from fastfm_core.bench import command  # loads Numba

    return command.bench(options)


def export(options: Namespace) -> None:
    """Writes a trained model as an ONNX file or as a scorer's."""
    require_place(options.onnx or options.scorer)
    if options.onnx:
        onnx_file.require_onnx()
        onnx_trained.export_trained(trained.load(options.folder, backends.get("reference")), options.onnx)
    else:
        trained.load(options.folder, backends.get("native"), mapped=True).model.scorer().save(options.scorer)
    print(f"model written to {options.onnx or options.scorer}")


def info(options: Namespace) -> None:
    """Shows version, backends, threads, libraries and folders."""
    for name, text in installation():
        print(f"{name:<20}{text}")


def _check_train(options: Namespace) -> tuple[TrainConfig, Any, TrainedModel | None]:
    """Finds whatever can be found wrong before the data are read; sets the threads.

    Returns the settings, the backend and the model to start from, if there is one.
    """
    settings = [*read_config(options.config).settings, *options.set]
    config = parse_settings(settings)
    run_options.require_sides(options)
    config.require_task(options.task, grouped=options.group is not None, negatives=options.sample_negatives or 0)
    if options.model not in models.MODELS:
        raise InputError(f"--model {options.model}: choose one of {', '.join(models.MODELS)}")
    _check_metrics_place(options)
    checkpoint.require_safetensors()
    if options.out and not options.resume:
        report.require_free(options.out, overwrite=options.overwrite)
    if options.threads is not None:
        threads.set_num_threads(options.threads)
    backend = backends.get(options.backend)
    if options.warm_start is None:
        return config, backend, None
    base = trained.load(options.warm_start, backend)
    config = parse_settings(settings, base.config)
    base.require_shape(config)
    return config, backend, base


def _source(options: Namespace) -> Source:
    """What the options and the configuration file say about the data; files by their absolute paths."""
    given = {name: getattr(options, name) for name in Source._fields if hasattr(options, name)}
    for name in ("data", "valid", "test"):
        given[name] = given[name] and os.path.abspath(given[name])
    declared = read_config(options.config).fields
    given["sampled"] = options.sample_negatives is not None
    return Source(**{**given, "join": [run_options.parse_join(text) for text in options.join], "declared": declared})


def _with_join(model: TrainedModel, options: Namespace) -> TrainedModel:
    """The model, joining the files that --join names in place of training's."""
    return model._replace(join=[run_options.parse_join(text) for text in options.join]) if options.join else model


def _check_metrics_place(options: Namespace) -> None:
    if options.metrics_json:
        require_place(options.metrics_json)


def _write_metrics(options: Namespace, metrics: dict[str, Any]) -> None:
    if options.metrics_json:
        write_json(options.metrics_json, metrics)


def _say_notes(prepared: prepare.Prepared, config: TrainConfig, seconds: float) -> None:
    for line in prepared.notes:
        say(line)
    if config.embedding_l2 and config.rows == "lazy":
        say(f"embedding_l2={config.embedding_l2:g} is applied to the rows a batch touches only (rows=lazy)")
    parts = ", ".join(f"{name} {len(part.rows):,} rows" for name, part in prepared.parts.items())
    say(f"{parts}; {'encoded by an earlier run' if prepared.cached else f'encoded in {seconds:.1f} s'}")


def _run(options: Namespace, prepared: prepare.Prepared) -> AbstractContextManager[Run]:
    """The run's folder, a new one or the one to resume."""
    labels = {name: [len(part.rows), zlib.crc32(part.labels.tobytes())] for name, part in prepared.parts.items()}
    mark = fingerprint(prepared.encoder.to_dict(), labels)
    if options.resume:
        return report.old_run(options.out, mark)
    return report.new_run(options.out, f"{prepared.name}-{options.model}", run_options.to_keep(options), mark)


def _show_finished(folder: Path) -> None:
    """What the training printed at its end, and that it is over."""
    if (folder / RECORD).is_file():
        Run.open(folder).clean()
    metrics = checkpoint.read_json(folder / checkpoint.METRICS)
    say(f"the training in {folder} is finished")
    print(report.score_line("test", metrics["test"]))
    print(f"model saved in {folder}")


def _start_model(
    options: Namespace,
    source: Source,
    prepared: prepare.Prepared,
    config: TrainConfig,
    backend: Any,
    base: TrainedModel | None,
) -> tuple[TrainedModel, optim.Optimizer]:
    """A fresh model with its optimizer, or ``base`` grown by the new values."""
    if base is not None:
        model = base.grown(prepared.encoder, config, options.seed)
        return model, base.grown_optimizer(model, checkpoint.load_optimizer(options.warm_start))
    model = trained.create(
        options.model, prepared.encoder, config, backend,
        labels=with_negatives(prepared.parts["train"].labels, options.sample_negatives or 0),
        label=prepared.label, task=options.task, id=options.id, seed=options.seed, columns=prepared.columns,
        join=list(source.join),
    )  # fmt: skip
    return model, model.optimizer()


def _batches(options: Namespace, source: Source, part: prepare.Part, model: TrainedModel) -> Batches:
    """The training rows in batches, with the negatives that are sampled for them."""
    config = model.config
    assert config.batch_size is not None
    shared: dict[str, Any] = {"drop_to_unknown": model.encoder.drop_to_unknown, "plan": model.model.backend.plan_ahead}
    if options.sample_negatives is None:
        return Batches(part.encoded, part.rows, config.batch_size, model.seed, **shared)
    return NegativeBatches(
        part.encoded, part.rows, config.batch_size, model.seed, users=part.codes["user"], items=part.codes["item"],
        negatives=options.sample_negatives, of_item=item_fields(model.encoder, source.item_columns),
        grouped=config.loss_of(model.task) in GROUP_LOSSES, **shared,
    )  # fmt: skip


def _fit(
    model: TrainedModel, optimizer: optim.Optimizer, batches: Batches, valid: prepare.Part, run: Run, watch: Stopwatch
) -> training.Training:
    if run.position is not None:
        say(f"resumed in epoch {run.position['epoch']}, after {run.position['batch']} of {len(batches)} batches")
    with closing(EpochProgress(batches.samples, watch.compile_line)) as progress, Interrupts() as interrupts:
        return training.fit(
            model.model, optimizer, batches, valid.in_order(), model.config, task=model.task, run=run,
            valid_groups=valid.codes.get("group"), negatives=batches.negatives, progress=progress,
            clock=watch.clock, interrupted=lambda: interrupts.number,
        )  # fmt: skip


def _score(model: TrainedModel, part: prepare.Part) -> dict[str, Any]:
    """A part's metrics, the share of unknown ids included."""
    measured = training.evaluate(model.model, part.in_order(), model.task, part.codes.get("group"))
    return {**measured, "unseen_id_share": part.unseen_id_share}
