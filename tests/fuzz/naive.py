"""What the readers must find, said again in plain Python: the csv module, str.split, float."""

from __future__ import annotations

import csv
import math
import re


class Mistake(Exception):
    """The file is not what its format says."""


def text_of(content: bytes) -> str:
    """The file as text with its own line ends, or LF where it has CR alone."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in content[:-1] and b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise Mistake("not UTF-8") from None


def separator_of(text: str) -> str:
    """The most frequent separator outside quotes in the first line that is not blank."""
    first = next((line for line in text.split("\n") if line.removesuffix("\r")), "")
    return max(",\t;", key=re.sub(r'"[^"]*"', "", first).count)


def records(content: bytes) -> list[list[str]]:
    """The records of delimited text, the first one, which may be a header, included."""
    text = text_of(content)
    lines = (line.replace("\0", "\ue000") for line in re.findall(r"[^\n]*\n|[^\n]+", text))
    if re.search(r"\r\r", text):
        raise Mistake("the csv module takes a doubled return for a line end")
    try:
        found = [row for row in csv.reader(lines, delimiter=separator_of(text), strict=True) if row]
    except csv.Error as error:
        raise Mistake(str(error)) from None
    if len({len(row) for row in found}) > 1:
        raise Mistake("records of unequal length")
    return [[cell.replace("\ue000", "\0") for cell in row] for row in found]


def entries(content: bytes, parts: int) -> list[tuple[str, list[list[str | float]]]]:
    """Per line that holds something its label, "" without one, and its entries, the value as a number."""
    rows = []
    for line in text_of(content).split("\n"):
        words = re.split(r"[ \t\r]+", line.partition("#")[0].strip(" \t\r"))
        if re.search(r"[\0-\x1f]", "".join(words)):
            raise Mistake("a control character")
        if words == [""]:
            continue
        label = words.pop(0) if ":" not in words[0] else ""
        split = [word.split(":") for word in words]
        if any(len(word) != parts or not all(word) for word in split):
            raise Mistake("not an entry")
        rows.append((label, [[*word[:-1], finite(word[-1])] for word in split]))
    return rows


def number(text: str) -> float:
    """What float reads, NaN for a missing number as well; no infinity, no 1_000."""
    try:
        value = float(text) if text.strip() else math.nan
    except ValueError:
        value = math.inf
    if math.isinf(value) or "_" in text:
        raise Mistake(f"{text!r} is no finite number")
    return value


def finite(text: str) -> float:
    """A number that is there."""
    value = number(text)
    if math.isnan(value):
        raise Mistake(f"{text!r} is missing")
    return value
