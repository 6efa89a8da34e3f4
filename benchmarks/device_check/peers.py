"""What others take for the same lookups: torch eager and compiled, embedding_bag, a Triton kernel, FBGEMM.

Peers read the same arrays, without a copy. One that is not installed, or fails, is named with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from device_check.clock import Clock
from device_check.kernels import Work
from fastfm_core.backends import cuda

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None


def lookups(clock: Clock, work: Work) -> list[dict[str, Any]]:
    """Times of first order, pairs, sums and vectors of a batch, ours first; and of sums alone beside embedding_bag."""
    weights, linear = torch.from_dlpack(work.table), torch.from_dlpack(work.linear)[:, None]
    ids = [torch.from_dlpack(entries.ids).long().view(entries.samples, entries.fields) for entries in work.batches]
    ours = clock.graph(
        [lambda e=e: cuda.embedding_fm(work.table, work.linear, e, None, deep=True) for e in work.batches]
    )
    compiled = torch.compile(eager, dynamic=False)
    found = [("ours", ours)]
    for name, function in (("torch eager", eager), ("torch.compile", compiled), ("Triton", fused)):
        found.append((name, _time([lambda i=i, f=function: f(weights, linear, i) for i in ids])))
    ratios = [_line(work, "forward, vectors out", name, time, ours) for name, time in found]
    bags = [entries._replace(fields=1, offsets=_offsets(entries)) for entries in work.batches]
    ours = clock.graph([lambda e=e: cuda.embedding_bag(work.table, e) for e in bags])
    bag = torch.nn.functional.embedding_bag
    others = {"ours": ours, "embedding_bag": _time([lambda i=i: bag(i, weights, mode="sum") for i in ids])}
    others["FBGEMM"] = _fbgemm(work, ids)
    return ratios + [_line(work, "sums of bags", name, time, ours) for name, time in others.items()]


def _offsets(entries: Any) -> Any:
    return cuda.xp.arange(0, len(entries.ids) + 1, entries.fields, dtype="int64")


def _line(work: Work, what: str, who: str, time: Any, ours: float) -> dict[str, Any]:
    ratio = f"{time / ours:.2f}" if isinstance(time, float) else ""
    return {"ids": work.ids, "dim": work.dim, "what": what, "who": who, "us": time, "times_ours": ratio}


def eager(weights: torch.Tensor, linear: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """first + pairs [B], sums [B, D], vectors [B, F, D]."""
    e = torch.nn.functional.embedding(ids, weights)
    sums = e.sum(1)
    pairs = 0.5 * (sums * sums - (e * e).sum(1)).sum(1)
    return torch.nn.functional.embedding(ids, linear).sum((1, 2)) + pairs, sums, e


def _time(works: list[Callable[[], Any]]) -> Any:
    """Median microseconds of one of the works in a replayed graph; words where it fails."""
    try:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(3):
                for work in works:
                    work()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            kept = [work() for work in works]
        times = []
        for _ in range(20):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) * 1e3 / len(works))
        del kept
        return sorted(times)[len(times) // 2]
    except Exception as error:
        return f"fails: {type(error).__name__}: {error}".splitlines()[0][:60]


if triton is not None:

    @triton.jit
    def _fused(table, linear, ids, out, sums, vectors, fields, DIM: tl.constexpr, WIDTH: tl.constexpr):  # noqa: N803
        sample = tl.program_id(0)
        column = tl.arange(0, WIDTH)
        inside = column < DIM
        total = tl.zeros((WIDTH,), tl.float32)
        squares = tl.zeros((WIDTH,), tl.float32)
        first = 0.0
        for field in range(fields):
            row = tl.load(ids + sample * fields + field)
            e = tl.load(table + row * DIM + column, mask=inside, other=0.0)
            tl.store(vectors + (sample * fields + field) * DIM + column, e, mask=inside)
            total += e
            squares += e * e
            first += tl.load(linear + row)
        tl.store(sums + sample * DIM + column, total, mask=inside)
        tl.store(out + sample, first + 0.5 * tl.sum(total * total - squares))


def fused(weights: torch.Tensor, linear: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The same by a Triton kernel, a program for each sample."""
    if triton is None:
        raise ImportError("Triton is not installed")
    (samples, fields), dim = ids.shape, weights.shape[1]
    out, sums = torch.empty(samples, device="cuda"), torch.empty(samples, dim, device="cuda")
    vectors = torch.empty(samples, fields, dim, device="cuda")
    width = triton.next_power_of_2(dim)
    _fused[(samples,)](weights, linear, ids, out, sums, vectors, fields, DIM=dim, WIDTH=width, num_warps=1)
    return out, sums, vectors


def _fbgemm(work: Work, ids: list[torch.Tensor]) -> Any:
    """Its table-batched lookup of one table, bags of F ids."""
    try:
        from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
        from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
            ComputeDevice,
            SplitTableBatchedEmbeddingBagsCodegen,
        )
    except ImportError:
        return "not installed"
    spec = [(len(work.table), work.dim, EmbeddingLocation.DEVICE, ComputeDevice.CUDA)]
    bags = SplitTableBatchedEmbeddingBagsCodegen(spec)
    samples, fields = ids[0].shape
    offsets = torch.arange(0, samples * fields + 1, fields, device="cuda")
    return _time([lambda i=i: bags(i.view(-1), offsets) for i in ids])
