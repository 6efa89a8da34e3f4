"""libsvm lines ('label feature:value ...') and libffm lines ('label field:feature:value ...') as columns of bags.

libsvm gives the columns "label" and "features", libffm "label" and one column "field<name>" for each field of the
training file. Features stay text, values become the bags' weights. '#' starts a comment. The label may be absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fastfm_core.data.columns import Table, decimals
from fastfm_core.data.readers.reader import Block, Chunk, blocks, line_of, require_utf8
from fastfm_core.data.text import Bags, TextIndex, Texts, engine, marks

LABEL, FEATURES, FIELD = "label", "features", "field"


class EntriesReader:
    """A libsvm file (parts=2) or libffm file (parts=3) as a ``Reader``.

    expected  the training file's columns: fields that are not among them are left out
    """

    def __init__(self, path: Path, parts: int, expected: Sequence[str] = ()) -> None:
        self.path = path
        self.parts = parts
        self.notes: list[str] = []
        self.size = max(path.stat().st_size, 1)
        self._fields = TextIndex(name.removeprefix(FIELD) for name in expected if name.startswith(FIELD))
        if parts == 2:
            self.names = [LABEL, FEATURES]
        else:
            if not expected:
                self._find_fields()
            self.names = [LABEL, *(FIELD + name for name in self._fields.texts)]
        self.hints = {name: "entries" if parts == 2 else "bags" for name in self.names[1:]}

    def chunks(self) -> Iterator[Chunk]:
        for block in self._blocks():
            yield Chunk(lambda block=block: self._parse(block), block.done)

    def _blocks(self) -> Iterator[Block]:
        return blocks(self.path, lambda content: content.rfind(b"\n") + 1)

    def _find_fields(self) -> None:
        names: set[str] = set()
        for block in self._blocks():
            buffer, _, _, entries = self._scan(block)[:4]
            names.update(self._part(buffer, entries, 0).factorize()[0].tolist())
        self._fields.add(Texts.of(sorted(names, key=lambda name: (len(name), name))))

    def _parse(self, block: Block) -> Table:
        buffer, labels, offsets, entries, lines = self._scan(block)
        features = self._part(buffer, entries, self.parts - 2)
        weights = self._weights(Texts(buffer, entries[:, self.parts - 1], entries[:, self.parts]), offsets, lines)
        table: Table = {LABEL: Texts(buffer, labels[:, 0], labels[:, 1])}
        if self.parts == 2:
            return table | {FEATURES: Bags(features, offsets, weights)}
        codes = self._fields.find(self._part(buffer, entries, 0))
        for code, name in enumerate(self.names[1:]):
            chosen = codes == code
            own = np.append(0, np.cumsum(chosen))[offsets]
            table[name] = Bags(features[chosen], own, weights[chosen])
        return table

    def _scan(self, block: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(buffer, label positions [n, 2], offsets [n+1], entry positions [N, parts + 1], line [n])."""
        require_utf8(block, self.path)
        buffer = np.frombuffer(block.content, np.uint8)
        lines, labels = np.empty(block.lines, np.int64), np.empty((block.lines, 2), np.int64)
        offsets = np.zeros(block.lines + 1, np.int64)
        entries = np.empty((block.content.count(b":") + 1, self.parts + 1), np.int64)
        mistake = marks.no_mistake()
        rows = engine.kernels.scan_entries(buffer, len(buffer), self.parts, lines, labels, offsets, entries, mistake)
        if mistake[0]:
            form = "feature:value" if self.parts == 2 else "field:feature:value"
            what = f"word {mistake[2] + 1} is not {form}: correct it"
            raise line_of(self.path, block.line + int(mistake[1]) + 1, what)
        count = int(offsets[rows])
        return buffer, labels[:rows], offsets[: rows + 1], entries[:count], block.line + 1 + lines[:rows]

    def _part(self, buffer: np.ndarray, entries: np.ndarray, part: int) -> Texts:
        return Texts(buffer, entries[:, part], entries[:, part + 1] - 1)

    def _weights(self, texts: Texts, offsets: np.ndarray, lines: np.ndarray) -> np.ndarray:
        weights = decimals(texts)
        if (wrong := np.flatnonzero(~np.isfinite(weights))).size:
            line = int(lines[np.searchsorted(offsets, wrong[0], side="right") - 1])
            raise line_of(self.path, line, f"the value {texts[int(wrong[0])]!r} is not a finite number: correct it")
        return weights
