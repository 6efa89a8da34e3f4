"""Hyper-parameters: defaults, text to values, messages for what is wrong."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from fastfm_core.config import TrainConfig, parse_settings
from fastfm_core.errors import InputError


def test_no_settings_are_the_defaults():
    assert parse_settings([]) == TrainConfig()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("dim=8", 8),
        ("hidden=400,400", (400, 400)),
        ("hidden= 32", (32,)),
        ("hidden=", ()),
        ("dropout=0.5", 0.5),
        ("batch_norm=true", True),
        ("batch_norm=no", False),
        ("optimizer=rowwise_adagrad", "rowwise_adagrad"),
        ("rows=dense", "dense"),
        ("weight_decay=auto", None),
        ("lr=3e-4", 3e-4),
        ("lr=auto", None),
        ("lr_schedule=none", "none"),
        ("embedding_l2=0", 0.0),
        ("batch_size=64", 64),
        ("min_count=10", 10),
        ("clip_norm=5", 5.0),
    ],
)
def test_text_becomes_a_value_of_its_type(text, value):
    key = text.partition("=")[0]
    result = getattr(parse_settings([text]), key)
    assert result == value and type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dims=8", "did you mean dim"),
        ("learning_rat=1", "there is no setting learning_rat"),
        ("dim", "key=value"),
        ("dim=eight", "a whole number of at least 1"),
        ("dim=8.5", "a whole number of at least 1"),
        ("dim=0", "a whole number of at least 1"),
        ("hidden=64,0", "whole numbers of at least 1"),
        ("hidden=64-32", "whole numbers of at least 1"),
        ("dropout=1", "below 1"),
        ("dropout=nan", "below 1"),
        ("lr=-1", "at least 0"),
        ("lr=inf", "at least 0"),
        ("batch_norm=maybe", "true or false"),
        ("optimizer=adamax", "one of adam, adamw, adagrad, rowwise_adagrad, sgd, ftrl"),
        ("weight_decay=0.1", "optimizer=adam has none; adamw has"),
        ("l1=1", "optimizer=adam has none; ftrl has"),
        ("clip_l2=true", "needs rows=dense, not rows=exact; leave it out"),
        ("batch_size=0", "whole number of at least 1, or auto"),
        ("epochs=1e400", "a whole number"),
    ],
)
def test_what_is_wrong_is_named_with_its_mend(text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_settings([text])
    assert text.partition("=")[0] in str(caught.value) and "\n" not in str(caught.value)


def test_a_later_setting_wins():
    assert parse_settings(["dim=4", "dim=8"]).dim == 8


def test_what_is_not_set_is_taken_from_the_base():
    base = TrainConfig(dim=5, batch_size=32)
    assert parse_settings(["dim=8"], base) == TrainConfig(dim=8, batch_size=32)
    assert parse_settings(["batch_size=auto"], base).batch_size is None


def test_values_given_in_python_are_checked_too():
    assert TrainConfig(hidden=[8, 4]).hidden == (8, 4)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="dropout"):
        TrainConfig(dropout=2)


@pytest.mark.parametrize(("rows", "size"), [(99_999, 256), (100_000, 1024), (999_999, 1024), (1_000_000, 4096)])
def test_batch_size_follows_the_number_of_rows(rows, size):
    assert TrainConfig().resolved(rows).batch_size == size
    assert TrainConfig(batch_size=7).resolved(rows).batch_size == 7


def test_learning_rate_follows_the_optimizer_and_for_adam_the_number_of_rows():
    assert TrainConfig().resolved(1).lr == 3e-3
    assert TrainConfig().resolved(100_000).lr == 1e-3
    assert TrainConfig(optimizer="adagrad").resolved(1).lr == 0.05
    assert TrainConfig(optimizer="adagrad", lr=0.01).resolved(1).lr == 0.01


def test_min_count_follows_the_number_of_rows():
    assert TrainConfig().resolved(999_999).min_count == 2
    assert TrainConfig().resolved(1_000_000).min_count == 10
    assert TrainConfig(min_count=1).resolved(5).min_count == 1


def test_every_setting_survives_the_way_through_text():
    config = TrainConfig(hidden=(5, 3), batch_norm=True, batch_size=9)
    given = {key: value for key, value in asdict(config).items() if value is not None}
    texts = {key: ",".join(map(str, value)) if isinstance(value, tuple) else value for key, value in given.items()}
    assert parse_settings(f"{key}={text}" for key, text in texts.items()) == config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("class_weight=none", "none"),
        ("class_weight=balanced", "balanced"),
        ("class_weight=1,2.5", (1.0, 2.5)),
        ("accumulate=4", 4),
        ("lr_schedule=cosine", "cosine"),
        ("warmup=100", 100),
        ("evaluations_per_epoch=3", 3),
        ("checkpoint_seconds=0", 0.0),
    ],
)
def test_settings_of_the_training_loop(text, value):
    assert getattr(parse_settings([text]), text.partition("=")[0]) == value


@pytest.mark.parametrize("text", ["class_weight=1", "class_weight=1,2,3", "class_weight=1,-1", "class_weight=even"])
def test_class_weights_are_two_numbers_or_a_word(text):
    with pytest.raises(InputError, match="none, balanced, or two numbers"):
        parse_settings([text])


def test_class_weights_need_classes():
    TrainConfig(class_weight="balanced").require_task("binary")
    TrainConfig().require_task("regression")
    with pytest.raises(InputError, match="class_weight=balanced: a regression task has no classes"):
        TrainConfig(class_weight="balanced").require_task("regression")


def test_the_monitor_must_be_a_metric_of_the_task():
    assert (TrainConfig().monitored("binary"), TrainConfig().monitored("regression")) == ("auc", "rmse")
    TrainConfig(monitor="gauc").require_task("binary", grouped=True)
    for monitor, task in [("rmse", "binary"), ("auc", "regression")]:
        with pytest.raises(InputError, match=rf"monitor={monitor}: a {task} task has .*; choose one of them"):
            TrainConfig(monitor=monitor).require_task(task, grouped=True)
    with pytest.raises(InputError, match=r"monitor=ndcg@10: .*--group COL"):
        TrainConfig(monitor="ndcg@10").require_task("binary")
