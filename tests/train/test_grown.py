"""A trained model grown by new values: what was learned stays bit for bit, new rows are a fresh model's."""

from __future__ import annotations

import numpy as np
import pytest

from fastfm_core import backends, optim, train, trained
from fastfm_core.config import TrainConfig
from fastfm_core.data import Batches, Categorical, Encoder, Numeric, Schema
from fastfm_core.data.grow import extended, moved_rows
from fastfm_core.errors import InputError

SCHEMA = Schema([Categorical("city"), Numeric("size"), Categorical("kind"), Numeric("age", use="raw")], label="y")


def table(cities: list[str], seed: int, count: int = 60) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "city": np.array([cities[n] for n in random.integers(0, len(cities), count)], object),
        "size": random.normal(size=count),
        "kind": np.array([f"k{n}" for n in random.integers(0, 3 + seed, count)], object),
        "age": random.normal(size=count),
    }


OLD, NEW = table(["a", "b", "c"], 0), table(["b", "x", "a", "y", "z"], 1)
LABELS = np.random.default_rng(2).integers(0, 2, 60).astype(np.float32)
OLD_ENCODER = Encoder.fit(OLD, SCHEMA, min_count=1)
NEW_ENCODER = extended(OLD_ENCODER, Encoder.fit(NEW, SCHEMA, min_count=1))
ROWS = moved_rows(OLD_ENCODER, NEW_ENCODER)


def fit(model: trained.TrainedModel, optimizer: optim.Optimizer, columns: dict[str, np.ndarray]) -> list[float]:
    batches = Batches(model.encoder.transform(columns, LABELS), batch_size=16, seed=model.seed)
    result = train.fit(model.model, optimizer, batches, batches, TrainConfig(epochs=3))
    return [record["train_loss"] for record in result.history]


def trained_model(name: str, optimizer: str) -> tuple[trained.TrainedModel, optim.Optimizer]:
    config = TrainConfig(dim=4, hidden=(5,), optimizer=optimizer, lr=0.1, dropout=0).resolved(60)
    model = trained.create(
        name, OLD_ENCODER, config, backends.get("reference"), labels=LABELS, label="y", task="binary", id=None, seed=1
    )
    state = model.optimizer()
    fit(model, state, OLD)
    return model, state


@pytest.mark.parametrize("name", ["lr", "fm", "deepfm"])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "rowwise_adagrad", "adam"])
def test_what_was_learned_stays_and_new_rows_are_fresh(name: str, optimizer: str) -> None:
    old, old_optimizer = trained_model(name, optimizer)
    new = old.grown(NEW_ENCODER, old.config, seed=7)
    new_optimizer = old.grown_optimizer(new, old_optimizer.state_dict())
    np.testing.assert_array_equal(new.predict(OLD), old.predict(OLD))
    assert new_optimizer.steps == old_optimizer.steps > 0

    added = np.setdiff1d(np.arange(NEW_ENCODER.rows), ROWS)
    fresh = trained.create(
        name, NEW_ENCODER, old.config, backends.get("reference"), labels=LABELS, label="y", task="binary", id=None,
        seed=7,
    )  # fmt: skip
    pairs = [(old.model, new.model, fresh.model), (old_optimizer, new_optimizer, fresh.optimizer())]
    tables = 0
    for before, after, anew in (tuple(part.state_dict() for part in parts) for parts in pairs):
        for path, array in after.items():
            if path.startswith("embedding."):
                np.testing.assert_array_equal(array[ROWS], before[path])
                np.testing.assert_array_equal(array[added], anew[path][added])
                tables += 1
            else:
                np.testing.assert_array_equal(array, before[path])
    assert len(added) == 4 and tables == 1 + len(old_optimizer.states)

    same = old.grown(NEW_ENCODER, old.config, seed=7)
    same_optimizer = old.grown_optimizer(same, old_optimizer.state_dict())
    losses = fit(new, new_optimizer, NEW)
    assert losses == fit(same, same_optimizer, NEW) and losses[-1] < losses[0]


@pytest.mark.parametrize("change", [{"dim": 5}, {"hidden": (6,)}, {"optimizer": "sgd"}, {"batch_norm": True}])
def test_another_shape_is_refused(change: dict) -> None:
    old, _ = trained_model("deepfm", "adam")
    config = TrainConfig(**{"dim": 4, "hidden": (5,), **change}).resolved(60)
    with pytest.raises(InputError, match=f"{next(iter(change))}=.*: the model to start from has"):
        old.grown(NEW_ENCODER, config, seed=0)
