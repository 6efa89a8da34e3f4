// Several values in one cell: cut at a separator, and at the last colon or the like.
#pragma once
#include "fastfm/text/bytes.hpp"

namespace fastfm::text {

// Values of the cells [n], split at the separator -> starts, ends [N], offsets [n+1] of each cell's values.
//
// Empty values are left out. Without starts it only counts. Returns N.
inline int64_t scan_bags(const Texts& cells, const uint8_t* separator, int64_t length, int64_t* offsets,
                         int64_t* starts, int64_t* ends) {
    int64_t count = 0;
    for (int64_t cell = 0; cell < cells.count; ++cell) {
        const int64_t end = cells.end(cell);
        int64_t position = cells.start(cell), start = position;
        while (position <= end) {
            const bool at_end = position == end;
            const bool cut =
                position + length <= end && std::memcmp(cells.buffer + position, separator, size_t(length)) == 0;
            if (!at_end && !cut) {
                ++position;
                continue;
            }
            if (position > start) {
                if (starts) {
                    starts[count] = start;
                    ends[count] = position;
                }
                ++count;
            }
            position += at_end ? 1 : length;
            start = position;
        }
        offsets[cell + 1] = count;
    }
    return count;
}

// Position of the last such byte in each text [n] -> found [n], the text's end where it has none.
inline void last_of(const Texts& texts, uint8_t byte, int64_t* found) {
    for (int64_t text = 0; text < texts.count; ++text) {
        const int64_t start = texts.start(text), end = texts.end(text);
        int64_t position = end - 1;
        while (position >= start && texts.buffer[position] != byte) --position;
        found[text] = position >= start ? position : end;
    }
}

} // namespace fastfm::text
