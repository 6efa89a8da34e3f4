// Decimal text into float64, correctly rounded, and numbers standardised.
//
// A number with at most 15 significant digits and a power of ten within +-22 is one exact integer times or divided by
// one exact power, hence rounded once (Clinger, "How to Read Floating Point Numbers Accurately", PLDI 1990). Whatever
// else a cell holds is left to the caller. Up to eight bytes of sign and digits, which most numbers are, are one word.
#pragma once
#include <cmath>
#include <limits>

#include "fastfm/text/bytes.hpp"

namespace fastfm::text {

constexpr double powers_of_ten[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr int64_t most_digits = 15, largest_power = 22;
enum Parsed : uint8_t { empty = 0, easy = 1, hard = 2 };

inline bool is_digit(uint8_t byte) { return uint8_t(byte - '0') < 10; }
inline bool is_sign(uint8_t byte) { return byte == '-' || byte == '+'; }

// The digits in the lowest `length` <= 8 bytes, with 0 above, as a number; -1 where a byte is no digit.
inline int64_t parse_word(uint64_t word, int64_t length) {
    const int64_t half = 4 * (8 - length); // two shifts by half, since one by 64 is undefined
    const uint64_t zeros = each_byte('0') << half << half;
    const uint64_t digits = word << half << half ^ zeros; // the last digit is highest, what comes in below counts as 0
    if ((digits | (digits + each_byte(6))) & each_byte(0xF0)) return -1;
    const uint64_t pairs = (digits * 10 + (digits >> 8)) & 0x00FF00FF00FF00FFu;
    const uint64_t fours = (pairs * 100 + (pairs >> 16)) & 0x0000FFFF0000FFFFu;
    return int64_t((fours * 10000 + (fours >> 32)) & 0xFFFFFFFFu);
}

// Digits with a point and an exponent, behind the sign; false where they are not settled here.
inline bool parse_magnitude(const uint8_t* at, const uint8_t* end, double& value) {
    int64_t digits = 0, whole = 0, decimals = 0, mantissa = 0, exponent = 0;
    bool after_point = false;
    for (; at < end; ++at) {
        if (is_digit(*at)) {
            ++whole;
            decimals += after_point;
            digits += digits > 0 || *at > '0';
            if (digits <= most_digits) mantissa = mantissa * 10 + (*at - '0');
        } else if (*at == '.' && !after_point) {
            after_point = true;
        } else {
            break;
        }
    }
    if (at < end && whole > 0 && (*at == 'e' || *at == 'E')) {
        const bool below = ++at < end && *at == '-';
        if (at < end && is_sign(*at)) ++at;
        if (at == end) return false;
        for (; at < end && is_digit(*at) && exponent < 1000; ++at) exponent = exponent * 10 + (*at - '0');
        if (below) exponent = -exponent;
    }
    exponent -= decimals;
    if (at < end || whole == 0 || digits > most_digits) return false;
    if (exponent < -largest_power || exponent > largest_power) return false;
    value = exponent < 0 ? double(mantissa) / powers_of_ten[-exponent] : double(mantissa) * powers_of_ten[exponent];
    return true;
}

// Up to eight bytes of sign and digits, or no byte at all: NaN. No branch tells texts of different lengths apart, since
// lengths follow no pattern that a processor could learn. False where they hold anything else.
inline bool parse_short(uint64_t word, int64_t length, double& value) {
    const bool sign = is_sign(uint8_t(word));
    const int64_t digits = parse_word(word >> 8 * sign, length - sign);
    const double magnitude = double(digits);
    uint64_t bits;
    std::memcpy(&bits, &magnitude, 8);
    bits |= uint64_t(length == 0) * 0x7FF8000000000000u; // the quiet NaN, which 0 becomes where there is no text
    bits ^= uint64_t(uint8_t(word) == '-') << 63;
    std::memcpy(&value, &bits, 8);
    return (digits >= 0) & (length != sign || length == 0);
}

// Any text: NaN where it is empty or hard.
inline Parsed parse_text(const uint8_t* start, const uint8_t* end, double& value) {
    while (start < end && *start == space) ++start;
    while (end > start && end[-1] == space) --end;
    value = std::numeric_limits<double>::quiet_NaN();
    if (start == end) return empty;
    double magnitude;
    if (!parse_magnitude(start + is_sign(*start), end, magnitude)) return hard;
    value = *start == '-' ? -magnitude : magnitude;
    return easy;
}

// Texts [n] -> values [n], NaN where empty or hard; kinds [n]. Returns how many are hard.
inline int64_t parse_decimals(const Texts texts, double* values, uint8_t* kinds) {
    int64_t unsettled = 0;
    for (int64_t text = 0; text < texts.count; ++text) {
        const int64_t start = texts.start(text), length = texts.end(text) - start;
        kinds[text] = Parsed(length > 0);
        if (length <= 8 && parse_short(load_text(texts.buffer, texts.bytes, start, length), length, values[text]))
            continue;
        kinds[text] = parse_text(texts.buffer + start, texts.buffer + start + length, values[text]);
        unsettled += kinds[text] == hard;
    }
    return unsettled;
}

// Values [n], NaN where missing -> (value - mean) / scale, within +-farthest: `entries` have 1 where it is missing,
// with the id base + missing in place of base; `raw` has 0. Outputs without a first number are left out. Which cells
// are missing follows no pattern, so nothing branches on it.
template <class Id>
inline void standardize(const double* values, int64_t count, double mean, double scale, double farthest, int64_t base,
                        int64_t missing, Field<Id> ids, Field<float> entries, Field<float> raw) {
    constexpr uint32_t bits_of_one = 0x3F800000;
    for (int64_t row = 0; row < count; ++row) {
        const double value = (values[row] - mean) / scale;
        const float near = float(value < -farthest ? -farthest : value > farthest ? farthest : value);
        const uint32_t absent = value != value;
        uint32_t bits;
        std::memcpy(&bits, &near, 4);
        bits &= absent - 1;
        if (raw.first) std::memcpy(&raw[row], &bits, 4);
        bits |= bits_of_one & (0 - absent);
        if (entries.first) std::memcpy(&entries[row], &bits, 4);
        if (ids.first) ids[row] = Id(base + int64_t(absent) * missing);
    }
}

} // namespace fastfm::text
