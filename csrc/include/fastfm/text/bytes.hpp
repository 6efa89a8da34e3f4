// A column of texts as positions in one buffer, and bytes eight at a time.
//
// A word is eight bytes as an unsigned 64-bit number, the first byte lowest. Nothing reads beyond its buffer.
#pragma once
#include <cstdint>
#include <cstring>

namespace fastfm::text {

constexpr uint8_t line_feed = 10, carriage_return = 13, quote = 34, space = 32, tab = 9, colon = 58, hash_sign = 35;

// Text i is buffer[starts[i * start_step] .. ends[i * end_step] - 1], i < count.
struct Texts {
    const uint8_t* buffer;
    int64_t bytes;
    const int64_t* starts;
    const int64_t* ends;
    int64_t start_step, end_step;
    int64_t count;

    int64_t start(int64_t text) const { return starts[text * start_step]; }
    int64_t end(int64_t text) const { return ends[text * end_step]; }

    Texts part(int64_t begin, int64_t stop) const {
        return {buffer,   bytes,       starts + begin * start_step, ends + begin * end_step, start_step,
                end_step, stop - begin};
    }
};

// A field's part of a table of samples: its number for the sample of a row is first[row * step].
template <class Number> struct Field {
    Number* first;
    int64_t step;

    Number& operator[](int64_t row) const { return first[row * step]; }
    Field from(int64_t row) const { return {first ? first + row * step : nullptr, step}; }
};

constexpr int64_t rows_at_once = 64;

// Calls column_part(column, begin, end) for all columns of some rows, then of the next rows: their text and what is
// made of it stay in the first-level cache.
template <class Part> inline void by_rows(int64_t columns, int64_t rows, Part&& column_part) {
    for (int64_t begin = 0; begin < rows; begin += rows_at_once) {
        const int64_t end = begin + rows_at_once < rows ? begin + rows_at_once : rows;
        for (int64_t column = 0; column < columns; ++column) column_part(column, begin, end);
    }
}

constexpr uint64_t each_byte(uint64_t byte) { return 0x0101010101010101u * byte; }

// Eight bytes from here on.
inline uint64_t load_word(const uint8_t* from) {
    uint64_t word;
    std::memcpy(&word, from, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

// The lowest `length` bytes set, length <= 8.
constexpr uint64_t lowest_bytes[9] = {
    0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF};

// buffer[start .. start + length - 1] of a buffer of so many bytes, length <= 8, and 0 in the bytes above.
inline uint64_t load_text(const uint8_t* buffer, int64_t bytes, int64_t start, int64_t length) {
    if (start + 8 <= bytes) return load_word(buffer + start) & lowest_bytes[length];
    uint64_t word = 0;
    for (int64_t k = 0; k < length; ++k) word |= uint64_t(buffer[start + k]) << 8 * k;
    return word;
}

// The highest bit of each byte that is 0, and no other bit.
inline uint64_t zero_bytes(uint64_t word) {
    constexpr uint64_t low = each_byte(0x7F);
    return ~(((word & low) + low) | word | low);
}

} // namespace fastfm::text
