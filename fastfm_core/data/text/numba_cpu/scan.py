"""Text into cells: compiled scanners of delimited records, of bags inside cells, and of libsvm and libffm lines.

All work on one buffer [bytes] uint8 and answer with the positions of what they found, so nothing is copied: a cell is
buffer[start:end]. Doubled quotes inside a quoted cell are closed up in place. Records end with LF or CRLF; blank lines
are skipped. Scanners are sequential and release the GIL: threads work on different pieces of a file.
"""

from __future__ import annotations

from fastfm_core.compilation import helper, kernel
from fastfm_core.data.text.marks import (
    AFTER_QUOTE,
    COLON,
    HASH,
    LINE_FEED,
    OPEN_QUOTE,
    QUOTE,
    RETURN,
    SPACE,
    TAB,
    WRONG_WIDTH,
)
from fastfm_core.data.text.numba_cpu.bytes import byte_at


@kernel
def records_end(buffer, end, separator):
    """Where the last whole record of buffer[:end] ends, its line feed included; 0 when there is none."""
    last = position = 0
    cell_starts = True
    while position < end:
        char = byte_at(buffer, position)
        position += 1
        if cell_starts and char == QUOTE:
            while position < end:
                if byte_at(buffer, position) != QUOTE:
                    position += 1
                elif position + 1 < end and byte_at(buffer, position + 1) == QUOTE:
                    position += 2
                else:
                    break
            position += 1
            cell_starts = False
            continue
        cell_starts = char in (separator, LINE_FEED)
        if char == LINE_FEED:
            last = position
    return last


@helper
def _line_end(buffer, position):
    """Length of the line end at this position: 0 none, 1 LF, 2 CRLF."""
    if byte_at(buffer, position) == LINE_FEED:
        return 1
    if byte_at(buffer, position) == RETURN and byte_at(buffer, position + 1) == LINE_FEED:
        return 2
    return 0


@kernel
def scan_cells(buffer, end, separator, starts, ends, mistake):
    """Cells of the records in buffer[:end] -> starts, ends [columns, rows at most] int64; returns the number of rows.

    end      behind a line feed, so that no cell runs past it
    mistake  [3] int64: what stopped the scan (0: nothing), lines before the record, cells it has
    """
    columns = starts.shape[0]
    position = row = line = 0
    while position < end:
        blank = _line_end(buffer, position)
        if blank:
            position += blank
            line += 1
            continue
        column = 0
        first_line = line
        while True:
            if byte_at(buffer, position) == QUOTE:
                position += 1
                start = stop = position
                while position < end:
                    char = byte_at(buffer, position)
                    if char == QUOTE:
                        if position + 1 >= end or byte_at(buffer, position + 1) != QUOTE:
                            break
                        position += 1
                    elif char == LINE_FEED:
                        line += 1
                    buffer[stop] = char
                    stop += 1
                    position += 1
                if position >= end:
                    mistake[0], mistake[1], mistake[2] = OPEN_QUOTE, first_line, column + 1
                    return row
                position += 1
                line_end = _line_end(buffer, position)
                if not line_end and byte_at(buffer, position) != separator:
                    mistake[0], mistake[1], mistake[2] = AFTER_QUOTE, first_line, column + 1
                    return row
            else:
                start = position
                char = byte_at(buffer, position)
                while char != separator and char != LINE_FEED:
                    position += 1
                    char = byte_at(buffer, position)
                stop = position
                line_end = 1 if char == LINE_FEED else 0
                if line_end and stop > start and byte_at(buffer, stop - 1) == RETURN:
                    stop -= 1
            if column < columns:
                starts[column, row] = start
                ends[column, row] = stop
            column += 1
            if line_end:
                break
            position += 1
        position += line_end
        line += 1
        if column != columns:
            mistake[0], mistake[1], mistake[2] = WRONG_WIDTH, first_line, column
            return row
        row += 1
    return row


@helper
def _matches(buffer, position, end, separator):
    if position + len(separator) > end:
        return False
    for offset in range(len(separator)):  # noqa: SIM110 - compiled
        if byte_at(buffer, position + offset) != separator[offset]:
            return False
    return True


@kernel
def scan_bags(buffer, starts, ends, separator, offsets, value_starts, value_ends):
    """Values of the cells [n], split at ``separator`` [bytes] -> value_starts, value_ends [N], offsets [n+1].

    Empty values are left out. With empty outputs it only counts: returns N.
    """
    count = 0
    writing = len(value_starts) > 0
    for cell in range(len(starts)):
        position, end = starts[cell], ends[cell]
        start = position
        while position <= end:
            at_end = position == end
            if at_end or _matches(buffer, position, end, separator):
                if position > start:
                    if writing:
                        value_starts[count] = start
                        value_ends[count] = position
                    count += 1
                position += 1 if at_end else len(separator)
                start = position
            else:
                position += 1
        offsets[cell + 1] = count
    return count


@kernel
def last_of(buffer, starts, ends, char, found):
    """Position of the last ``char`` in each text [n] -> found [n] int64, the text's end where it has none."""
    for text in range(len(starts)):
        position = ends[text] - 1
        while position >= starts[text] and byte_at(buffer, position) != char:
            position -= 1
        found[text] = position if position >= starts[text] else ends[text]


@helper
def _blank(char):
    return char in (SPACE, TAB, RETURN)


@kernel
def scan_entries(buffer, end, parts, lines, labels, offsets, entries, mistake):
    """Lines 'label [field:]feature:value ...' of buffer[:end], parts = 2 (libsvm) or 3 (libffm); '#' starts a comment.

    labels   [rows at most, 2] int64 start, end; empty where the line begins with an entry
    offsets  [rows at most + 1] int64 of the entries
    entries  [N, parts + 1] int64: where each part begins, and where the last one ends. A part ends before the colon.
    lines    [rows at most] int64: lines before each row
    mistake  [3] int64: 1 when an entry has another number of parts or an empty one, its line, words before it.

    Returns the rows.
    """
    position = row = line = count = 0
    while position < end:
        while position < end and _blank(byte_at(buffer, position)):
            position += 1
        word = 0
        while position < end and byte_at(buffer, position) != LINE_FEED and byte_at(buffer, position) != HASH:
            start = part = position
            colons = 0
            hollow = False
            while position < end and byte_at(buffer, position) > SPACE and byte_at(buffer, position) != HASH:
                if byte_at(buffer, position) == COLON:
                    hollow |= position == part
                    part = position + 1
                    colons += 1
                    if colons < parts:
                        entries[count, colons] = part
                position += 1
            if word == 0:
                labels[row, 0], labels[row, 1] = start, start if colons else position
            if word == 0 and colons == 0:
                pass
            elif colons != parts - 1 or hollow:
                mistake[0], mistake[1], mistake[2] = 1, line, word
                return row
            else:
                entries[count, 0], entries[count, parts] = start, position
                count += 1
            word += 1
            while position < end and _blank(byte_at(buffer, position)):
                position += 1
            if position < end and byte_at(buffer, position) < SPACE and byte_at(buffer, position) != LINE_FEED:
                mistake[0], mistake[1], mistake[2] = 1, line, word
                return row
        while position < end and byte_at(buffer, position) != LINE_FEED:
            position += 1
        position += 1
        if word > 0:
            lines[row] = line
            row += 1
            offsets[row] = count
        line += 1
    return row
