"""The graph of every model, evaluated node by node, is the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastfm_core import backends, ops
from fastfm_core.autograd import Context, Function, Tensor
from fastfm_core.contract import Batch
from fastfm_core.errors import InputError
from fastfm_core.models import FM, Shape
from fastfm_core.serving.graph import graph_of
from fastfm_core.serving.onnx_export import export_onnx

from . import evaluate
from .zoo import INPUTS, MODELS, build, draw


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("case", MODELS)
def test_a_graph_computes_what_its_model_computes(case: str, kind: str) -> None:
    model = build(case, backends.get("reference"), np.float64)
    batch = draw(case, kind, dtype=np.float64)
    np.testing.assert_allclose(evaluate.logits(graph_of(model), batch), model.predict(batch), rtol=1e-9, atol=1e-12)


class _Cube(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray) -> np.ndarray:
        return x**3


class Cubed(FM):
    """Calls an operation of its own."""

    def forward(self, batch: Batch) -> Tensor:
        return _Cube.apply(super().forward(batch))


class Noisy(FM):
    """Computes with an array that nobody knows."""

    def forward(self, batch: Batch) -> Tensor:
        noise = Tensor(np.arange(batch.entries.samples, dtype=np.float32), self.backend)
        return ops.add(super().forward(batch), noise)


def test_what_cannot_be_translated_is_named(tmp_path: Path) -> None:
    cubed = Cubed(Shape(9, 4), backends.get("reference"), dim=3)
    assert graph_of(cubed).logit.op == "Cube"
    with pytest.raises(InputError, match="operation Cube"):
        export_onnx(cubed, tmp_path / "model.onnx")
    if backends.why_unavailable("native") is None:
        with pytest.raises(InputError, match="operation Cube"):
            cubed.scorer()
    with pytest.raises(InputError, match="Noisy: its forward pass uses an array that has no known source"):
        graph_of(Noisy(Shape(9, 4), backends.get("reference"), dim=3))
