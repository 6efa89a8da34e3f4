"""Sampled negatives: whom they are drawn for, what they take from the item, and that draws depend on names alone."""

from __future__ import annotations

import numpy as np
import pytest

from fastfm_core.contract import Batch
from fastfm_core.data import Categorical, Cross, Encoder, MultiHot, Numeric, Schema
from fastfm_core.data.encoded import Encoded
from fastfm_core.data.negatives import NegativeBatches, Sampler, item_fields
from fastfm_core.errors import InputError

K, USERS, ITEMS, ROWS = 5, 12, 30, 150
SCHEMAS = {
    "single ids": [Categorical("user"), Categorical("item"), Numeric("price"), Numeric("age")],
    "bags": [Categorical("user"), Categorical("item"), MultiHot("tags"), Numeric("age")],
    "raw numbers": [Categorical("item"), Numeric("price", use=("raw",)), Numeric("age", use=("raw",))],
}


def table(seed: int = 0) -> dict[str, np.ndarray]:
    """Prices and tags belong to the item, ages to the row; labels are 0 and 1."""
    random = np.random.default_rng(seed)
    user, item = random.integers(0, USERS, ROWS), random.integers(0, ITEMS, ROWS)
    tags = np.array(["|".join(f"t{tag}" for tag in range(number % 4)) for number in range(ITEMS)])
    columns = {"user": user, "item": item, "age": random.integers(10, 99, ROWS), "price": 10.0 * item + 1}
    return {**columns, "tags": tags[item], "label": random.integers(0, 2, ROWS)}


def encoded_by(fields: list, columns: dict[str, np.ndarray]) -> tuple[Encoder, Encoded]:
    encoder = Encoder.fit(columns, Schema(fields, "label"), min_count=1)
    return encoder, encoder.transform(columns, columns["label"], columns["age"] / 7)


def batches_of(fields: list, rows: np.ndarray | None = None, *, grouped: bool = False, batch_size: int = 32, **options):
    columns = table()
    rows = np.arange(ROWS) if rows is None else rows
    encoder, encoded = encoded_by(fields, columns)
    return NegativeBatches(
        encoded, rows, batch_size, 3, users=columns["user"][rows], items=columns["item"][rows], negatives=K,
        of_item=item_fields(encoder, ["item", "price", "tags"]), grouped=grouped, **options,
    )  # fmt: skip


def sample_of(batch: Batch, sample: int) -> list[bytes]:
    """Everything a model sees of one sample."""
    entries = batch.entries
    slots = np.arange(sample * entries.fields, (sample + 1) * entries.fields + 1)
    places = slots if entries.offsets is None else entries.offsets[slots]
    low, high = places[0], places[-1]
    parts = [entries.ids[low:high], (places - low), batch.dense[sample] if batch.dense is not None else np.zeros(0)]
    parts += [] if entries.values is None else [entries.values[low:high]]
    return [np.ascontiguousarray(part).tobytes() for part in parts]


@pytest.mark.parametrize("fields", SCHEMAS.values(), ids=SCHEMAS)
def test_a_negative_is_the_row_of_its_user_with_another_item(fields):
    columns, rows = table(), np.arange(0, ROWS - 30)
    batches = batches_of(fields, rows, shuffle=False, batch_size=len(rows))
    (batch,) = batches.epoch(2)
    encoder, _ = encoded_by(fields, columns)
    at = 0
    drawn = batches._sampler.draw(rows[columns["label"][rows] > 0], 2, K)
    positives = iter(drawn)
    for row in rows:
        others = [row, *(next(positives) if columns["label"][row] else [])]
        mixed = {name: column[[row] * len(others)] for name, column in columns.items()}
        mixed |= {name: columns[name][others] for name in ("item", "price", "tags")}
        expected = encoder.transform(mixed).take(np.arange(len(others)))
        for number in range(len(others)):
            assert sample_of(batch, at + number) == sample_of(expected, number)
        assert batch.labels is not None and batch.weights is not None
        assert batch.labels[at : at + len(others)].tolist() == [columns["label"][row], *[0] * (len(others) - 1)]
        assert np.unique(batch.weights[at : at + len(others)]) == np.float32(columns["age"][row] / 7)
        at += len(others)
    assert at == batch.entries.samples == batches.samples == len(batches.labels)
    assert batch.labels is not None and sorted(batches.labels) == sorted(batch.labels)


def test_items_a_user_has_met_are_never_drawn_and_all_others_are_equally():
    columns, rows = table(), np.arange(ROWS)
    sampler = Sampler(rows, columns["user"], columns["item"], seed=1)
    drawn = np.concatenate([sampler.draw(rows, epoch, 40) for epoch in range(60)], axis=1)
    assert set(drawn.reshape(-1)) == set(np.unique(columns["item"], return_index=True)[1])
    for user in range(USERS):
        own = columns["user"] == user
        counts = np.bincount(columns["item"][drawn[own]].reshape(-1), minlength=ITEMS)
        met = np.isin(np.arange(ITEMS), columns["item"][own])
        free = ~met & np.isin(np.arange(ITEMS), columns["item"])
        assert not counts[met].any()
        expected = counts.sum() / free.sum()
        assert (abs(counts[free] - expected) < 5 * np.sqrt(expected)).all()


def test_groups_are_positives_each_with_its_negatives():
    batches = batches_of(SCHEMAS["bags"], grouped=True)
    positives = int(table()["label"].sum())
    assert batches.samples == positives * (1 + K) and len(batches) == -(-positives // 32)
    for batch in batches.epoch(1):
        assert batch.labels is not None
        assert (batch.labels.reshape(-1, 1 + K) == np.eye(1, 1 + K)).all()


def draws(batches: NegativeBatches, epoch: int, start: int = 0) -> dict[bytes, list[list[bytes]]]:
    """The negatives of each positive of an epoch, by the positive."""
    found: dict[bytes, list[list[bytes]]] = {}
    for batch in batches.epoch(epoch, start):
        for first in range(0, batch.entries.samples, 1 + K):
            samples = [sample_of(batch, first + number) for number in range(1 + K)]
            found[b"".join(samples[0]) + bytes(str(batch.weights[first]), "ascii")] = samples[1:]  # type: ignore[index]
    return found


def test_draws_depend_on_seed_epoch_and_row_alone():
    fields = [Categorical("user"), Categorical("item"), Categorical("age")]
    one, other = (batches_of(fields, grouped=True, batch_size=size) for size in (32, 7))
    assert draws(one, 1) == draws(other, 1)
    first, second = draws(one, 1), draws(one, 2)
    assert first.keys() == second.keys() and sum(first[row] != second[row] for row in first) > 0.9 * len(first)
    rest = draws(one, 1, start=1)
    assert rest == {row: first[row] for row in rest}


def test_ids_are_dropped_and_planned_after_the_negatives_are_there():
    seen = []
    batches = batches_of(
        SCHEMAS["single ids"], drop_to_unknown=np.array([True, True, False, False]), unknown_rate=0.5,
        plan=lambda ids, rows: seen.append(ids.copy()),
    )  # fmt: skip
    for batch, ids in zip(batches.epoch(1), seen, strict=False):
        np.testing.assert_array_equal(batch.entries.ids, ids)
    assert sum(map(len, seen)) == 4 * batches.samples


def test_a_user_who_has_met_everything_and_a_mixed_cross_are_refused():
    rows = np.array([4, 7, 8, 9])
    with pytest.raises(InputError, match="the user of data row 5 has met all 2 items of the training part"):
        Sampler(rows, np.array([1, 1, 2, 2]), np.array([5, 6, 5, 5]), 0)
    columns = table()
    encoder, _ = encoded_by([Categorical("user"), Cross(("user", "item"))], columns)
    with pytest.raises(InputError, match="column 'user x item' crosses the item with other columns"):
        item_fields(encoder, ["item"])
    found = item_fields(encoder, ["item", "user"])
    assert found.fields.tolist() == [True, True]
