"""Models against naive ones, their size, and what building and predicting promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawing import draw_batch, loss_of, to_float64

from fastfm_core import models
from fastfm_core.autograd import gradcheck
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch, Pooling
from fastfm_core.errors import InputError

from . import naive

ROWS, FIELDS, DIM, NUMBERS = 9, 3, 4, 2
POOLINGS: list[Pooling] = ["sum", "mean", "sqrtn", "max"]


def build(name: str, backend: Backend, **options: Any) -> Any:
    given = {"rows": ROWS, "fields": FIELDS, "dense": NUMBERS, "dim": DIM, "hidden": (5, 3), "bias": 0.25} | options
    return models.build(name, backend=backend, **given)


def parameter_count(model: models.Model) -> int:
    return sum(tensor.data.size for tensor in model.parameters())


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", ["lr", "fm", "deepfm"])
def test_models_are_what_their_papers_say(backend: Backend, name: str, pooling: Pooling, bags: bool) -> None:
    model = build(name, backend)
    to_float64(model)
    for values in (False, True):
        batch = draw_batch(numbers=NUMBERS, bags=bags, values=values, pooling=pooling, dtype=np.float64)
        options = {"layers": 2} if name == "deepfm" else {}
        expected = getattr(naive, name)(model.state_dict(), batch, **options)
        np.testing.assert_allclose(model.predict(batch), expected, rtol=1e-10, atol=1e-12)


def test_deepfm_with_batch_norm_in_evaluation(backend: Backend) -> None:
    model = build("deepfm", backend, batch_norm=True)
    to_float64(model)
    random, batch = np.random.default_rng(1), draw_batch(numbers=NUMBERS, dtype=np.float64)
    for norm in model.mlp.norms:
        norm.running_mean[:] = random.standard_normal(norm.running_mean.shape)
        norm.running_variance[:] = random.uniform(0.5, 2.0, norm.running_variance.shape)
    np.testing.assert_allclose(model.predict(batch), naive.deepfm(model.state_dict(), batch, layers=2), rtol=1e-10)


def test_deepfm_without_numbers_and_without_hidden_layers(backend: Backend) -> None:
    model = build("deepfm", backend, dense=0, hidden=())
    to_float64(model)
    batch = draw_batch(dtype=np.float64)
    np.testing.assert_allclose(model.predict(batch), naive.deepfm(model.state_dict(), batch, layers=0), rtol=1e-10)


def test_numbers_take_part_in_the_deep_part_alone(backend: Backend) -> None:
    batch = draw_batch(numbers=NUMBERS)
    assert batch.dense is not None
    other = batch._replace(dense=batch.dense + 1)
    for name, differs in [("lr", False), ("fm", False), ("deepfm", True)]:
        model = build(name, backend)
        assert (model.predict(batch) != model.predict(other)).any() == differs


def test_fm_with_pooling_none_pairs_all_entries(backend: Backend) -> None:
    """The classic FM of libsvm rows: entries of one bag cross each other too."""
    model = build("fm", backend, fields=1)
    to_float64(model)
    batch = draw_batch(fields=1, bags=True, values=True, pooling="none", dtype=np.float64)
    ids, _, offsets, x, _ = batch.entries
    assert offsets is not None and x is not None
    state, expected = model.state_dict(), []
    for b in range(batch.entries.samples):
        places = range(offsets[b], offsets[b + 1])
        terms = [x[i] * state["embedding.table"][ids[i], :-1] for i in places]
        pairs = sum(terms[s] @ terms[t] for s in range(len(terms)) for t in range(s))
        expected.append(state["bias"][0] + sum(x[i] * state["embedding.table"][ids[i], -1] for i in places) + pairs)
    np.testing.assert_allclose(model.predict(batch), expected, rtol=1e-10, atol=1e-12)


def test_deepfm_refuses_pooling_none(backend: Backend) -> None:
    with pytest.raises(InputError, match=r'pooling="none".*give columns or libffm, or --model fm'):
        build("deepfm", backend, fields=1).predict(draw_batch(fields=1, numbers=NUMBERS, bags=True, pooling="none"))


def test_parameter_counts_are_those_of_the_docstrings(backend: Backend) -> None:
    assert parameter_count(build("lr", backend)) == ROWS + 1
    assert parameter_count(build("fm", backend)) == ROWS * (DIM + 1) + 1
    deep = FIELDS * DIM + NUMBERS
    mlp = deep * 5 + 5 + 5 * 3 + 3 + 3 * 1 + 1
    assert parameter_count(build("deepfm", backend)) == ROWS * (DIM + 1) + 1 + mlp
    assert parameter_count(build("deepfm", backend, batch_norm=True)) == ROWS * (DIM + 1) + 1 + mlp + 2 * (5 + 3)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("pooling", [None, *POOLINGS])
def test_the_loss_of_a_whole_deepfm_has_the_right_slope(
    backend: Backend, pooling: Pooling | None, batch_norm: bool
) -> None:
    """Dropout on, weights given; every parameter moved along a random direction."""
    model = build("deepfm", backend, dropout=0.3, batch_norm=batch_norm)
    to_float64(model, seed=2)
    model.begin_step(5)
    options: dict[str, Any] = {} if pooling is None else {"pooling": pooling, "bags": True, "values": True}
    batch = draw_batch(1, samples=10, numbers=NUMBERS, weights=True, dtype=np.float64, **options)
    parameters = model.parameters()
    gradcheck(lambda *_: loss_of(model, batch), parameters)
    assert all(tensor.grad is not None for tensor in parameters)


def test_predicting_records_nothing_and_restores_the_mode(backend: Backend) -> None:
    model, batch = build("deepfm", backend, dropout=0.5, batch_norm=True), draw_batch(numbers=NUMBERS)
    running = model.mlp.norms[0].running_mean
    assert model.training
    first = model.predict(batch)
    assert model.training and model.mlp.drops[0].training
    assert not running.any()
    model.eval()
    np.testing.assert_array_equal(model.predict(batch), first)
    assert not model.training
    kept = first.copy()
    model.predict(draw_batch(5, numbers=NUMBERS))
    np.testing.assert_array_equal(first, kept)


def test_predicting_restores_the_mode_after_an_error(backend: Backend) -> None:
    model = build("deepfm", backend)
    with pytest.raises(InputError):
        model.predict(draw_batch(fields=3, numbers=NUMBERS, bags=True, pooling="none"))
    assert model.training


@pytest.mark.parametrize("name", ["lr", "fm", "deepfm"])
def test_no_samples_and_one_sample(backend: Backend, name: str) -> None:
    model = build(name, backend)
    for samples in (0, 1):
        for bags in (False, True):
            batch: Batch = draw_batch(samples=samples, numbers=NUMBERS, bags=bags)
            assert model.predict(batch).shape == (samples,)
            loss = loss_of(model, batch)
            loss.backward()
            assert np.isfinite(loss.item())


def test_starting_point(backend: Backend) -> None:
    zero = np.array([0, 4])
    for name in ("lr", "fm", "deepfm"):
        model, again, other = (build(name, backend, seed=seed, zero_rows=zero) for seed in (1, 1, 2))
        state = model.state_dict()
        assert state["bias"].tolist() == [0.25] and not state["embedding.table"][:, -1].any()
        for path, array in again.state_dict().items():
            np.testing.assert_array_equal(array, state[path])
        if name != "lr":
            assert not state["embedding.table"][zero].any()
            assert (state["embedding.table"] != other.state_dict()["embedding.table"]).any()


def test_unknown_models_are_named(backend: Backend) -> None:
    with pytest.raises(InputError, match="unknown model 'ffm'; known: lr, mf, fm, fwfm, nfm, mlp"):
        build("ffm", backend)


def test_an_option_that_no_model_has_is_refused(backend: Backend) -> None:
    with pytest.raises(InputError, match="no model has an option 'dimm'; fm has dim, init_std, pairs, seed"):
        build("fm", backend, dimm=8)
