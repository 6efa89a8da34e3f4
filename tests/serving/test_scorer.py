"""The C++ scorer against the model: every model and input, alone and in batches, on threads, its sides apart."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from fastfm_core import backends, models, threads
from fastfm_core.contract import Batch, Entries
from fastfm_core.errors import InputError
from fastfm_core.nn.uses import batch_of_fields

from .bound import require_close
from .zoo import FIELDS, INPUTS, MODELS, NUMBERS, build, draw

pytestmark = pytest.mark.skipif(
    backends.why_unavailable("native") is not None, reason="the scorer is C++, which is not built here"
)
reference = backends.get("reference")
USER = np.array([True, False, False, True])


def scorer_of(case: str) -> Any:
    return build(case, backends.get("native")).scorer()


def rows(batch: Batch, low: int, high: int) -> Batch:
    """Samples low .. high - 1 of a batch."""
    entries, dense = batch.entries, None if batch.dense is None else batch.dense[low:high]
    begin, end, offsets = low * entries.fields, high * entries.fields, None
    if entries.offsets is not None:
        offsets = entries.offsets[begin : end + 1] - entries.offsets[begin]
        begin, end = entries.offsets[begin], entries.offsets[end]
    values = None if entries.values is None else entries.values[begin:end]
    return Batch(Entries(entries.ids[begin:end], entries.fields, offsets, values, entries.pooling), dense)


def side_of(batch: Batch, fields: np.ndarray, numbers: np.ndarray) -> Batch:
    """The columns of one side alone."""
    if not fields.any():
        dense = batch.dense[:, numbers] if batch.dense is not None and numbers.any() else None
        return Batch(Entries(np.zeros(0, np.int32), 0), None if dense is None else np.ascontiguousarray(dense))
    dense = None if batch.dense is None or not numbers.any() else np.ascontiguousarray(batch.dense[:, numbers])
    return batch_of_fields(batch, fields, reference)._replace(dense=dense)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("case", MODELS)
def test_scores_are_the_models_within_the_bound(case: str, kind: str) -> None:
    batch = draw(case, kind, samples=61)
    require_close(case, batch, scorer_of(case).score(batch))


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("case", MODELS)
def test_a_row_has_the_same_bits_alone_and_in_any_batch(case: str, kind: str) -> None:
    scorer, batch = scorer_of(case), draw(case, kind, samples=61)
    whole = scorer.score(batch)
    for low, high in [(0, 1), (0, 0), (60, 61), (3, 8), (5, 24), (1, 60)]:
        np.testing.assert_array_equal(scorer.score(rows(batch, low, high)), whole[low:high])


@pytest.mark.parametrize("numbers", [[False, False], [True, False]])
@pytest.mark.parametrize("fields", [USER, ~USER, USER & False, USER | True, np.array([False, True, True, False])])
@pytest.mark.parametrize("case", MODELS)
def test_a_ranker_scores_pairs_as_the_model_scores_rows(case: str, fields: np.ndarray, numbers: list[bool]) -> None:
    scorer, of_user = scorer_of(case), np.array(numbers)
    batch = draw(case, "values", samples=9)
    if batch.dense is None:
        of_user = np.zeros(0, bool)
    ranker = scorer.ranker(fields, of_user)
    users = ranker.users(side_of(batch, fields, of_user))
    items = ranker.items(side_of(batch, ~fields, ~of_user))
    if len(users) < 9 or len(items) < 9:  # a side of nothing has no rows
        assert not (fields.any() and not fields.all()) and (len(users) == 0 or len(items) == 0)
        return
    scores = [ranker.score(user, items[n : n + 1])[0] for n, user in enumerate(users)]
    require_close(case, batch, np.array(scores, np.float32))
    every = ranker.score(users[0], items)
    assert every.shape == (9,) and every[0] == scores[0]
    batch_of_items = side_of(batch, ~fields, ~of_user)
    at_once = [ranker.score(user, batch_of_items)[n] for n, user in enumerate(users)]
    require_close(case, batch, np.array(at_once, np.float32))


def test_a_hundred_threads_score_at_once_as_one_does() -> None:
    scorer, batch = scorer_of("deepfm of a line"), draw("deepfm of a line", "ids", samples=300)
    alone = [scorer.score(rows(batch, low, low + 3)) for low in range(0, 300, 3)]
    with ThreadPoolExecutor(100) as pool:
        for _ in range(5):
            found = list(pool.map(lambda low: scorer.score(rows(batch, low, low + 3)), range(0, 300, 3)))
            np.testing.assert_array_equal(np.concatenate(found), np.concatenate(alone))
            assert all(
                (whole == scorer.score(batch)).all() for whole in pool.map(lambda _: scorer.score(batch), range(100))
            )


def test_the_number_of_threads_changes_no_bit(threads_restored: None) -> None:
    scorer, batch = scorer_of("deepfm of a line"), draw("deepfm of a line", "values", samples=500)
    found = []
    for count in (1, 2, 3, 7):
        threads.set_num_threads(count)
        found.append(scorer.score(batch))
    assert all((scores == found[0]).all() for scores in found)


def test_threads_that_share_a_large_layer_change_no_bit(threads_restored: None) -> None:
    sizes: dict[str, Any] = {"rows": 9, "fields": FIELDS, "dense": NUMBERS, "dim": 3, "hidden": (310, 300, 5)}
    model = models.build("deepfm", backend=backends.get("native"), init_std=0.5, **sizes)
    scorer, batch, found = model.scorer(), draw("deepfm", "ids", samples=40), []
    for count in (1, 2, 3, 7):
        threads.set_num_threads(count)
        found.append(scorer.score(batch))
        found.append(np.concatenate([scorer.score(rows(batch, low, low + 5)) for low in range(0, 40, 5)]))
    with ThreadPoolExecutor(30) as pool:
        found += pool.map(lambda _: np.concatenate([scorer.score(rows(batch, n, n + 1)) for n in range(40)]), range(60))
    assert all((scores == found[0]).all() for scores in found)
    np.testing.assert_allclose(found[0], model.predict(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_rows_of_ids_and_numbers(dtype: Any) -> None:
    scorer, batch = scorer_of("deepfm"), draw("deepfm", "ids", samples=5)
    assert batch.dense is not None
    ids = batch.entries.ids.reshape(5, FIELDS).astype(dtype)
    expected = scorer.score(batch)
    np.testing.assert_array_equal(scorer.score_rows(ids, batch.dense), expected)
    np.testing.assert_array_equal(scorer.score_rows(ids[2], batch.dense[2]), expected[2:3])


@pytest.mark.parametrize("case", ["fm", "lr"])
def test_rows_without_fields(case: str) -> None:
    options: dict[str, Any] = {"rows": 9, "fields": 1, "dense": 0, **({} if case == "lr" else {"dim": 3})}
    model = models.build(case, backend=backends.get("native"), **options)
    for array in model.state_dict().values():
        array[...] = np.random.default_rng(0).standard_normal(array.shape)
    offsets = np.array([0, 2, 2, 5])
    entries = Entries(np.array([1, 8, 3, 3, 0], np.int32), 1, offsets, np.arange(5, dtype=np.float32), "none")
    np.testing.assert_allclose(
        model.scorer().score(Batch(entries)), model.predict(Batch(entries)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("wrong", [-1, 9, 2**31 - 1])
@pytest.mark.parametrize("case", ["deepfm", "deepfm apart", "deepfm of dims"])
def test_ids_that_are_no_rows_are_refused(case: str, wrong: int) -> None:
    scorer, batch = scorer_of(case), draw(case, "ids", samples=61)
    batch.entries.ids[4 * FIELDS + 1] = wrong
    with pytest.raises(InputError, match=rf"ids\[17\] is {wrong}, which is no row of its field's table"):
        scorer.score(batch)


def test_what_does_not_fit_is_refused() -> None:
    scorer, batch = scorer_of("deepfm"), draw("deepfm", "ids")
    assert batch.dense is not None
    with pytest.raises(InputError, match="the batch has 0 raw numbers, 2 are expected"):
        scorer.score(batch._replace(dense=None))
    with pytest.raises(InputError, match="ids have 3 columns, the model has 4 fields"):
        scorer.score_rows(np.zeros((2, 3), np.int32), batch.dense[:2])
    with pytest.raises(InputError, match="the batch has 2 fields, 4 are expected"):
        scorer.score(batch._replace(entries=batch.entries._replace(fields=2)))
    with pytest.raises(InputError, match="ids must be an int32 or int64 array"):
        scorer.score(batch._replace(entries=batch.entries._replace(ids=batch.entries.ids.astype(np.float32))))
    with pytest.raises(InputError, match="given has another dtype than float32"):
        scorer.score(batch._replace(dense=batch.dense.astype(np.float64)))
    with pytest.raises(InputError, match="pooling='none'"):
        scorer_of("deepfm_v1").score(Batch(Entries(np.zeros(4, np.int32), 4, np.array([0, 1, 2, 3, 4]), None, "none"),
                                           np.zeros((1, NUMBERS), np.float32)))  # fmt: skip
    with pytest.raises(InputError, match="user_fields must be 4 bools"):
        scorer.ranker(np.array([0, 1]))
    ranker = scorer.ranker(USER)
    with pytest.raises(InputError, match="user has shape"):
        ranker.score(np.zeros(3, np.float32), np.zeros((2, 3), np.float32))
    user = ranker.users(side_of(batch, USER, np.zeros(2, bool)))[0]
    with pytest.raises(InputError, match="items have shape"):
        ranker.score(user, np.zeros((2, 3), np.float32))
    with pytest.raises(InputError, match="the batch has 4 fields, 2 are expected"):
        ranker.score(user, batch)


def test_a_scorer_outlives_its_model_and_reads_its_tables() -> None:
    model = build("fm", backends.get("native"))
    scorer, batch = model.scorer(), draw("fm", "ids")
    before = scorer.score(batch)
    model.embedding.table.data[:] *= 2
    assert (scorer.score(batch) != before).any()
    after = scorer.score(batch)
    del model
    np.testing.assert_array_equal(scorer.score(batch), after)


def test_without_the_compiled_kernels_it_says_so() -> None:
    program = """
import sys; sys.modules["fastfm_core._native"] = None
from fastfm_core import backends, models
from fastfm_core.errors import BackendUnavailable
try:
    models.build("fm", rows=3, fields=2, dense=0, backend=backends.get("reference")).scorer()
except BackendUnavailable as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "native" in found.stdout
