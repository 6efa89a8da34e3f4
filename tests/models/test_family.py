"""The family against its naive twins: every model, its sizes, its slopes, its options and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawing import draw_batch, loss_of, to_float64

from fastfm_core import models
from fastfm_core.autograd import gradcheck
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.errors import InputError
from fastfm_core.nn import Uses

from . import naive

ROWS, FIELDS, DIM, NUMBERS, LAYERS = 9, 4, 3, 2, 2
SIDES, USER, ITEM = ("user", "", "item", "user"), [0, 3], [2]
HIDDEN = (5, 3)
TOWER = (5 + 1) * 3  # weights and offsets of the second layer; the first one's depend on the inputs
BRANCHES = ["wide", "fm", "nfm", "ncf", "mlp"]

# name -> options of building, and what the naive model is told beside state and batch
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "fwfm": ("fwfm", {}, {}),
    "mlp": ("mlp", {}, {"layers": LAYERS}),
    "wide_deep": ("wide_deep", {}, {"layers": LAYERS}),
    "nfm": ("nfm", {}, {"layers": LAYERS}),
    "nfm inner none": ("nfm", *[{"product": "inner", "pooling": "none"}] * 2),
    "nfm outer mean": ("nfm", *[{"product": "outer", "pooling": "mean"}] * 2),
    "nfm elementwise max": ("nfm", *[{"product": "elementwise", "pooling": "max"}] * 2),
    "mf": ("mf", {}, {"user": USER, "item": ITEM}),
    "gmf": ("gmf", {}, {"user": USER, "item": ITEM}),
    "ncf_mlp": ("ncf_mlp", {}, {"user": USER, "item": ITEM, "layers": LAYERS}),
    "neumf": ("neumf", {}, {"user": USER, "item": ITEM, "layers": LAYERS}),
    "two_tower": ("two_tower", {}, {"user": USER, "item": ITEM, "layers": LAYERS}),
    "fusion": ("fusion", {"branches": BRANCHES}, {"user": USER, "item": ITEM, "branches": BRANCHES, "layers": LAYERS}),
}
INPUTS: dict[str, dict[str, Any]] = {
    "ids": {},
    "values": {"values": True},
    "bags": {"bags": True, "values": True, "pooling": "mean"},
}


def build(name: str, backend: Backend, **options: Any) -> Any:
    given = {"rows": ROWS, "fields": FIELDS, "dense": NUMBERS, "dim": DIM, "hidden": HIDDEN, "bias": 0.25}
    return models.build(name, backend=backend, **(given | {"sides": SIDES} | options))


def draw(kind: str, **options: Any) -> Batch:
    given = {"numbers": NUMBERS, "fields": FIELDS, "rows": ROWS, "dtype": np.float64} | INPUTS[kind]
    return draw_batch(**(given | options))


def naive_arguments(case: str) -> dict[str, Any]:
    name, _, told = CASES[case]
    return {"layers": LAYERS, **told} if name == "nfm" else told


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_models_equal_naive_ones(backend: Backend, case: str, batch_norm: bool, kind: str) -> None:
    name, options, _ = CASES[case]
    if batch_norm and name not in ("nfm", "mlp", "wide_deep", "two_tower", "neumf"):
        return
    model = build(name, backend, **options, batch_norm=batch_norm)
    to_float64(model)
    random = np.random.default_rng(1)
    for path, array in model.state_dict().items():
        if "running" in path:
            array[:] = random.uniform(0.5, 2.0, array.shape)
    batch = draw(kind)
    expected = getattr(naive, name)(model.state_dict(), batch, **naive_arguments(case))
    np.testing.assert_allclose(model.predict(batch), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("name", sorted(set(models.MODELS) - {"lr", "fm", "deepfm"}))
def test_the_loss_has_the_right_slope(backend: Backend, name: str, kind: str) -> None:
    options = {"fusion": {"branches": BRANCHES}}.get(name, {})
    model = build(name, backend, dropout=0.3, **options)
    to_float64(model, seed=2)
    model.begin_step(5)
    batch = draw(kind, seed=1, samples=10, weights=True)
    parameters = model.parameters()
    gradcheck(lambda *_: loss_of(model, batch), parameters)
    assert all(tensor.grad is not None for tensor in parameters)


@pytest.mark.parametrize("case", ["nfm", "nfm inner none", "nfm outer mean", "nfm elementwise max"])
def test_products_and_pools_have_the_right_slope(backend: Backend, case: str) -> None:
    name, options, _ = CASES[case]
    model = build(name, backend, batch_norm=True, pairs="0*1,0*3,2*3", **options)
    to_float64(model, seed=3)
    batch = draw("values", seed=1, samples=10)
    gradcheck(lambda *_: loss_of(model, batch), model.parameters())


def test_mf_is_the_fm_of_two_fields(backend: Backend) -> None:
    """The very bits, and the very gradients."""
    batch = draw_batch(fields=2, rows=ROWS)
    mf, fm = (build(name, backend, fields=2, dense=0, sides=(), seed=3) for name in ("mf", "fm"))
    np.testing.assert_array_equal(mf.predict(batch), fm.predict(batch))
    for model in (mf, fm):
        loss_of(model, batch).backward()
    np.testing.assert_array_equal(mf.embedding.table.grad.dense(), fm.embedding.table.grad.dense())
    np.testing.assert_array_equal(mf.bias.grad, fm.bias.grad)


def test_fwfm_starts_as_the_fm(backend: Backend) -> None:
    batch = draw("values")
    fwfm, fm = build("fwfm", backend), build("fm", backend)
    for model in (fwfm, fm):
        to_float64(model)
    fwfm.embedding.crosses.weight.data[:] = 1
    fwfm.embedding.table.data, fwfm.bias.data = fm.embedding.table.data, fm.bias.data
    np.testing.assert_allclose(fwfm.predict(batch), fm.predict(batch), rtol=1e-12)


@pytest.mark.parametrize("name", ["fm", "deepfm"])
def test_picked_pairs(backend: Backend, name: str) -> None:
    """user*item is the list of its pairs, and all other pairs are those that are missing."""
    batch, outputs = draw("ids"), {}
    for pairs in ("user*item", "2*0,2*3", "0*1,0*3,1*2,1*3", "all"):
        model = build(name, backend, pairs=pairs)
        to_float64(model)
        outputs[pairs] = model.predict(batch)
    np.testing.assert_array_equal(outputs["user*item"], outputs["2*0,2*3"])
    base = build(name, backend, uses=[np.ones(FIELDS), np.zeros(FIELDS), np.ones(FIELDS)])
    to_float64(base)
    found = outputs["user*item"] + outputs["0*1,0*3,1*2,1*3"] - base.predict(batch)
    np.testing.assert_allclose(found, outputs["all"], rtol=1e-10)


def test_sides_come_before_columns_of_their_names(backend: Backend) -> None:
    """The user's columns user and age meet the item's column item, in mf and wherever pairs are user*item."""
    names, batch = ("user", "city", "item", "age"), draw("ids")
    for name, options in (("mf", {}), ("fm", {"pairs": "user*item"}), ("fwfm", {"pairs": "user*item"})):
        named, numbered = (build(name, backend, names=given, **options) for given in (names, ()))
        to_float64(named), to_float64(numbered)
        np.testing.assert_array_equal(named.predict(batch), numbered.predict(batch))


def test_pairs_are_those_of_fields_that_take_part(backend: Backend) -> None:
    uses = [np.ones(FIELDS, bool), np.array([1, 0, 1, 1], bool), np.ones(FIELDS, bool)]
    names = ("a", "b", "c", "d")
    model = build("fm", backend, pairs="a*c", names=names, uses=uses)
    to_float64(model)
    batch = draw("bags")
    logits = naive.lr(model.state_dict(), batch)
    vectors = naive.slots(batch.entries, model.state_dict()["embedding.table"][:, :-1])
    np.testing.assert_allclose(model.predict(batch), logits + (vectors[:, 0] * vectors[:, 2]).sum(axis=1), rtol=1e-10)
    with pytest.raises(InputError, match="b"):
        build("fm", backend, pairs="a*b", names=names, uses=uses)


def test_fusions_of_few_branches_are_known_models(backend: Backend) -> None:
    for branches, name in [(("wide", "fm", "mlp"), "deepfm"), (("wide", "mlp"), "wide_deep"), (("wide", "fm"), "fm")]:
        fusion, known = build("fusion", backend, branches=branches), build(name, backend)
        to_float64(known)
        fusion.load_state_dict(known.state_dict() | {"weight": np.ones((len(branches), 1))})
        for path, tensor in fusion.named_tensors():
            tensor.data = known.state_dict()[path] if path != "weight" else tensor.data.astype(np.float64)
        batch = draw("ids")
        np.testing.assert_allclose(fusion.predict(batch), known.predict(batch), rtol=1e-12)


def test_parameter_counts_are_those_of_the_docstrings(backend: Backend) -> None:
    def first(inputs: int) -> int:
        return (inputs + 1) * 5 + TOWER

    both, deep = 3 * DIM, FIELDS * DIM + NUMBERS
    expected = {
        "mf": ROWS * (DIM + 1) + 1,
        "fwfm": ROWS * (DIM + 1) + 6 + 1,
        "nfm": ROWS * (DIM + 1) + 1 + first(DIM + NUMBERS) + 4,
        "mlp": ROWS * DIM + 1 + first(deep) + 4,
        "wide_deep": ROWS * (DIM + 1) + 1 + first(deep) + 4,
        "gmf": ROWS * DIM + DIM + 2,
        "ncf_mlp": ROWS * DIM + 1 + first(both) + 4,
        "neumf": 2 * ROWS * DIM + 1 + first(both) + DIM + 3 + 1,
        "two_tower": ROWS * DIM + 1 + first(2 * DIM) + 4 * DIM + first(DIM) + 4 * DIM,
        "deepfm_v1": ROWS * (2 * DIM + 1) + first(deep) + 6 + 3 + 1,
        "deepfm_v2": ROWS * (DIM + 1) + (FIELDS * DIM + NUMBERS + FIELDS + 1) * 7 + NUMBERS + 1
        + first((FIELDS + 1) * 7) + 1 + 7 + 3 + 1,
        "fusion": ROWS * (DIM + 1) + 3 + 1 + first(deep) + 4,
    }  # fmt: skip
    for name, count in expected.items():
        model = build(name, backend, projection=7)
        assert sum(tensor.data.size for tensor in model.parameters()) == count, name


@pytest.mark.parametrize("name", models.MODELS)
def test_no_samples_one_sample_and_a_saved_state(backend: Backend, name: str) -> None:
    model, other = build(name, backend, seed=1), build(name, backend, seed=2)
    for samples in (0, 1):
        batch = draw("ids", samples=samples, dtype=np.float32)
        assert model.predict(batch).shape == (samples,)
        loss = loss_of(model, batch)
        loss.backward()
        assert np.isfinite(loss.item())
    batch = draw("ids", dtype=np.float32)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.predict(batch), model.predict(batch))


@pytest.mark.parametrize("name", ["mf", "gmf", "ncf_mlp", "neumf", "two_tower"])
def test_sides_must_be_known(backend: Backend, name: str) -> None:
    for sides in ((), ("user", "", "", "")):
        with pytest.raises(InputError, match=f"{name}: which columns are the user's.*--user COL --item COL"):
            build(name, backend, sides=sides)
    uses = Uses(*[np.array([1, 0, 1, 1], bool)] * 3)
    model = build(name, backend)
    to_float64(model)
    cut = build(name, backend, uses=uses)
    for (_, tensor), (_, own) in zip(cut.named_tensors(), model.named_tensors(), strict=True):
        tensor.data = own.data
    batch = draw("ids")
    np.testing.assert_array_equal(cut.predict(batch), model.predict(batch))


@pytest.mark.parametrize("branches", [[], ["wide", "wide"], ["wide", "dnn"]])
def test_unknown_branches_are_refused(backend: Backend, branches: list[str]) -> None:
    with pytest.raises(InputError, match=r"fusion: branches are .*, choose of wide, fm, nfm, ncf, mlp, each once"):
        build("fusion", backend, branches=branches)


@pytest.mark.parametrize(
    "name", sorted(set(models.MODELS) - {"lr", "fm", "mf", "gmf", "ncf_mlp", "neumf", "two_tower"})
)
def test_rows_without_fields_are_refused(backend: Backend, name: str) -> None:
    batch = draw_batch(fields=1, numbers=NUMBERS, bags=True, pooling="none")
    with pytest.raises(InputError, match=r'pooling="none".*give columns or libffm, or --model fm'):
        build(name, backend, fields=1, sides=()).predict(batch)
