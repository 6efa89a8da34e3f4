"""Test AUC on the bundled coupon data: the package against its PyTorch twin and scikit-learn, on the same splits.

    python benchmarks/coupon_quality.py [--seeds 5] [--set KEY=VALUE]... [--skip-groups] [--json FILE]

Splits of 70/10/20 by the seed: stratified by label, and grouped so that no respondent is in two parts. All columns are
categorical. The scikit-learn models train on the 70 % alone, untuned, and see all values; ours also choose their epoch
on the 10 %.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from baselines import BASELINES, baseline_auc
from comparison import MODELS, Parts, arguments, compare, prepare, print_comparison
from fastfm_core.bench.machine import print_header, print_table, write_json
from fastfm_core.config import parse_settings
from fastfm_core.data import Categorical, Encoder, Schema, read_table
from fastfm_core.data import split as splits
from fastfm_core.data.bundled import COUPON_LABEL, COUPON_RESPONDENT, coupon_path
from fastfm_core.data.columns import Table
from fastfm_core.data.labels import label_values

Areas = dict[str, list[dict[str, float]]]


def run(table: Table, labels: np.ndarray, parts: list[Parts], settings: list[str]) -> tuple[Areas, dict[str, Any]]:
    """Test AUC per model, seed and side, and per baseline and seed."""
    schema = Schema([Categorical(name) for name in table if name != COUPON_LABEL])
    config = parse_settings(settings)
    everything = Encoder.fit(table, schema, min_count=1)
    ids = everything.transform(table).ids
    areas: Areas = {name: [] for name in MODELS}
    baselines: dict[str, list[float]] = {name: [] for name in BASELINES}
    for seed, part in enumerate(parts):
        for name in MODELS:
            areas[name].append(compare(prepare(table, labels, schema, part, config, seed), name, seed))
        for name in BASELINES:
            baselines[name].append(baseline_auc(name, ids, everything.rows, labels, part, seed))
    return areas, baselines


def main() -> None:
    parser = arguments(__doc__, seeds=5)
    parser.add_argument("--skip-groups", action="store_true", help="stratified splits only")
    options = parser.parse_args()
    table = read_table(coupon_path())
    labels = label_values(table, COUPON_LABEL)
    groups = [table[name] for name in COUPON_RESPONDENT]
    splittings = {"stratified": [splits.stratified(labels, seed=seed) for seed in range(options.seeds)]}
    if not options.skip_groups:
        splittings["grouped by respondent"] = [splits.grouped(groups, seed=seed) for seed in range(options.seeds)]
    respondents = len(set(zip(*groups, strict=True)))
    figures: dict[str, Any] = {"rows": len(labels), "respondents": respondents}
    print_header(f"Coupon, 70/10/20, seeds 0-{options.seeds - 1}, {' '.join(options.set) or 'default settings'}")
    print(f"{len(labels):,} rows of {respondents} respondents")
    for splitting, parts in splittings.items():
        areas, baselines = run(table, labels, parts, options.set)
        figures[splitting] = {"models": areas, "baselines": baselines}
        print(f"\n### {splitting}\n")
        print_comparison(areas)
        rows = [[name, statistics.mean(auc), min(auc), max(auc)] for name, auc in baselines.items()]
        print_table(["scikit-learn", "mean test AUC", "min", "max"], rows)
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
