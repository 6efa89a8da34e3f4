"""One timed case or more per kernel of the contract, at the sizes of W1: B=4096, F=26, D=16, V=1,000,000, H=400.

A case names the kernel, makes its arguments (float32; bags hold 0 to 6 entries) and names its ceiling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from fastfm_core import backends
from fastfm_core.backends.memory import aligned_zeros
from fastfm_core.bench import ceilings
from fastfm_core.bench.workload import BATCH, DIM, FIELDS, NUMBERS, ROWS, ClickLog, click_log
from fastfm_core.contract import POOLINGS, DropoutKey, Entries, RowSource

HIDDEN, BATCHES, MISSED, NEGATIVES = 400, 6, 20, 4
STREAMS = {"fields": "fields", "hidden": "hidden", "samples": "labels", "groups": "groups"}


class Tables:
    """[V, 16] float32 embeddings and optimizer states, [V] first-order weights and row-wise state."""

    def __init__(self, rows: int = ROWS) -> None:
        draw = np.random.default_rng(3)
        self.table = aligned_zeros((rows, DIM), np.float32)
        self.table[:] = draw.standard_normal((rows, DIM), dtype=np.float32) * 0.1
        self.linear = draw.standard_normal(rows, dtype=np.float32) * 0.1
        self.state = aligned_zeros((rows, DIM), np.float32, line=1)
        self.state[:] = 0.1
        self.moment = aligned_zeros((rows, DIM), np.float32, line=2)
        self.row_state = np.full(rows, 0.1, np.float32)


class Inputs:
    """One batch and everything a kernel may be given with it; the tables are shared by all batches.

    Only in-place kernels change any of it: the tables, their states, the scratch.
    """

    def __init__(self, tables: Tables, log: ClickLog, number: int, batch: int = BATCH) -> None:
        draw = np.random.default_rng(number)
        rows = slice(number * batch, (number + 1) * batch)
        self.table, self.linear, self.row_state = tables.table, tables.linear, tables.row_state
        self.state, self.moment = tables.state, tables.moment
        self.numbers, self.labels = log.numbers[rows], log.labels[rows]
        self.ids = np.ascontiguousarray(log.ids[rows].reshape(-1))
        self.entries = Entries(self.ids, FIELDS)
        self._make_bags(draw)
        self.fields = draw.standard_normal((batch, FIELDS, DIM), dtype=np.float32)
        self.hidden = draw.standard_normal((batch, HIDDEN), dtype=np.float32)
        self.scratch = self.hidden.copy()
        self.hidden_grad = draw.standard_normal((batch, HIDDEN), dtype=np.float32)
        self.square = draw.standard_normal((HIDDEN, HIDDEN), dtype=np.float32)
        self.vector = draw.standard_normal(HIDDEN, dtype=np.float32)
        self.groups = draw.standard_normal((batch, 1 + NEGATIVES), dtype=np.float32)
        self.copies = {name: np.empty_like(getattr(self, array)) for name, array in STREAMS.items()}
        self._make_gradient(draw)

    def ceiling(self, name: str) -> None:
        """Runs the least work of a kernel on this batch: gather or bags, the looked-up rows read once (see
        ceilings.py); fields [B, F*D], hidden [B, H] or samples [B] and groups
        [B, 1 + K] copied; gemm [B, H] @ [H, H] by NumPy."""
        if name in ("gather", "bags"):
            ceilings.gather(self.table, self.ids if name == "gather" else self.loose.ids)
        elif name == "gemm":
            np.matmul(self.hidden, self.square, out=self.scratch)
        else:
            ceilings.stream(getattr(self, STREAMS[name]), self.copies[name])

    def ceiling_bytes(self, name: str) -> int | None:
        """How much memory that work reads and writes; None where arithmetic or the call itself is what takes time."""
        if name in ("gather", "bags"):
            ids = self.ids if name == "gather" else self.loose.ids
            return len(ids) * (ids.itemsize + DIM * self.table.itemsize)
        return 2 * self.copies[name].nbytes if name in ("fields", "hidden") else None

    def drawn(self, count: int, width: int) -> np.ndarray:
        """[B, count, width] numbers, those of the fields."""
        return np.resize(self.fields, (len(self.fields), count, width))

    def _make_bags(self, draw: np.random.Generator) -> None:
        lengths = draw.integers(0, 7, len(self.ids))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ids = np.repeat(self.ids, lengths)
        values = draw.random(len(ids), dtype=np.float32) + 0.5
        self.bags = {
            pooling: Entries(ids, FIELDS, offsets, values, pooling) for pooling in POOLINGS if pooling != "none"
        }
        self.loose = Entries(ids, 1, offsets[::FIELDS].copy(), values, "none")

    def _make_gradient(self, draw: np.random.Generator) -> None:
        reference, rows, batch = backends.get("reference"), len(self.table), len(self.labels)
        self.plan = reference.plan_rows(self.ids, rows)
        self.other_plan = reference.plan_rows(self.ids[: len(self.ids) // 2].copy(), rows)
        self.pair_grad = draw.standard_normal(batch, dtype=np.float32) / batch
        deep_grad = draw.standard_normal((batch, FIELDS * DIM + NUMBERS), dtype=np.float32) / batch
        slot_grad = deep_grad[:, : FIELDS * DIM].reshape(batch, FIELDS, DIM)
        sums = self.table[self.ids].reshape(batch, FIELDS, DIM).sum(1)
        self.source = RowSource(FIELDS, pair_grad=self.pair_grad, sums=sums, slot_grad=slot_grad)


def all_inputs(rows: int = ROWS, batch: int = BATCH) -> list[Inputs]:
    """BATCHES batches of one log. Timings take them in turn, so that rows are no warmer than in training."""
    tables, log = Tables(rows), click_log(BATCHES * batch, rows=rows)
    return [Inputs(tables, log, number, batch) for number in range(BATCHES)]


class KernelCase(NamedTuple):
    """label names the case, kernel the contract's function; ceiling its least work (see Inputs.ceiling)."""

    label: str
    kernel: str
    ceiling: str
    arguments: Callable[[Inputs], tuple[Any, ...]]
    keywords: dict[str, Any]


def case(
    kernel: str, ceiling: str, arguments: Callable[[Inputs], tuple[Any, ...]], variant: str = "", **keywords: Any
) -> KernelCase:
    """A case labelled by its kernel and, where there are several, its variant."""
    return KernelCase(f"{kernel}-{variant}" if variant else kernel, kernel, ceiling, arguments, keywords)


def pair_cases() -> Iterator[KernelCase]:
    """Pairs of the 26 fields: all 325; 5 user fields x 21 item fields, 105; a ring of 26, whose element-wise products
    are as large as the fields; a single one. What is not listed costs nothing, so the time follows their number."""
    every = np.array(list(combinations(range(FIELDS), 2)), np.int32)
    chosen = {
        "all": every,
        "user_item": every[(every[:, 0] < 5) & (every[:, 1] >= 5)],
        "ring": np.array([(f, (f + 1) % FIELDS) for f in range(FIELDS)], np.int32),
        "single": every[:1],
    }
    for name, pairs in chosen.items():
        yield case("pair_interaction", "fields", lambda x, p=pairs: (x.fields, p, None), name)
        yield case("pair_interaction_backward", "fields", lambda x, p=pairs: (x.pair_grad, x.fields, p, None), name)
    weights = np.random.default_rng(5).standard_normal(len(every), dtype=np.float32)
    yield case("pair_interaction", "fields", lambda x: (x.fields, every, weights), "fwfm")
    yield case("pair_interaction_backward", "fields", lambda x: (x.pair_grad, x.fields, every, weights), "fwfm")
    for product, pairs in (("inner", every), ("elementwise", chosen["ring"]), ("outer", every[:2])):
        width = {"inner": 1, "elementwise": DIM, "outer": DIM**2}[product]
        yield case("pair_products", "fields", lambda x, p=pairs, name=product: (x.fields, p, name), product)
        yield case(
            "pair_products_backward",
            "fields",
            lambda x, p=pairs, w=width, name=product: (x.drawn(len(p), w), x.fields, p, name),
            product,
        )


def pooled(pooling: str) -> KernelCase:
    """embedding_bag with that pooling."""
    return case("embedding_bag", "bags", lambda x: (x.table, x.bags[pooling]), pooling)


def catch_up(rule: str, arrays: Callable[[Inputs], tuple[Any, ...]]) -> KernelCase:
    """The batch's rows catch up with 0 to MISSED steps, evenly drawn."""

    def arguments(x: Inputs) -> tuple[Any, ...]:
        last = np.random.default_rng(5).integers(0, MISSED + 1, len(x.linear)).astype(np.int32)
        return *arrays(x), last, x.plan.rows

    steps = {"step": MISSED, "rates": np.full(MISSED, 1e-3), "l2": 1e-5}
    return case(f"catch_up_rows_{rule}_", "gather", arguments, **steps)


KEY = DropoutKey(seed=1, step=2, layer=3)
CASES = (
    case("embedding_gather", "gather", lambda x: (x.table, x.ids)),
    *(pooled(pooling) for pooling in ("sum", "mean", "sqrtn", "max")),
    case("embedding_fm", "gather", lambda x: (x.table, x.linear, x.entries, None), "fm", deep=False),
    case("embedding_fm", "gather", lambda x: (x.table, x.linear, x.entries, x.numbers), "deepfm", deep=True),
    case("embedding_fm", "bags", lambda x: (x.table, x.linear, x.bags["mean"], None), "bags", deep=True),
    case("embedding_fm", "bags", lambda x: (x.table, x.linear, x.loose, None), "none", deep=False),
    case("entry_slots", "bags", lambda x: (x.bags["mean"],)),
    case("pooling_coefficients", "bags", lambda x: (x.bags["mean"], np.float32)),
    case("value_gradient", "gather", lambda x: (x.table, x.entries, x.source)),
    case("fm_interaction", "fields", lambda x: (x.fields,)),
    case("fm_interaction_backward", "fields", lambda x: (x.pair_grad, x.fields)),
    case("bi_interaction", "fields", lambda x: (x.fields,)),
    case("bi_interaction_backward", "fields", lambda x: (x.source.sums, x.fields)),
    *pair_cases(),
    case("plan_rows", "gather", lambda x: (x.ids, len(x.table))),
    case("merge_plans", "gather", lambda x: ([x.plan, x.other_plan],)),
    case("materialize_rows", "gather", lambda x: (x.table, x.plan, x.source)),
    case("row_gradient_norm2", "gather", lambda x: (x.table, x.plan, x.source)),
    case("update_rows_sgd_", "gather", lambda x: (x.table, x.plan, x.source), lr=1e-3),
    case("update_rows_adagrad_", "gather", lambda x: (x.table, x.state, x.plan, x.source), lr=0.05),
    case("update_rows_rowwise_adagrad_", "gather", lambda x: (x.table, x.row_state, x.plan, x.source), lr=0.05),
    case("update_rows_adam_", "gather", lambda x: (x.table, x.moment, x.state, x.plan, x.source), step=3, lr=1e-3),
    case("update_rows_adamw_", "gather", lambda x: (x.table, x.moment, x.state, x.plan, x.source), step=3, lr=1e-3),
    case("update_rows_ftrl_", "gather", lambda x: (x.table, x.moment, x.state, x.plan, x.source), lr=0.05),
    catch_up("sgd", lambda x: (x.table,)),
    catch_up("adagrad", lambda x: (x.table, x.state)),
    catch_up("rowwise_adagrad", lambda x: (x.table, x.row_state)),
    catch_up("adam", lambda x: (x.table, x.moment, x.state)),
    catch_up("adamw", lambda x: (x.table, x.moment, x.state)),
    catch_up("ftrl", lambda x: (x.table, x.moment, x.state)),
    case("matmul", "gemm", lambda x: (x.hidden, x.square)),
    case("bias_relu_dropout_", "hidden", lambda x: (x.scratch, x.vector, 0.0, None), "relu"),
    case("bias_relu_dropout_", "hidden", lambda x: (x.scratch, x.vector, 0.2, KEY), "dropout"),
    case("bias_relu_dropout_backward", "hidden", lambda x: (x.hidden_grad, np.maximum(x.hidden, 0), 0.2)),
    case("dropout", "hidden", lambda x: (x.hidden, 0.2, KEY)),
    case("batch_norm", "hidden", lambda x: (x.hidden, x.vector, x.vector, 1e-5)),
    case(
        "batch_norm_backward",
        "hidden",
        lambda x: (x.hidden_grad, x.hidden, x.vector, x.hidden.mean(0), x.hidden.var(0), 1e-5),
    ),
    case("bce_with_logits", "samples", lambda x: (x.pair_grad, x.labels, None)),
    case("mean_squared_error", "samples", lambda x: (x.pair_grad, x.labels, None)),
    case("softmax_cross_entropy", "groups", lambda x: (x.groups, None)),
    case("bpr", "groups", lambda x: (x.groups, x.labels)),
)
