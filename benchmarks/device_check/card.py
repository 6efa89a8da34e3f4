"""The card and what it can do at best: copies, products, rows gathered at random."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from device_check.clock import Clock, normal, table
from fastfm_core.backends import cuda
from fastfm_core.bench.machine import describe as describe_host
from fastfm_core.bench.machine import version

ROWS = 4_000_000
MLP = ((65_536, 429, 400), (65_536, 400, 400))  # [B, K] @ [K, H] of the step's layers


def describe() -> dict[str, Any]:
    """Date, card, driver and versions."""
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    name = properties["name"]
    return describe_host() | {
        "card": name.decode() if isinstance(name, bytes) else name,
        "memory": f"{properties['totalGlobalMem'] / 2**30:.0f} GiB",
        "driver": runtime.driverGetVersion(),
        "cuda": runtime.runtimeGetVersion(),
        **{package: version(package) for package in ("cupy-cuda13x", "triton", "fbgemm-gpu")},
    }


def ceilings(clock: Clock) -> dict[str, float]:
    """bytes/us copied, flop/us of the MLP's products in float32 and TF32, bytes/us of rows of 64 bytes gathered."""
    copied = _copied(clock)
    rows = ROWS // (1000 if clock.emulated else 1)
    draw = np.random.default_rng(0)
    places = [cupy.asarray(draw.permutation(rows).astype(np.int32)) for _ in range(2)]
    tall = cupy.ones((rows, 16), "float32")
    gather = clock.graph([lambda ids=ids: cuda.embedding_gather(tall, ids) for ids in places])
    found = {"copy": copied, "gather_64": rows * (4 + 2 * 64) / gather}
    for kind in () if clock.emulated else ("float32", "tf32"):
        with precision(kind):
            found[f"products_{kind}"] = _products(clock)
    names = {"copy": "TB/s copied (read + written)", "gather_64": "TB/s of gathered rows of 64 bytes"}
    table(
        "Ceilings",
        ("what", "figure"),
        [(names.get(key, f"TFLOP/s, {key}"), f"{value / 1e6:.2f}") for key, value in found.items()],
    )
    return found


def _copied(clock: Clock) -> float:
    """bytes/us, read and written."""
    count = 1 << (16 if clock.emulated else 30)
    source, target = cupy.empty(count, "float32"), cupy.empty(count, "float32")
    source[...] = 1
    return 2 * source.nbytes / clock.eager([lambda: target.__setitem__(..., source)])


def _products(clock: Clock) -> float:
    """flop/us of one layer's three products."""
    samples, inputs, outputs = MLP[1]
    x, w = normal(samples, inputs), cupy.ones((inputs, outputs), "float32")
    spent = clock.eager([lambda: (x @ w, x @ w.T, x.T @ x)])
    return 6.0 * samples * inputs * outputs / spent


class precision:  # noqa: N801
    """Within this block CuPy's float32 products are exact ("float32") or of TF32's ten bits ("tf32")."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self) -> None:
        from cupy._core import _routines_linalg as linalg

        self.linalg, self.before = linalg, linalg.get_compute_type(cupy.dtype("float32"))
        wanted = linalg.COMPUTE_TYPE_TF32 if self.kind == "tf32" else linalg.COMPUTE_TYPE_FP32
        linalg.set_compute_type(cupy.dtype("float32"), wanted)

    def __exit__(self, *_: Any) -> None:
        self.linalg.set_compute_type(cupy.dtype("float32"), self.before)
