// An open-addressed index from text to number: exact, growing.
//
// Keys lie one after the other in a buffer: key k is buffer[ends[k-1]:ends[k]]. Slots [2^m] hold the numbers of keys,
// or `free_slot`; a key stands in the first free slot from its hash on. At least half of the slots are free.
#pragma once
#include "fastfm/text/hash.hpp"

namespace fastfm::text {

constexpr int64_t free_slot = -1;

struct Keys {
    const uint8_t* buffer;
    const int64_t* ends;

    int64_t start(int64_t key) const { return key > 0 ? ends[key - 1] : 0; }
    int64_t end(int64_t key) const { return ends[key]; }
};

// The slot in which the search for a hash ends: the first that is free or whose number `matches`.
template <class Matches> inline int64_t& slot_of(uint64_t hash, int64_t* slots, int64_t slot_count, Matches&& matches) {
    const uint64_t mask = uint64_t(slot_count) - 1;
    uint64_t place = hash & mask;
    while (slots[place] != free_slot && !matches(slots[place])) place = (place + 1) & mask;
    return slots[place];
}

inline bool equal(const uint8_t* left, int64_t left_length, const uint8_t* right, int64_t right_length) {
    return left_length == right_length && std::memcmp(left, right, size_t(left_length)) == 0;
}

// Texts [n] -> codes [n]: their number among the keys, free_slot where they are none.
inline void find_texts(const Keys& keys, int64_t* slots, int64_t slot_count, const Texts& texts, int64_t* codes) {
    each_hash(texts, [&](int64_t text, uint64_t hash) {
        const uint8_t* start = texts.buffer + texts.start(text);
        const int64_t length = texts.end(text) - texts.start(text);
        codes[text] = slot_of(hash, slots, slot_count, [&](int64_t key) {
            return equal(keys.buffer + keys.start(key), keys.end(key) - keys.start(key), start, length);
        });
    });
}

// Enters the keys number first .. count-1, which are distinct and not there yet, into the slots.
inline void place_keys(const Keys& keys, int64_t first, int64_t count, int64_t* slots, int64_t slot_count) {
    for (int64_t key = first; key < count; ++key) {
        const uint64_t hash = hash_text(keys.buffer, keys.start(key), keys.end(key));
        slot_of(hash, slots, slot_count, [](int64_t) { return false; }) = key;
    }
}

// Texts [n] -> codes [n]: numbers in the order met; firsts [n]: where each was met first. Returns their number.
inline int64_t distinct_texts(const Texts& texts, int64_t* slots, int64_t slot_count, int64_t* firsts, int64_t* codes) {
    int64_t count = 0;
    each_hash(texts, [&](int64_t text, uint64_t hash) {
        const uint8_t* start = texts.buffer + texts.start(text);
        const int64_t length = texts.end(text) - texts.start(text);
        int64_t& code = slot_of(hash, slots, slot_count, [&](int64_t other) {
            const int64_t first = firsts[other];
            return equal(texts.buffer + texts.start(first), texts.end(first) - texts.start(first), start, length);
        });
        if (code == free_slot) {
            firsts[count] = text;
            code = count++;
        }
        codes[text] = code;
    });
    return count;
}

// Writes the texts [n] one after the other to target[begin:], their ends to target_ends [n].
inline void copy_texts(const Texts& texts, uint8_t* target, int64_t begin, int64_t* target_ends) {
    for (int64_t text = 0; text < texts.count; ++text) {
        const int64_t length = texts.end(text) - texts.start(text);
        std::memcpy(target + begin, texts.buffer + texts.start(text), size_t(length));
        target_ends[text] = begin += length;
    }
}

} // namespace fastfm::text
