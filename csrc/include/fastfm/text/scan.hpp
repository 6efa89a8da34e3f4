// Cells of delimited text: positions in one buffer, nothing copied.
//
// Separators and line feeds are found 64 bytes at a time: a bit for each byte, then from one set bit to the next. A
// quoted cell is walked byte by byte; its doubled quotes are closed up in place, which moves bytes only to places that
// were read before. Records end with LF or CRLF; blank lines are skipped. The buffer ends behind a line feed.
//
// Source: bit masks of delimiters after Langdale and Lemire, "Parsing Gigabytes of JSON per Second", VLDB Journal 2019.
#pragma once
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "fastfm/text/bytes.hpp"

namespace fastfm::text {

enum Kind : int64_t { no_mistake = 0, wrong_width = 1, open_quote = 2, after_quote = 3 };

// What stopped a scan, the lines before the record, the cells it has.
struct Mistake {
    int64_t kind, line, cells;
};

// The cell of a column and row is starts[column * stride + row] .. ends[column * stride + row] - 1.
struct Cells {
    int64_t* starts;
    int64_t* ends;
    int64_t columns;
    int64_t stride;
};

// Bit k: bytes[k] is one of the two, k < 64.
inline uint64_t occurrences(const uint8_t* bytes, uint8_t one, uint8_t other) {
    uint64_t bits = 0;
#if defined(__SSE2__)
    const __m128i ones = _mm_set1_epi8(char(one)), others = _mm_set1_epi8(char(other));
    for (int k = 0; k < 4; ++k) {
        const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * k));
        const __m128i equal = _mm_or_si128(_mm_cmpeq_epi8(part, ones), _mm_cmpeq_epi8(part, others));
        bits |= uint64_t(uint32_t(_mm_movemask_epi8(equal))) << 16 * k;
    }
#else
    for (int k = 0; k < 8; ++k) {
        const uint64_t word = load_word(bytes + 8 * k);
        const uint64_t high = zero_bytes(word ^ each_byte(one)) | zero_bytes(word ^ each_byte(other));
        bits |= ((high >> 7) * 0x0102040810204080u >> 56) << 8 * k; // the eight high bits, side by side
    }
#endif
    return bits;
}

// Walks over the separators and line feeds of buffer[:end].
class Borders {
  public:
    Borders(const uint8_t* buffer, int64_t end, uint8_t separator) : buffer_(buffer), end_(end), separator_(separator) {
        seek(0);
    }

    // Where the next one is; there is one, since the buffer ends with a line feed.
    int64_t next() {
        while (!bits_) load(base_ + 64);
        const int64_t position = base_ + __builtin_ctzll(bits_);
        bits_ &= bits_ - 1;
        return position;
    }

    // Goes on with the first one that is not before this position.
    void seek(int64_t position) {
        load(position & ~int64_t(63));
        bits_ &= ~uint64_t(0) << (position & 63);
    }

  private:
    void load(int64_t base) {
        base_ = base;
        if (base + 64 <= end_) {
            bits_ = occurrences(buffer_ + base, separator_, line_feed);
            return;
        }
        uint8_t rest[64] = {}; // neither a separator nor a line feed
        if (base < end_) std::memcpy(rest, buffer_ + base, size_t(end_ - base));
        bits_ = occurrences(rest, separator_, line_feed);
    }

    const uint8_t* buffer_;
    int64_t end_;
    uint8_t separator_;
    int64_t base_ = 0;
    uint64_t bits_ = 0;
};

// Where the last whole record of buffer[:end] ends, its line feed included; 0 when there is none.
inline int64_t records_end(const uint8_t* buffer, int64_t end, uint8_t separator) {
    int64_t last = 0, position = 0;
    bool cell_starts = true;
    while (position < end) {
        const uint8_t byte = buffer[position++];
        if (cell_starts && byte == quote) {
            while (position < end) {
                if (buffer[position] != quote) ++position;
                else if (position + 1 < end && buffer[position + 1] == quote) position += 2;
                else break;
            }
            ++position;
            cell_starts = false;
            continue;
        }
        cell_starts = byte == separator || byte == line_feed;
        if (byte == line_feed) last = position;
    }
    return last;
}

// Length of the line end at this position: 0 none, 1 LF, 2 CRLF.
inline int64_t line_end(const uint8_t* buffer, int64_t position) {
    if (buffer[position] == line_feed) return 1;
    return buffer[position] == carriage_return && buffer[position + 1] == line_feed ? 2 : 0;
}

// Closes up the doubled quotes of the cell that starts behind an opening quote. Returns where its text stops; position
// moves to the closing quote, or to the end where there is none; line counts the line feeds inside.
inline int64_t close_up_quotes(uint8_t* buffer, int64_t end, int64_t& position, int64_t& line) {
    int64_t stop = position;
    for (; position < end; ++position) {
        const uint8_t byte = buffer[position];
        if (byte == quote) {
            if (position + 1 >= end || buffer[position + 1] != quote) break;
            ++position;
        }
        line += byte == line_feed;
        buffer[stop++] = byte;
    }
    return stop;
}

// Most records: unquoted cells, as many as there should be. Notes them and moves behind the record; false where it is
// another one, with some of its cells noted and nothing moved but the borders.
inline bool scan_plain(const uint8_t* buffer, Borders& borders, const Cells& cells, int64_t row, int64_t& position) {
    int64_t start = position, stop = position;
    int64_t *starts = cells.starts + row, *ends = cells.ends + row;
    for (int64_t left = cells.columns; left > 0; --left, starts += cells.stride, ends += cells.stride) {
        stop = borders.next();
        const bool last = buffer[stop] == line_feed;
        if ((last != (left == 1)) | (buffer[start] == quote)) return false;
        *starts = start;
        *ends = stop;
        start = stop + 1;
    }
    if (buffer[stop - 1] == carriage_return && starts[-cells.stride] < stop) ends[-cells.stride] = stop - 1;
    position = start;
    return true;
}

// Cells of the records in buffer[:end]; returns the number of rows.
inline int64_t scan_cells(uint8_t* buffer, int64_t end, uint8_t separator, const Cells& cells, Mistake& mistake) {
    Borders borders(buffer, end, separator);
    int64_t position = 0, row = 0, line = 0;
    while (position < end) {
        if (const int64_t blank = line_end(buffer, position)) {
            position += blank;
            borders.seek(position);
            ++line;
            continue;
        }
        if (scan_plain(buffer, borders, cells, row, position)) {
            ++line;
            ++row;
            continue;
        }
        borders.seek(position);
        const int64_t first_line = line;
        int64_t column = 0;
        for (bool last = false; !last; ++column) {
            int64_t start = position, stop;
            if (buffer[position] == quote) {
                stop = close_up_quotes(buffer, end, ++position, line);
                start += 1;
                if (position >= end) return mistake = {open_quote, first_line, column + 1}, row;
                const int64_t ending = line_end(buffer, ++position);
                if (!ending && buffer[position] != separator)
                    return mistake = {after_quote, first_line, column + 1}, row;
                last = ending > 0;
                position += last ? ending : 1;
                borders.seek(position);
            } else {
                stop = borders.next();
                position = stop + 1;
                last = buffer[stop] == line_feed;
                if (last && stop > start && buffer[stop - 1] == carriage_return) --stop;
            }
            if (column < cells.columns) {
                cells.starts[column * cells.stride + row] = start;
                cells.ends[column * cells.stride + row] = stop;
            }
        }
        ++line;
        if (column != cells.columns) return mistake = {wrong_width, first_line, column}, row;
        ++row;
    }
    return row;
}

} // namespace fastfm::text
