"""The report of a record made by hand: a lost case is as plain as a won one, and nobody is left out."""

from __future__ import annotations

from typing import Any

from benchmarks.referee.report import duration, markdown, rate
from benchmarks.referee.sides import OURS


def timed(name: str, seconds: float, **more: Any) -> dict[str, Any]:
    figures = {"median": seconds, "min": 0.9 * seconds, "max": 1.2 * seconds, "rounds": [seconds]}
    rates = {"samples_per_second": 4096 / seconds, "gigabytes_per_second": 1e-3 / seconds, "gigaflops": 0.0}
    return {"side": name, "status": "timed", "times_ours": seconds / 2e-3, **figures, **rates, **more}


def record() -> dict[str, Any]:
    lost = {
        "case": "kernel/w1/fm/4096",
        "flops": 0.0,
        "other_cores": 0.01,
        "ceilings": {"rows": [1e-3]},
        "ceiling_seconds": 1e-3,
        "sides": [
            timed(OURS, 2e-3, share_of_ceiling=0.5),
            {"side": "ONNX Runtime", "status": "wrong by 1.0e-02"},
            timed("torch best", 1.6e-3, share_of_ceiling=0.625, settings="one, passive wait"),
            {"side": "xlearn", "status": "not installed"},
            {"side": "JAX", "status": "not offered"},
        ],
    }
    quality = {
        "case": "quality/w1/fm/4096",
        "epochs": 2,
        "sides": [
            {"side": OURS, "auc": 0.61, "judged": "exact", "median": 0.1, "samples_per_second": 1e6},
            {"side": "xlearn", "status": "not installed"},
        ],
    }
    machine = {"date": "2026-01-01 00:00 UTC", "processor": "Some CPU", "cores": 2, "l3_mib": 32.0, "load": 0.1}
    return {
        "machine": machine | {"python": "3.12", "numpy": "2.4"},
        "mode": "Quick",
        "minutes": 4.2,
        "threads": 2,
        "other_cores": 0.05,
        "ceilings": {name: {"per_second": 1e10} for name in ("copy", "gather", "product")},
        "cases": [lost],
        "quality": [quality],
        "scaling": [],
        "footprint": {
            OURS: {
                "import_seconds": 0.2, "memory_mib": 70.0, "install_mib": 200.0, "versions": {"fastfm-core": "0.1"},
            },
            "xlearn": {"status": "not installed"},
        },
    }  # fmt: skip


def rows_of(text: str, heading: str) -> list[list[str]]:
    lines = text[text.index(heading) :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def test_a_lost_case_is_sorted_by_time() -> None:
    rows = rows_of(markdown(record()), "## Lookup")
    assert [row[0] for row in rows[:2]] == ["torch best", f"**{OURS}**"]
    assert [row[3] for row in rows[:2]] == ["0.80", "1.00"]
    assert rows[0][-2:] == ["62%", "one, passive wait"]


def test_absent_and_wrong_sides_are_named() -> None:
    text = markdown(record())
    assert "Not offered by JAX." in text
    rows = rows_of(text, "## Lookup")
    assert [row[:2] for row in rows[2:]] == [["ONNX Runtime", "wrong by 1.0e-02"], ["xlearn", "not installed"]]
    assert rows_of(text, "## Quality")[-1][:2] == ["xlearn", "not installed"]
    assert rows_of(text, "## Footprint")[-1][:2] == ["xlearn", "not installed"]


def test_every_row_has_as_many_cells_as_its_header() -> None:
    for block in markdown(record()).split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1


def test_the_header_says_where_and_how_busy() -> None:
    busy = record() | {"other_cores": 1.4}
    assert "Some CPU, 2 cores, L3 32 MiB, 2 threads" in markdown(record())
    assert "too many to judge" in markdown(busy) and "too many to judge" not in markdown(record())


def test_figures_have_three_digits() -> None:
    assert [duration(seconds) for seconds in (2.5, 0.0123, 6.4e-6, 1e-7)] == [
        "2.50 s",
        "12.3 ms",
        "6.40 µs",
        "0.100 µs",
    ]
    assert [rate(value) for value in (366_000, 1_870_000, 12)] == ["366k", "1.87M", "12.0"]
