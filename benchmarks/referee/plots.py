"""Plots of a record: the share of the ceiling that each side reaches, inference latency, and how the kernel scales.

Ours are coloured, the peers are grey; sides are sorted by what is drawn, so a loss is seen at once. SVG and PNG.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks.referee.cases import title
from benchmarks.referee.problem import Case
from benchmarks.referee.report import duration
from fastfm_core.bench.workload import FIELDS

OURS, SECOND, PEER, CEILING, INK = "#c2410c", "#f0a36b", "#a8b3c0", "#1f2937", "#1f2937"
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#cbd5e1",
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": "#64748b",
    "ytick.color": INK,
    "svg.fonttype": "none",
}


def draw(record: dict[str, Any], folder: Path) -> list[Path]:
    """Writes all plots that the record has figures for; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        judged = [case for case in record["cases"] if "ceiling_seconds" in case]
        waited = [case for case in record["cases"] if case["case"].startswith("score")]
        drawn = {
            "ceiling": judged and panels(judged, "share_of_ceiling", "Share of the ceiling", "{:.0%}".format),
            "latency": waited and panels(waited, "p50", "Median time of an answer", duration),
            "scaling": record.get("scaling") and scaling(record["scaling"]),
        }
        found = {name: figure for name, figure in drawn.items() if figure}
        for name, figure in found.items():
            footer(figure, record)
            for kind in ("svg", "png"):
                figure.savefig(folder / f"{name}.{kind}", dpi=160, bbox_inches="tight")
            plt.close(figure)
    return [folder / f"{name}.{kind}" for name in found for kind in ("svg", "png")]


def colour(side: str) -> str:
    """Native is strong, our other backend lighter, a peer grey."""
    return OURS if side.endswith("native") else SECOND if side.startswith("fastfm_core") else PEER


def panels(cases: Sequence[dict[str, Any]], key: str, name: str, words: Callable[[float], str]) -> Any:
    """A panel of bars per case, each side with its figure; the best is on top."""
    across = min(3, len(cases))
    down = -(-len(cases) // across)
    most = max(len(timed(case, key)) for case in cases)
    size = (4.6 * across, (0.26 * most + 0.85) * down)
    figure, axes = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    for place, case in zip(axes.flat, cases, strict=False):
        bars(place, timed(case, key), key, words)
        place.set_title(short(case["case"]))
    for place in axes.flat[len(cases) :]:
        place.axis("off")
    figure.suptitle(name, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def timed(case: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The slowest first, as bars are drawn upwards."""
    return sorted((side for side in case["sides"] if key in side), key=lambda side: -side["median"])


def bars(place: Any, sides: Sequence[dict[str, Any]], key: str, words: Callable[[float], str]) -> None:
    """Horizontal bars labelled with their figures; a line at 100 % where shares are drawn."""
    values = [side[key] for side in sides]
    place.barh([side["side"] for side in sides], values, color=[colour(side["side"]) for side in sides], height=0.72)
    for number, value in enumerate(values):
        place.annotate(words(value), (value, number), (4, 0), textcoords="offset points", va="center", fontsize=8)
    place.tick_params(left=False, bottom=False, labelbottom=False)
    place.spines["bottom"].set_visible(False)
    place.set_xlim(0, 1.18 * max([*values, 1.0 if key == "share_of_ceiling" else 0.0]))
    if key == "share_of_ceiling":
        place.axvline(1.0, color=CEILING, linewidth=0.8, linestyle=(0, (3, 3)))


def short(name: str) -> str:
    """The case in two lines of a panel's width."""
    what, _, where = title(Case.parse(name)).rpartition(": ")
    return f"{what.removesuffix(' (FM forward)')}\n{where}"


def scaling(cases: Sequence[dict[str, Any]]) -> Any:
    """Nanoseconds per looked-up row over batch, dim and rows, both axes logarithmic; the ceiling is dashed."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
    points = [(sizes(case["case"]), case) for case in cases]
    for place, (axis, name) in zip(axes, enumerate(("rows of the table", "dim", "batch")), strict=True):
        chosen = varied(points, axis)
        for side in dict.fromkeys(side["side"] for _, case in chosen for side in case["sides"] if "median" in side):
            line = [
                (size[axis], 1e9 * found["median"] / (size[2] * FIELDS))
                for size, case in chosen
                for found in case["sides"]
                if found["side"] == side and "median" in found
            ]
            place.plot(*zip(*line, strict=True), color=colour(side), marker="o", markersize=4, label=side)
        floor = [(size[axis], 1e9 * case["ceiling_seconds"] / (size[2] * FIELDS)) for size, case in chosen]
        place.plot(*zip(*floor, strict=True), color=CEILING, linestyle=(0, (3, 3)), linewidth=1, label="rows read once")
        place.set(xscale="log", yscale="log", xlabel=name)
        place.set_xticks([size for size, _ in floor], [count(size) for size, _ in floor], minor=False)
        place.xaxis.set_minor_locator(NullLocator())
        place.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        place.yaxis.set_major_formatter("{x:g}")
        place.yaxis.set_minor_locator(NullLocator())
        place.grid(True, which="major", color="#e5e7eb", linewidth=0.7)
    axes[0].set_ylabel("ns per looked-up row")
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle("Lookup, first order and pairs", x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def count(number: int) -> str:
    """10,000,000 as 10M."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if number >= size and number % size == 0:
            return f"{number // size}{unit}"
    return f"{number:,}"


def sizes(name: str) -> tuple[int, int, int]:
    """rows, dim, batch of a scaling case."""
    case = Case.parse(name)
    rows, dim = map(int, case.data.split("x"))
    return rows, dim, case.batch


def varied(points: Sequence[tuple[tuple[int, ...], Any]], axis: int) -> list[tuple[tuple[int, ...], Any]]:
    """The points that differ along one axis alone from the middle one, by which most lines go."""
    others = [tuple(part for number, part in enumerate(size) if number != axis) for size, _ in points]
    middle = max(others, key=others.count)
    return sorted(
        (point for point, other in zip(points, others, strict=True) if other == middle), key=lambda point: point[0]
    )


def footer(figure: Any, record: dict[str, Any]) -> None:
    """Machine, date and how busy it was, below the panels."""
    machine = record["machine"]
    words = f"{machine['processor']}, {record['threads']} threads, {machine['date']}, other processes"
    figure.text(0.01, -0.02, f"{words} {record['other_cores']:.2f} cores", fontsize=7.5, color="#64748b", va="top")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.referee.plots", description="Draws a referee's JSON.")
    parser.add_argument("json", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    for path in draw(json.loads(options.json.read_text()), options.folder):
        print(path)


if __name__ == "__main__":
    main()
