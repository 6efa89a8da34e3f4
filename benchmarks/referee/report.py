"""The record as Markdown: the machine, its ceilings, a table per case sorted by time, quality, footprint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.referee.cases import title
from benchmarks.referee.problem import Case
from benchmarks.referee.sides import CEILINGS

Record = dict[str, Any]
QUIET = 0.2
TEXTS = ("side", "initial weights", "notes", "settings and notes", "versions")


def markdown(record: Record) -> str:
    """The whole report."""
    parts = [header(record), *(case_table(case) for case in record["cases"])]
    parts += [quality_table(case) for case in record["quality"]]
    if record.get("scaling"):
        parts.append(scaling_table(record["scaling"]))
    parts.append(footprint_table(record))
    return "\n\n".join(parts) + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; numbers stand to the right."""
    rules = ["---" if name in TEXTS else "---:" for name in columns]
    lines = [f"| {' | '.join(columns)} |", f"|{'|'.join(rules)}|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def header(record: Record) -> str:
    """Where, when and with what."""
    machine = record["machine"]
    cache = f", L3 {machine['l3_mib']:.0f} MiB" if machine.get("l3_mib") else ""
    lines = [
        "# Referee",
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores{cache}, {record['threads']} threads a "
        f"side, Python {machine['python']}, NumPy {machine['numpy']}. {record['mode']} run of "
        f"{record['minutes']:.1f} minutes, load before it {machine['load']:.2f}; other processes used "
        f"{record['other_cores']:.2f} cores during it"
        + (" — **too many to judge**." if record["other_cores"] > QUIET else "."),
    ]
    found = [versions for side in record["footprint"].values() for versions in side.get("versions", {}).items()]
    lines.append("Versions: " + ", ".join(f"{package} {number}" for package, number in dict(found).items()) + ".")
    amounts = record.get("ceilings", {})
    if amounts:
        lines.append(
            f"The machine's ceilings in this run: STREAM copy {amounts['copy']['per_second'] / 1e9:.1f} GB/s (read and "
            f"write counted), random gather of cache lines {amounts['gather']['per_second'] / 1e9:.1f} GB/s, GEMM "
            f"{amounts['product']['per_second'] / 1e9:.0f} GFLOP/s."
        )
    lines.append(
        "Sorted by time. Sides take turns; a time is the median over rounds of the median call of a turn "
        "(least-largest), ratios and shares are medians of those within a round. Ceiling: what the case must read, "
        "write and multiply at least, timed in the same rounds. Every side was held against the "
        "reference before it was timed."
    )
    return "\n\n".join(lines)


def duration(seconds: float) -> str:
    """Three digits, in µs, ms or s."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1 or unit == "µs":
            return f"{digits(seconds * factor)} {unit}"
    raise AssertionError


def digits(value: float) -> str:
    """Three of them."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def rate(per_second: float) -> str:
    """Samples per second."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if per_second >= size:
            return digits(per_second / size) + unit
    return digits(per_second)


def case_table(case: Record) -> str:
    """Timed sides by time, then the others with the reason why they have none; below who does not offer the case."""
    parsed = Case.parse(case["case"])
    latency, deep = parsed.kind == "score", case["flops"] > 0
    columns = ["side", "time", "samples/s", "time over ours"]
    columns += ["p50", "p99"] if latency else []
    columns += ["GFLOP/s" if deep else "GB/s"]
    columns += ["of the ceiling"] if "ceiling_seconds" in case else []
    columns += ["settings and notes"]
    timed = sorted((side for side in case["sides"] if "median" in side), key=lambda side: side["median"])
    rows = []
    for side in timed:
        row = [bold(side["side"]), f"{duration(side['median'])} ({digits_of(side)})", rate(side["samples_per_second"])]
        row.append(f"{side['times_ours']:.2f}" if "times_ours" in side else "")
        row += [duration(side["p50"]), duration(side["p99"])] if latency else []
        row.append(digits(side["gigaflops"] if deep else side["gigabytes_per_second"]))
        row += [f"{side['share_of_ceiling']:.0%}"] if "ceiling_seconds" in case else []
        rows.append([*row, remarks(side)])
    for side in case["sides"]:
        if "median" not in side and side["status"] != "not offered":
            blanks = [""] * (len(columns) - 3)
            rows.append([bold(side["side"]), side["status"].replace("|", "/"), *blanks, side.get("note", "")])
    return f"## {title(parsed)}\n\n{table(columns, rows)}\n\n{below(case)}"


def below(case: Record) -> str:
    """What the ceiling is made of, who does not offer the case, how busy the machine was."""
    words = []
    if "ceiling_seconds" in case:
        names = " + ".join(CEILINGS[name].name for name in case["ceilings"])
        words.append(f"Ceiling {duration(case['ceiling_seconds'])}: {names}.")
    if lacking := [side["side"] for side in case["sides"] if side["status"] == "not offered"]:
        words.append(f"Not offered by {', '.join(lacking)}.")
    return " ".join([*words, f"Other processes: {case['other_cores']:.2f} cores."])


def digits_of(side: Record) -> str:
    """Least and largest round, in the unit of the median."""
    unit = duration(side["median"]).split()[1]
    factor = {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit]
    return f"{digits(side['min'] * factor)}-{digits(side['max'] * factor)}"


def bold(name: str) -> str:
    """Ours stand out."""
    return f"**{name}**" if name.startswith("fastfm_core") else name


def remarks(side: Record) -> str:
    """Settings that were the fastest, and what a reader must know."""
    words = [side.get("settings", ""), side.get("note", "")]
    words += [f"{name}: {why}" for name, why in side.get("refused", {}).items() if why != "not offered"]
    return "; ".join(word for word in words if word).replace("|", "/")


def quality_table(case: Record) -> str:
    """By area under the curve."""
    rows = []
    for side in sorted(case["sides"], key=lambda side: -side.get("auc", 0.0)):
        if "auc" in side:
            start = "own" if side["judged"] == "own" else "shared"
            remark = side.get("note", "")
            rate_words = rate(side["samples_per_second"])
            rows.append([bold(side["side"]), f"{side['auc']:.4f}", duration(side["median"]), rate_words, start, remark])
        elif side["status"] != "not offered":
            rows.append([bold(side["side"]), side["status"].replace("|", "/"), "", "", "", ""])
    epochs = f"{case['epochs']} epoch{'s' if case['epochs'] > 1 else ''}"
    columns = ["side", "test AUC", "training", "samples/s", "initial weights", "notes"]
    return f"## {title(Case.parse(case['case']))} ({epochs})\n\n" + table(columns, rows)


def scaling_table(cases: Sequence[Record]) -> str:
    """The kernel over batch, dim and rows."""
    names = list(dict.fromkeys(side["side"] for case in cases for side in case["sides"] if "median" in side))
    rows = []
    for case in cases:
        data, batch = case["case"].split("/")[1], int(case["case"].rpartition("/")[2])
        size, dim = data.split("x")
        found = {side["side"]: side for side in case["sides"] if "median" in side}
        cells = [
            f"{duration(found[name]['median'])} ({found[name]['share_of_ceiling']:.0%})" if name in found else "—"
            for name in names
        ]
        rows.append([f"{int(size):,}", dim, f"{batch:,}", *cells])
    heading = "## Scaling of the kernel: time, and share of the rows read once\n\n"
    return heading + table(["rows", "dim", "batch", *map(bold, names)], rows)


def footprint_table(record: Record) -> str:
    """Import, memory and installation of each side."""
    steps = [case for case in record["cases"] if case["case"].startswith("step")]
    peaks = {side["side"]: side.get("peak_mib") for side in steps[0]["sides"]} if steps else {}
    rows = []
    for name, found in record["footprint"].items():
        if "status" in found:
            rows.append([bold(name), found["status"], "", "", "", ""])
            continue
        peak = peaks.get(name)
        versions = ", ".join(f"{package} {number}" for package, number in found["versions"].items())
        figures = [f"{found['import_seconds']:.2f} s", f"{found['memory_mib']:.0f}", f"{peak:.0f}" if peak else "—"]
        rows.append([bold(name), *figures, f"{found['install_mib']:.0f}", versions])
    columns = ["side", "import", "MiB after import", "peak MiB in the step", "installed MiB", "versions"]
    where = f" Peak: {title(Case.parse(steps[0]['case']))}, data and tables included." if steps else ""
    return (
        f"## Footprint\n\n{table(columns, rows)}\n\n"
        f"In fresh processes. Installed: the files of the distribution and of all that it requires.{where}"
    )
