"""The adapter's own work with arrays of a device: the backend cuda behind it, on the emulated CuPy or a real device.

Without a device the tensors are the host's, and what stands between them and CuPy is replaced; DLPack, streams and
devices are then not tested.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import fastfm_torch as ft
from fastfm_core import backends
from fastfm_torch import arrays

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))
from devices import cupy_module

REAL = torch.cuda.is_available()
PLACE = "cuda" if REAL else "cpu"
IDS = torch.tensor([[0, 10, 3], [3, 7, 7]])
FLAT, OFFSETS = torch.tensor([4, 4, 1, 0, 10, 3, 3, 8]), torch.tensor([0, 3, 3, 6, 8])


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tensors are computed by the backend cuda within a test."""
    with cupy_module():
        if not REAL:
            import cupy

            kernels, given = backends.get("cuda"), arrays.array_of

            def array_of(tensor: Tensor | None) -> Any:
                if tensor is None:
                    return None
                if tensor.dtype == torch.bfloat16:
                    return given(tensor)
                return cupy.wrapped(tensor.detach().numpy()[...])

            monkeypatch.setattr(arrays, "kernels_for", lambda tensor: kernels)
            monkeypatch.setattr(arrays, "array_of", array_of)
            monkeypatch.setattr(arrays, "tensor_of", lambda array: torch.from_numpy(cupy.peek(array)))
            monkeypatch.setattr(arrays, "queued", lambda tensor: contextlib.nullcontext())
        yield


def several(device: str) -> list[Tensor]:
    """Outputs and gradients of every lookup."""
    draw = torch.Generator().manual_seed(0)
    table, linear, values, dense = (
        torch.randn(shape, generator=draw, dtype=torch.float64).to(device).requires_grad_()
        for shape in ((11, 8), (11,), (8,), (2, 3))
    )
    ids, flat, offsets = (t.to(device) for t in (IDS, FLAT, OFFSETS))
    found: list[Tensor] = []
    for sparse in (False, True):
        outs = [*ft.embedding_fm(table, linear, ids, dense=dense, deep=True, sparse=sparse)]
        for pooling in ("mean", "max"):
            options: dict[str, Any] = {"fields": 2, "pooling": pooling, "deep": True, "sparse": sparse}
            outs += ft.embedding_fm(table, linear, flat, offsets, values, dense, **options)
        outs.append(ft.embedding_bag(table, flat, offsets, values, padding_idx=3, sparse=sparse))
        outs.append(ft.embedding_gather(table, ids, sparse=sparse, padding_idx=3))
        outs.append(ft.fm_interaction(outs[-1]))
        grads = torch.autograd.grad(sum(out.sin().sum() for out in outs), (table, linear, values, dense))
        found += [*outs, *(grad.to_dense() if grad.is_sparse else grad for grad in grads)]
    return [t.detach().cpu() for t in found]


def trained(device: str, rule: Any, sparse: bool, **options: Any) -> list[Tensor]:
    torch.manual_seed(1)
    model = ft.DeepFM([20, 30], 8, (4,), sparse=sparse, dtype=torch.float64).to(device)
    optimizer = rule(model.parameters(), lr=0.1, weight_decay=0.01, **options)
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.randint(0, 20, (5, 2)).to(device)).sigmoid().sum().backward()
        optimizer.step()
    return [t.cpu().clone() for t in model.state_dict().values()]


def test_lookups(on_device: None, request: pytest.FixtureRequest) -> None:
    found = several(PLACE)
    request.getfixturevalue("monkeypatch").undo()
    for one, other in zip(found, several("cpu"), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("options", [{"sparse": False}, {"sparse": True}, {"sparse": False, "in_backward": True}])
@pytest.mark.parametrize("rule", [ft.optim.Adagrad, ft.optim.RowwiseAdagrad, ft.optim.Adam])
def test_optimizers(on_device: None, request: pytest.FixtureRequest, rule: Any, options: dict[str, Any]) -> None:
    found = trained(PLACE, rule, **options)
    request.getfixturevalue("monkeypatch").undo()
    for one, other in zip(found, trained("cpu", rule, **options), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
