"""The command line: ``fastfm-core train | evaluate | predict | recommend | inspect | export | bench | info``.

Results go to stdout, everything else to stderr. Exit status 0; 2 with one line for a mistake in data or arguments;
1 with a traceback for a mistake of this program, and from bench for a kernel that is wrong or has become slower; 130
after Ctrl-C, 143 after SIGTERM, when a training first leaves a checkpoint. Whatever fails leaves no half-written file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

import fastfm_core
from fastfm_core import linking
from fastfm_core.errors import BackendUnavailable, InputError, Interrupted, NonFiniteLoss
from fastfm_core.files import naming_full
from fastfm_core.models import MODELS

FILES = "CSV, TSV, Parquet (file or folder), libsvm or libffm"
USER_MISTAKES = (InputError, BackendUnavailable, NonFiniteLoss)


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument like every other mistake: one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


class Folder(argparse.Action):
    """Prints the folder that ``linking`` has under the option's name, and nothing else is done."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(getattr(linking, self.dest)())
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    try:
        options = _parse(arguments)
        from fastfm_core import commands

        with naming_full("standard output"):
            status = getattr(commands, options.command)(options)
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_unwritten()
        return 141
    except Interrupted as error:
        print(f"fastfm-core: {error}", file=sys.stderr)
        return 128 + error.number
    except (*USER_MISTAKES, OSError, MemoryError) as error:
        print(f"fastfm-core: {_one_line(error)}", file=sys.stderr)
        _drop_unwritten()
        return 2
    except KeyboardInterrupt:
        print("fastfm-core: interrupted, nothing was saved", file=sys.stderr)
        return 130
    return status or 0


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}): lower dim or buckets, or raise min_count"
    return " ".join(str(error).split())


def _drop_unwritten() -> None:
    """What standard output does not take is dropped, so that the interpreter's own end does not try it again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; what is not given comes from the run to resume, the model to start from, or the --config file."""
    options = build_parser().parse_args(arguments)
    if options.command != "train":
        return options
    from fastfm_core import run_options
    from fastfm_core.config_file import read_config

    if options.resume:
        taken = run_options.kept(options)
    else:
        taken = read_config(options.config).options
        taken |= run_options.of_model(options.warm_start) if options.warm_start else {}
    try:
        options = build_parser(taken).parse_args(arguments)
    except InputError as error:
        raise InputError(f"{options.config}: {error}" if options.config else str(error)) from None
    if options.resume:
        run_options.require_same(options, taken)
    elif options.warm_start:
        run_options.require_of_model(options)
    return options


def build_parser(train_defaults: Mapping[str, Any] = MappingProxyType({})) -> argparse.ArgumentParser:
    """The parser of all commands; ``train_defaults`` stand in for options of train that are not given."""
    parser = Parser(prog="fastfm-core", description="Train, evaluate and use factorization-machine models on tables.")
    parser.add_argument("--version", action="version", version=f"fastfm-core {fastfm_core.__version__}")
    for name, what in (("includes", "C and C++ headers"), ("cmakedir", "CMake package"), ("libdir", "libfastfm.so")):
        parser.add_argument(f"--{name}", action=Folder, nargs=0, help=f"the folder of the {what}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    train = commands.add_parser("train", help="train a model on a table, or on the bundled data")
    _add_train(train)
    train.set_defaults(**train_defaults)
    evaluate = commands.add_parser("evaluate", help="score a trained model on a table with labels")
    _add_model_and_data(evaluate)
    _add_group(evaluate)
    _add_metrics_json(evaluate)
    predict = commands.add_parser("predict", help="write a trained model's predictions for a table")
    _add_model_and_data(predict)
    predict.add_argument("--id", metavar="COL", help="column to copy beside the predictions (default: training's --id)")
    predict.add_argument("--out", metavar="FILE", help="file to write (default: stdout)")
    predict.add_argument(
        "--format", choices=("csv", "parquet", "kaggle"), help="default: by the suffix of --out, or csv"
    )
    _add_recommend(commands.add_parser("recommend", help="write the best items for each user"))
    _add_inspect(
        commands.add_parser("inspect", help="rank columns and pairs by what they contribute to a trained model")
    )
    _add_bench(commands.add_parser("bench", help="time every kernel and a training step beside the machine's ceilings"))
    export = commands.add_parser("export", help="write a trained model as an ONNX file or as a scorer's")
    export.add_argument("folder", metavar="DIR", help="folder of a trained model")
    target = export.add_mutually_exclusive_group(required=True)
    target.add_argument("--onnx", metavar="FILE", help="ONNX file to write")
    target.add_argument("--scorer", metavar="FILE", help="file to write for libfastfm: C, C++, Rust")
    commands.add_parser("info", help="version, backends, threads, libraries and folders")
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", nargs="?", metavar="DATA", help=f"{FILES} (default: bundled data)")
    parser.add_argument("--valid", metavar="FILE", help="validation table (default: a tenth of DATA)")
    parser.add_argument("--test", metavar="FILE", help="test table (default: a fifth of DATA)")
    parser.add_argument("--label", metavar="COL|'COL>=X'", help="label column or condition (default: label)")
    parser.add_argument("--task", choices=("binary", "regression"), default="binary")
    parser.add_argument("--model", metavar="NAME", default="deepfm", help=f"{', '.join(MODELS)} (default: deepfm)")
    parser.add_argument("--categorical", metavar="COLS", help="comma-separated columns; * is all others")
    parser.add_argument("--numeric", metavar="COLS", help="columns that hold numbers")
    parser.add_argument("--multihot", metavar="COLS", help="columns with several values a cell, e.g. 'genres:|'")
    parser.add_argument("--cross", metavar="A*B", help="products of columns, hashed: 'age*gender,user*genre:1000000'")
    parser.add_argument("--user", metavar="COLS", help="columns of the user, first the one that identifies it")
    parser.add_argument("--item", metavar="COLS", help="columns of the item, first the one that identifies it")
    parser.add_argument("--drop", metavar="COLS", help="columns to leave out")
    parser.add_argument("--id", metavar="COL", help="column that names a row: left out, and copied beside predictions")
    parser.add_argument("--weight", metavar="COL", help="column of sample weights: left out of the features")
    _add_join(parser)
    parser.add_argument(
        "--split", metavar="HOW", type=_split, help="random, time:COL, group:COL or order (default: random)"
    )
    _add_group(parser)
    parser.add_argument(
        "--sample-negatives", metavar="K", type=int, help="K items that the user has not met, for each positive row"
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file with columns, settings and options")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="a hyper-parameter; repeatable")
    _add_backend(parser)
    parser.add_argument("--threads", metavar="N", type=int, help="threads (default: all cores)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of split and training (default: 0)")
    parser.add_argument("--out", metavar="DIR", help="folder for the model (default: runs/<data>-<model>-<n>)")
    parser.add_argument("--overwrite", action="store_true", help="replace the model in DIR")
    parser.add_argument("--warm-start", metavar="DIR", help="train a finished model on with DATA and its new values")
    parser.add_argument("--resume", action="store_true", help="go on with the training in --out DIR; no other options")
    _add_metrics_json(parser)


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", metavar="NAME", default="auto", help="kernels to use (default: auto, the CPU's fastest; see info)"
    )


def _add_join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--join", metavar="FILE:KEY", action="append", default=[], help="add FILE's columns by column KEY; repeatable"
    )


def _split(text: str) -> str:
    kind, colon, column = text.partition(":")
    if (kind in ("time", "group") and column) or (kind in ("random", "order") and not colon):
        return text
    raise argparse.ArgumentTypeError(f"{text} is none of random, time:COL, group:COL, order")


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    _add_model_and_data(parser)
    parser.add_argument("--top", metavar="N", type=_count, default=20, help="columns and pairs to show (default: 20)")
    parser.add_argument("--rows", metavar="N", type=_count, default=20_000, help="rows to read (default: 20000)")
    parser.add_argument("--json", metavar="FILE", help="write all columns and pairs here, too")


def _add_bench(parser: argparse.ArgumentParser) -> None:
    names = {"metavar": "NAME", "nargs": "+", "default": []}
    parser.add_argument("--backend", **names, help="default: all of the CPU but reference, which is slow")
    parser.add_argument("--kernel", **names, help="kernels of the contract, or step (default: all, and the step)")
    parser.add_argument("--kernels", metavar="FILE.py", nargs="+", default=[], help="files that register your kernels")
    parser.add_argument("--all", action="store_true", help="every case of a kernel and three steps, not the first")
    parser.add_argument("--rounds", metavar="N", type=_count, default=15, help="timings of a case (default: 15)")
    parser.add_argument("--rows", metavar="N", type=_count, default=1_000_000, help="of the table (default: 1000000)")
    parser.add_argument("--batch", metavar="N", type=_count, default=4096, help="samples (default: 4096)")
    parser.add_argument("--json", metavar="FILE", help="write everything here, too")
    parser.add_argument("--compare", metavar="OLD.json", help="an earlier --json: what became slower; then status 1")


def _add_recommend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="folder of a trained model")
    parser.add_argument("--users", metavar="FILE", required=True, help=f"the users' columns: {FILES}")
    parser.add_argument("--items", metavar="FILE", required=True, help="the items' columns")
    parser.add_argument("--seen", metavar="FILE", help="ids of users and of items they are not to get again")
    parser.add_argument("--user-id", metavar="COL", help="column that identifies a user (default: training's --user)")
    parser.add_argument("--item-id", metavar="COL", help="column that identifies an item (default: training's --item)")
    parser.add_argument("--k", metavar="N", type=_count, default=10, help="items for each user (default: 10)")
    parser.add_argument("--threads", metavar="N", type=int, help="threads (default: all cores)")
    parser.add_argument("--out", metavar="FILE", help="file to write, CSV or .parquet (default: stdout)")


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is no whole number of at least 1")


def _add_model_and_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="folder of a trained model")
    parser.add_argument("data", metavar="DATA", help=FILES)
    _add_join(parser)
    _add_backend(parser)


def _add_group(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--group", metavar="COL", help="rank rows within its values: gauc, hr@10, ndcg@10")


def _add_metrics_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--metrics-json", metavar="FILE", help="write the metrics here as JSON, too")
