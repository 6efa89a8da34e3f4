"""Random inputs of the sparse kernels: a ``Scenario`` says the shape of a batch, ``sparse_inputs`` draws it.

Values contain exact zeros and negative numbers, bags are empty and repeat ids, Zipf ids come with many duplicates. The
row source of a scenario is built from the ground truth, so that kernels are tested one at a time.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from fastfm_core.contract import Array, Entries, Pooling, RowPlan, RowSource

from . import truth


class Scenario(NamedTuple):
    """B, F, D, V; how ids are drawn; bags of which lengths (None: one id per slot); which gradients the source has.

    lane: table and source are of rows that end with their first-order weight, [V, D + 1]; for the row kernels alone.
    """

    name: str
    samples: int = 13
    fields: int = 5
    dim: int = 4
    rows: int = 50
    ids: Literal["zipf", "one", "ends"] = "zipf"
    pooling: Pooling = "sum"
    bags: Literal["mixed", "empty", "long"] | None = None
    values: bool = False
    row_views: bool = False
    source: Literal["pair", "deep", "both", "first", "none"] = "both"
    lane: bool = False


class SparseInputs(NamedTuple):
    """What the lookup and row kernels take, drawn for one scenario."""

    table: Array
    linear: Array
    entries: Entries
    dense: Array
    plan: RowPlan
    source: RowSource


def sparse_inputs(scenario: Scenario, seed: int, dtype: Any, ids_dtype: Any) -> SparseInputs:
    """Draw a batch, its tables and a row source. source="first" is the first order's: a lane of the row as [V, 1]."""
    random = np.random.default_rng(seed)
    full = random.normal(size=(scenario.rows, scenario.dim + 3)).astype(dtype)
    table, linear = full[:, : scenario.dim], full[:, scenario.dim]
    if scenario.source == "first":
        table = full[:, scenario.dim : scenario.dim + 1]
    if scenario.lane:
        table = full[:, : scenario.dim + 1]
    if scenario.source != "first" and not scenario.row_views:
        table, linear = table.copy(), linear.copy()
    entries = draw_entries(scenario, random, dtype, ids_dtype)
    dense = random.normal(size=(scenario.samples, 3)).astype(dtype)
    return SparseInputs(
        table, linear, entries, dense, plan_of(entries.ids), draw_source(scenario, random, table, entries)
    )


def draw_entries(scenario: Scenario, random: np.random.Generator, dtype: Any, ids_dtype: Any) -> Entries:
    """Ids, bag borders and values of one batch."""
    slots, offsets = scenario.samples * scenario.fields, None
    if scenario.bags is not None:
        lengths = random.integers(0, {"mixed": 5, "empty": 1, "long": 60}[scenario.bags], slots)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    count = slots if offsets is None else int(offsets[-1])
    ids = {
        "zipf": (random.zipf(1.2, count) - 1) % scenario.rows,
        "one": np.full(count, scenario.rows // 2),
        "ends": random.integers(0, 2, count) * (scenario.rows - 1),
    }[scenario.ids].astype(ids_dtype)
    values = None
    if scenario.values:
        values = random.normal(size=count).astype(dtype)
        values[::4] = 0
    return Entries(ids, scenario.fields, offsets, values, scenario.pooling)


def plan_of(ids: Array) -> RowPlan:
    """The row plan, made by comparing each row with all ids."""
    rows = np.array(sorted(set(ids.tolist())), ids.dtype)
    places = [np.flatnonzero(ids == row) for row in rows]
    segments = np.cumsum([0, *map(len, places)], dtype=np.int64)
    return RowPlan(rows, segments, np.concatenate([np.zeros(0), *places]).astype(np.int32))


def draw_source(scenario: Scenario, random: np.random.Generator, table: Array, entries: Entries) -> RowSource:
    """Random upstream gradients, and what the forward pass saves for them."""
    dtype, dim = table.dtype, table.shape[1] - scenario.lane
    samples, fields = scenario.samples, scenario.fields
    pair_grad = random.normal(size=samples).astype(dtype)
    source = RowSource(fields, truth.slots_of(entries), truth.given_coefficients(entries, dtype))
    pooled, winners = truth.pooled(truth.wide(table), truth.wide(entries))[::2]
    if entries.pooling == "max":
        source = source._replace(winners=winners)
    if scenario.lane:
        source, pooled = source._replace(first_grad=random.normal(size=samples).astype(dtype)), pooled[:, :dim]
    if scenario.source == "first":
        return source._replace(slot_grad=np.broadcast_to(pair_grad[:, None, None], (samples, fields, dim)))
    if scenario.source in ("pair", "both"):
        sums = pooled.reshape(samples, fields, dim).sum(axis=1).astype(dtype)
        source = source._replace(pair_grad=pair_grad, sums=sums)
        if entries.offsets is not None and entries.pooling != "none":
            source = source._replace(slot_values=pooled.astype(dtype))
    if scenario.source in ("deep", "both"):
        deep_grad = random.normal(size=(samples, fields * dim + 3)).astype(dtype)
        source = source._replace(slot_grad=deep_grad[:, : fields * dim].reshape(samples, fields, dim))
    return source


STRIDED = {"table", "linear", "accumulator", "moment1", "moment2", "dual", "slot_grad", "left", "right"}
"""The arrays that the contract lets have any outer stride; the others are C-contiguous."""


def spread(tree: Any, name: str = "") -> Any:
    """The same numbers, the arrays named in STRIDED with their outer stride doubled; broadcasts stay as they are."""
    if isinstance(tree, dict):
        return {key: spread(value, key) for key, value in tree.items()}
    if isinstance(tree, RowSource):
        return tree._replace(slot_grad=spread(tree.slot_grad, "slot_grad"))
    if name not in STRIDED or tree is None or 0 in tree.strides:
        return tree
    view = np.zeros((2 * len(tree), *tree.shape[1:]), tree.dtype)[::2]
    view[...] = tree
    return view


SINGLE_IDS = [
    *(Scenario(f"dim_{d}", dim=d, values=d % 2 == 1) for d in (0, 1, 4, 7, 16, 33, 64)),
    Scenario("values_dim_16", dim=16, values=True),
    Scenario("no_samples", samples=0),
    Scenario("one_sample", samples=1, values=True),
    Scenario("one_field", fields=1, dim=7),
    Scenario("duplicates", samples=40, rows=3, dim=16),
    Scenario("one_id", samples=64, ids="one", dim=16, values=True),
    Scenario("ends", ids="ends", dim=7),
    Scenario("thousand_entries", samples=200, dim=16, rows=500),
    Scenario("row_views", row_views=True, dim=15),
    Scenario("row_views_values", row_views=True, dim=7, values=True),
    Scenario("pair_only", source="pair", dim=16),
    Scenario("pair_only_values", source="pair", values=True, row_views=True),
    Scenario("deep_only", source="deep", dim=16),
    Scenario("first_order", source="first", values=True),
    *(Scenario(f"{p}_of_one", pooling=p, values=True, dim=7) for p in ("mean", "sqrtn", "max")),
    Scenario("none_of_one", pooling="none", fields=1, source="pair"),
]


def _bag_scenarios(pooling: Pooling) -> list[Scenario]:
    def bag(name: str, bags: Literal["mixed", "empty", "long"] = "mixed", **changes: Any) -> Scenario:
        base: dict[str, Any] = {"pooling": pooling, "bags": bags}
        if pooling == "none":
            base |= {"fields": 1, "source": "pair"}
        return Scenario(f"{pooling}_{name}", **(base | changes))

    return [
        bag("dim_16", dim=16),
        bag("dim_4_values", dim=4, values=True),
        bag("dim_7_values_row_views", dim=7, values=True, row_views=True),
        bag("dim_1", dim=1),
        bag("dim_0", dim=0, values=True),
        bag("dim_33", dim=33, values=True, samples=3),
        bag("no_samples", samples=0),
        bag("all_empty", "empty", dim=16),
        bag("long_repeated", "long", samples=2, rows=3, dim=16),
        bag("ends_values", ids="ends", values=True, dim=16),
        bag("one_id", "long", samples=3, ids="one", values=True, dim=4),
        bag("first_order", source="first", values=True),
        bag("deep_only", source="deep", dim=16, values=True),
    ]


BAGS = [s for pooling in ("sum", "mean", "sqrtn", "max", "none") for s in _bag_scenarios(pooling)]
SCENARIOS = SINGLE_IDS + BAGS
LANES = [
    *(Scenario(f"lane_dim_{d}", dim=d, values=d % 2 == 1, row_views=d > 15) for d in (0, 1, 7, 15, 16, 33)),
    *(
        Scenario(f"lane_{source}_{pooling}_{bags}", dim=dim, pooling=pooling, bags=bags, source=source, values=dim == 7)
        for pooling in ("sum", "mean", "sqrtn", "max")
        for source, bags, dim in (
            ("both", "mixed", 16), ("both", None, 7), ("pair", "mixed", 7), ("deep", "mixed", 33),
            ("none", "mixed", 15), ("none", "mixed", 0), ("both", "mixed", 0), ("both", "empty", 1),
        )
    ),
    *(
        Scenario(f"lane_{source}_none_{dim}", fields=1, dim=dim, pooling="none", bags="mixed", source=source)
        for source, dim in (("pair", 15), ("pair", 0), ("none", 16))
    ),
    Scenario("lane_none", source="none", dim=15, values=True),
    Scenario("lane_no_samples", samples=0, dim=15),
    Scenario("lane_one_id", samples=64, ids="one", dim=16, values=True, row_views=True),
    Scenario("lane_duplicates", samples=40, rows=3, dim=15, row_views=True),
    Scenario("lane_ends", ids="ends", dim=7, bags="long", pooling="max", values=True, row_views=True),
]  # fmt: skip
LANES = [scenario._replace(lane=True) for scenario in LANES]
