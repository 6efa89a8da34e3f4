// Lines 'label [field:]feature:value ...': libsvm with two parts to an entry, libffm with three; '#' starts a comment.
#pragma once
#include "fastfm/text/scan.hpp"

namespace fastfm::text {

// What is found in r rows with N entries.
struct Lines {
    int64_t parts;
    int64_t* lines;   // [r] lines before each row
    int64_t* labels;  // [r, 2] start and end; empty where the line begins with an entry
    int64_t* offsets; // [r + 1] of the entries
    int64_t*
        entries; // [N, parts + 1] where each part begins, and where the last one ends; a part ends before the colon
};

inline bool is_blank(uint8_t byte) { return byte == space || byte == tab || byte == carriage_return; }

// One word from `position` on, which moves behind it. Notes where its parts begin; returns the number of its colons, or
// -1 where a part before one of them is empty.
inline int64_t scan_word(const uint8_t* buffer, int64_t end, int64_t& position, int64_t parts, int64_t* begins) {
    int64_t colons = 0, part = position;
    bool hollow = false;
    for (; position < end && buffer[position] > space && buffer[position] != hash_sign; ++position) {
        if (buffer[position] != colon) continue;
        hollow |= position == part;
        part = position + 1;
        if (++colons < parts) begins[colons] = part;
    }
    return hollow ? -1 : colons;
}

// Rows of buffer[:end]; returns their number. A mistake of kind 1: an entry has another number of parts or an empty
// one; with its line, and the words before it.
inline int64_t scan_entries(const uint8_t* buffer, int64_t end, const Lines& found, Mistake& mistake) {
    const auto skip_blanks = [&](int64_t position) {
        while (position < end && is_blank(buffer[position])) ++position;
        return position;
    };
    int64_t position = 0, row = 0, line = 0, count = 0;
    for (; position < end; ++position, ++line) {
        position = skip_blanks(position);
        int64_t word = 0;
        while (position < end && buffer[position] != line_feed && buffer[position] != hash_sign) {
            const int64_t start = position;
            int64_t* entry = found.entries + count * (found.parts + 1);
            const int64_t colons = scan_word(buffer, end, position, found.parts, entry);
            if (word == 0) {
                found.labels[2 * row] = start;
                found.labels[2 * row + 1] = colons ? start : position;
            }
            if (word > 0 || colons != 0) {
                if (colons != found.parts - 1) return mistake = {1, line, word}, row;
                entry[0] = start;
                entry[found.parts] = position;
                ++count;
            }
            ++word;
            position = skip_blanks(position);
            if (position < end && buffer[position] < space && buffer[position] != line_feed)
                return mistake = {1, line, word}, row;
        }
        while (position < end && buffer[position] != line_feed) ++position;
        if (word > 0) {
            found.lines[row++] = line;
            found.offsets[row] = count;
        }
    }
    return row;
}

} // namespace fastfm::text
