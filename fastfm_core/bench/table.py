"""A run's figures for the terminal: Markdown tables whose columns are also aligned for the eye."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from fastfm_core.bench.figures import RANDOM, ROW_BYTES, Ceiling, Figure, Record


def lines(record: Record) -> Iterator[str]:
    """Header, ceilings, figures."""
    yield "# fastfm-core bench"
    yield ""
    yield ", ".join(f"{name} {value}" for name, value in (record.machine | record.settings).items())
    yield ""
    yield from table(["ceiling", "median", "min - max", ""], map(_ceiling, record.ceilings))
    yield ""
    header = ["case", "side", "µs", "min - max", "GB/s", "ceiling", "its µs", "share"]
    yield from table(header, map(_figure, record.figures))


def table(header: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> Iterator[str]:
    """A Markdown table; the first two columns stand left, the others right."""
    cells = [header, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    yield line(header)
    yield (
        "|"
        + "|".join("-" * (width + 2 if n < 2 else width + 1) + ":" * (n >= 2) for n, width in enumerate(widths))
        + "|"
    )
    yield from map(line, cells[1:])


def _ceiling(ceiling: Ceiling) -> list[str]:
    rates = ceiling.rates
    row_time = f"{ROW_BYTES / statistics.median(rates):.2f} ns a row" if ceiling.name == RANDOM else ""
    return [ceiling.name, f"{statistics.median(rates):.1f} {ceiling.unit}/s", _range(rates, 1), row_time]


def _figure(figure: Figure) -> list[str]:
    if figure.failure:
        return [figure.case, figure.side, "not timed", *[""] * 5]
    rate = f"{figure.bytes / figure.median / 1e9:.1f}" if figure.bytes else ""
    least = f"{statistics.median(figure.ceiling_seconds) * 1e6:.0f}"
    timed = [f"{figure.median * 1e6:.0f}", _range([1e6 * taken for taken in figure.seconds], 0)]
    return [figure.case, figure.side, *timed, rate, figure.ceiling, least, f"{figure.share:.0%}"]


def _range(values: Sequence[float], digits: int) -> str:
    return f"{min(values):.{digits}f} - {max(values):.{digits}f}"
