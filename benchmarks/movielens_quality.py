"""Test AUC on MovieLens-100k: the package against its PyTorch twin, on the same random 80/10/10 splits.

    python benchmarks/movielens_quality.py --data PATH/joined.csv [--seeds 3] [--set KEY=VALUE]... [--json FILE]

The data are GroupLens's (grouplens.org/datasets/movielens/100k) and not redistributed here. joined.csv has the columns
label (rating >= 4), user_id, item_id, age_bucket, gender, occupation, zip_first, genres (separated by |), release_year,
rating, timestamp; the last two are dropped. Genres are one field, the mean of their rows; all others are categorical.
"""

from __future__ import annotations

import numpy as np

from comparison import MODELS, arguments, compare, prepare, print_comparison
from fastfm_core.bench.machine import print_header, write_json
from fastfm_core.config import parse_settings
from fastfm_core.data import Categorical, MultiHot, Schema, read_table
from fastfm_core.data import split as splits
from fastfm_core.data.labels import label_values

CATEGORICAL = ("user_id", "item_id", "age_bucket", "gender", "occupation", "zip_first", "release_year")


def main() -> None:
    parser = arguments(__doc__, seeds=3)
    parser.add_argument("--data", required=True, metavar="PATH", help="joined.csv")
    options = parser.parse_args()
    table = read_table(options.data)
    labels = label_values(table, "label")
    schema = Schema([*(Categorical(name) for name in CATEGORICAL), MultiHot("genres", "|", "mean")])
    config = parse_settings(options.set)
    areas = {name: [] for name in MODELS}
    settings = " ".join(options.set) or "default settings"
    print_header(f"MovieLens-100k, random 80/10/10, seeds 0-{options.seeds - 1}, {settings}")
    for seed in range(options.seeds):
        parts = splits.stratified(np.zeros(len(labels)), (0.8, 0.1, 0.1), seed)
        for name in MODELS:
            areas[name].append(compare(prepare(table, labels, schema, parts, config, seed), name, seed))
    print()
    print_comparison(areas)
    write_json(options.json, {"models": areas})


if __name__ == "__main__":
    main()
