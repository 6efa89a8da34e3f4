"""The exported file in ONNX Runtime is the model: every case of the zoo, every kind of input, any batch, wrong ids."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from drawing import draw_batch, to_float64

from fastfm_core import backends, models
from fastfm_core.contract import Batch, Entries
from fastfm_core.data.encoded import Encoded
from fastfm_core.errors import InputError
from fastfm_core.metrics import sigmoid
from fastfm_core.serving import onnx_file
from fastfm_core.serving.onnx_export import export_onnx
from fastfm_core.serving.onnx_lookup import FieldRows

from .bound import require_close
from .zoo import BASES, FIELDS, INPUTS, MODELS, ROWS, SIZES, build, draw

REFERENCE = backends.get("reference")
VERSION = [int(part) for part in onnxruntime.__version__.split(".")[:2]]
MANY_PARTS = ("deepfm_v2", "deepfm apart of dims", "fusion of all", "deepfm of numbers")


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feed(runs: onnxruntime.InferenceSession, batch: Batch) -> dict[str, np.ndarray]:
    """A batch as the inputs of a file."""
    ids, fields, offsets, values, _ = batch.entries
    shape = (-1, fields) if offsets is None else (-1,)
    given: dict[str, Any] = {"ids": ids.astype(np.int64).reshape(shape), "offsets": offsets, "numbers": batch.dense}
    given["values"] = None if values is None else values.reshape(shape)
    return {wanted.name: given[wanted.name] for wanted in runs.get_inputs()}


def score(runs: onnxruntime.InferenceSession, batch: Batch) -> np.ndarray:
    return runs.run(["logit"], feed(runs, batch))[0]


def exported(model: Any, path: Path, kind: str, **more: Any) -> onnxruntime.InferenceSession:
    export_onnx(model, path, **{"bags": False, "values": False, "pooling": "sum"} | INPUTS[kind] | more)
    return session(path)


def outside(rows: FieldRows, batch: Batch) -> tuple[Batch, Batch]:
    """The batch with one wrong id each in samples 0, 1 and 2, and the same with their fields' unknown rows instead."""
    entries = batch.entries
    slots = np.arange(entries.slots)
    slots = slots if entries.offsets is None else np.repeat(slots, np.diff(entries.offsets))
    wrong, unknown = entries.ids.astype(np.int64), entries.ids.astype(np.int64)
    for sample, field, id in ((0, 2, -1), (1, 0, int(SIZES[0])), (2, FIELDS - 1, 1 << 40)):
        (place, *_) = np.flatnonzero(slots == sample * FIELDS + field)
        wrong[place], unknown[place] = id, rows.unknown[field]
    return batch._replace(entries=entries._replace(ids=wrong)), batch._replace(entries=entries._replace(ids=unknown))


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("case", MODELS)
def test_the_file_is_the_model(case: str, kind: str, tmp_path: Path) -> None:
    batch = draw(case, kind, 30)
    require_close(case, batch, score(exported(build(case, REFERENCE), tmp_path / "model.onnx", kind), batch))
    file = onnx.load(tmp_path / "model.onnx")
    assert {node.domain for node in file.graph.node} == {""} and [x.domain for x in file.opset_import] == [""]
    assert not any("EmbeddingBag" in node.op_type for node in file.graph.node)
    onnx.checker.check_model(file, full_check=True)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("case", MANY_PARTS)
def test_one_file_takes_any_batch(case: str, kind: str, tmp_path: Path) -> None:
    model = build(case, REFERENCE)
    runs = exported(model, tmp_path / "model.onnx", kind)
    for samples in (7, 1, 300):
        batch = draw(case, kind, samples)
        logits = score(runs, batch)
        assert logits.shape == (samples,)
        np.testing.assert_allclose(logits, model.predict(batch), rtol=2e-5, atol=2e-5)


@pytest.mark.skipif(VERSION < [1, 27], reason="a product of no rows ends the process of ONNX Runtime 1.24 and older")
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("case", MANY_PARTS)
def test_an_empty_batch(case: str, kind: str, tmp_path: Path) -> None:
    runs = exported(build(case, REFERENCE), tmp_path / "model.onnx", kind)
    assert score(runs, draw(case, kind, 0)).shape == (0,)


@pytest.mark.parametrize("pooling", ["sum", "mean", "max"])
@pytest.mark.parametrize("case", ["deepfm", "deepfm apart of dims", "nfm apart"])
def test_fields_with_one_entry_beside_bags(case: str, pooling: str, tmp_path: Path) -> None:
    model, bags = build(case, REFERENCE), np.array([True, False, True, True])
    batch = draw(case, f"{pooling} of bags", 60)
    whole = score(exported(model, tmp_path / "whole.onnx", f"{pooling} of bags"), batch)
    one = (lengths(batch.entries)[:, ~bags] == 1).all(1)
    assert 5 < one.sum() < 30
    logits = score(exported(model, tmp_path / "mixed.onnx", f"{pooling} of bags", bags=bags), batch)
    np.testing.assert_allclose(logits, np.where(one, whole, np.nan), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("name", ["lr", "fm"])
def test_rows_without_fields(name: str, values: bool, tmp_path: Path) -> None:
    model = models.build(name, rows=ROWS, fields=1, dense=0, dim=3, backend=REFERENCE, bias=0.25)
    to_float64(model)
    export_onnx(model, tmp_path / "model.onnx", bags=True, values=values, pooling="none")
    runs = session(tmp_path / "model.onnx")
    for samples in (1, 7, 300):
        batch = draw_batch(fields=1, rows=ROWS, samples=samples, bags=True, values=values, pooling="none")
        truth = model.predict(batch)
        assert np.abs(score(runs, batch) - truth).max() <= 8 * np.finfo(np.float32).eps * max(1, np.abs(truth).max())


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("case", ["deepfm", "deepfm of dims", "mlp"])
def test_an_id_outside_of_its_field_reads_the_unknown_row_or_makes_its_sample_nan(
    case: str, kind: str, tmp_path: Path
) -> None:
    model, batch = build(case, REFERENCE), draw(case, kind, 40, seed=3)
    full = np.flatnonzero(lengths(batch.entries).all(1))
    batch = samples_first(batch, full[:3])
    rows = FieldRows(BASES, SIZES, BASES)
    wrong, unknown = outside(rows, batch)
    runs = exported(model, tmp_path / "model.onnx", kind, rows=rows)
    assert np.isfinite(score(runs, wrong)).all() and (score(runs, wrong) != score(runs, batch)).any()
    np.testing.assert_array_equal(score(runs, wrong), score(runs, unknown))

    rows = rows._replace(unknown=np.array([-1, BASES[1], BASES[2], -1]))
    runs = exported(model, tmp_path / "model.onnx", kind, rows=rows, outputs=("logit", "probability"))
    logits, probabilities = runs.run(None, feed(runs, wrong))
    assert np.isnan(logits).tolist() == np.isnan(probabilities).tolist() == [False, True, True] + [False] * 37
    np.testing.assert_array_equal(logits[3:], score(runs, batch)[3:])


def lengths(entries: Entries) -> np.ndarray:
    """[B, F] how many entries."""
    one = np.ones(entries.slots, np.int64)
    return (one if entries.offsets is None else np.diff(entries.offsets)).reshape(entries.samples, entries.fields)


def samples_first(batch: Batch, chosen: np.ndarray) -> Batch:
    """The batch with the chosen samples in front, all in all as many."""
    ids, fields, offsets, values, pooling = batch.entries
    order = np.concatenate([chosen, np.setdiff1d(np.arange(batch.entries.samples), chosen)])
    encoded = Encoded(
        ids if offsets is not None else ids.reshape(-1, fields), ROWS, fields, np.full(fields, -1), offsets,
        values if values is None or offsets is not None else values.reshape(-1, fields), batch.dense,
    )  # fmt: skip
    taken = encoded.take(order)
    return taken._replace(entries=taken.entries._replace(pooling=pooling))


def test_without_known_rows_an_id_may_name_any_row_of_the_table(tmp_path: Path) -> None:
    runs = exported(build("fm", REFERENCE), tmp_path / "model.onnx", "ids")
    ids = np.array([[0, ROWS - 1, 3, 4], [0, ROWS, 3, 4], [-1, 1, 3, 4]])
    assert np.isnan(runs.run(None, {"ids": ids})[0]).tolist() == [False, True, True]


def test_probabilities_are_exact_also_when_small(tmp_path: Path) -> None:
    model = build("lr", REFERENCE)
    model.load_state_dict({name: array * 10 for name, array in model.state_dict().items()})
    runs = exported(model, tmp_path / "model.onnx", "ids", outputs=("logit", "probability", "prediction"))
    logits, probabilities, predictions = runs.run(None, feed(runs, draw("lr", "ids", 300)))
    assert logits.min() < -14
    np.testing.assert_allclose(probabilities, sigmoid(logits.astype(np.float64)), rtol=1e-6)
    np.testing.assert_array_equal(predictions, logits)


def test_broken_offsets_are_refused(tmp_path: Path) -> None:
    runs = exported(build("fm", REFERENCE), tmp_path / "model.onnx", "bags without values")
    given = {"ids": BASES, "offsets": np.arange(FIELDS + 1)}
    assert runs.run(None, given)[0].shape == (1,)
    for wrong in (FIELDS - 1, FIELDS + 1):
        with pytest.raises(Exception, match="ScatterElements"):
            runs.run(None, {**given, "offsets": np.array([*range(FIELDS), wrong])})
    with pytest.raises(Exception, match="Reshape"):
        runs.run(None, {**given, "offsets": np.array([0, 1, 2, 4])})


def test_large_tables_go_to_a_file_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = build("deepfm of a line", REFERENCE), draw("deepfm of a line", "ids")
    within = score(exported(model, tmp_path / "within.onnx", "ids"), batch)
    monkeypatch.setattr(onnx_file, "LARGEST", 0)
    apart = exported(model, tmp_path / "apart.onnx", "ids")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["apart.onnx", "apart.onnx.data", "within.onnx"]
    assert (tmp_path / "apart.onnx.data").stat().st_size > 60 * 70 * 4
    onnx.checker.check_model(tmp_path / "apart.onnx", full_check=True)
    np.testing.assert_array_equal(score(apart, batch), within)


def test_each_table_is_kept_once_with_its_first_order(tmp_path: Path) -> None:
    exported(build("deepfm apart", REFERENCE), tmp_path / "model.onnx", "ids")
    arrays = {array.name: tuple(array.dims) for array in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert [shape for shape in arrays.values() if shape[:1] == (ROWS,)] == [(ROWS, 4)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, 'pooling "max" is of bags'),
        ({"pooling": "median"}, "pooling is one of sum, mean"),
        ({"outputs": ("odds",)}, "outputs are some of logit, probability, prediction"),
        ({"bags": True, "pooling": "none"}, "the model has 4"),
        ({"rows": FieldRows(BASES[:2], SIZES[:2], BASES[:2])}, "rows are those of 2 fields, the model has 4"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        export_onnx(build("fm", REFERENCE), tmp_path / "model.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_vectors_of_rows_without_fields_are_refused(tmp_path: Path) -> None:
    model = models.build("deepfm", rows=ROWS, fields=1, dense=0, dim=3, hidden=(4,), backend=REFERENCE)
    with pytest.raises(InputError, match="have no vectors"):
        export_onnx(model, tmp_path / "model.onnx", bags=True, pooling="none")


def test_the_package_onnx_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install 'fastfm-core\[onnx\]'"):
        export_onnx(build("fm", REFERENCE), tmp_path / "model.onnx")
