// Hashes of texts, and what is made of hashes: buckets, combinations, a sketch of their number.
//
// hash: 64-bit FNV-1a over the bytes (Fowler, Noll, Vo; RFC 9923), h <- (h xor byte) * prime, then the finaliser of
// MurmurHash3 (Appleby). It is part of a saved model's meaning and must never change.
//
// FNV is a chain of products, each of which waits for the one before, so thirty-two texts are hashed side by side
// where AVX-512 multiplies eight 64-bit numbers at once. Lengths differ: the last eight bytes of each text are taken as
// if all were there, the absent ones as 0, for which a step is h * prime; the inverse of those primes undoes them.
#pragma once
#include "fastfm/text/bytes.hpp"

namespace fastfm::text {

constexpr uint64_t fnv_offset = 0xCBF29CE484222325u, fnv_prime = 0x100000001B3u;
constexpr uint64_t mix_1 = 0xFF51AFD7ED558CCDu, mix_2 = 0xC4CEB9FE1A85EC53u;

// MurmurHash3's 64-bit finaliser: a bijection. Number is uint64_t or a vector of them.
template <class Number> __attribute__((always_inline)) inline void mix_(Number& hash) {
    hash = (hash ^ (hash >> 33)) * mix_1;
    hash = (hash ^ (hash >> 33)) * mix_2;
    hash ^= hash >> 33;
}

inline uint64_t mix(uint64_t hash) {
    mix_(hash);
    return hash;
}

// FNV-1a of buffer[start:end], going on from `hash`.
inline uint64_t absorb(uint64_t hash, const uint8_t* buffer, int64_t start, int64_t end) {
    for (; start < end; ++start) hash = (hash ^ buffer[start]) * fnv_prime;
    return hash;
}

inline uint64_t hash_text(const uint8_t* buffer, int64_t start, int64_t end) {
    return mix(absorb(fnv_offset, buffer, start, end));
}

constexpr int64_t texts_at_once = 32;

#if defined(__x86_64__)

// undoing[k] * prime^(8-k) = 1, modulo 2^64.
struct Undoing {
    uint64_t of_length[9] = {};
    constexpr Undoing() {
        uint64_t inverse = fnv_prime; // Newton: correct in 3 bits, and twice as many after each step
        for (int step = 0; step < 5; ++step) inverse *= 2 - fnv_prime * inverse;
        of_length[8] = 1;
        for (int k = 8; k > 0; --k) of_length[k - 1] = of_length[k] * inverse;
    }
};
constexpr Undoing undoing;

// texts_at_once texts from `first` on -> hashes.
__attribute__((target("avx512f,avx512dq"))) inline void hash_together(const Texts& texts, int64_t first,
                                                                      uint64_t* hashes) {
    typedef uint64_t Eight __attribute__((vector_size(64)));
    uint64_t words[texts_at_once], undo[texts_at_once];
    for (int64_t k = 0; k < texts_at_once; ++k) {
        const int64_t start = texts.start(first + k), end = texts.end(first + k);
        const int64_t rest = end - start > 8 ? end - 8 : start;
        hashes[k] = absorb(fnv_offset, texts.buffer, start, rest);
        words[k] = load_text(texts.buffer, texts.bytes, rest, end - rest);
        undo[k] = undoing.of_length[end - rest];
    }
    constexpr int64_t vectors = texts_at_once / 8;
    Eight hash[vectors], word[vectors], factor[vectors];
    std::memcpy(hash, hashes, sizeof hash);
    std::memcpy(word, words, sizeof word);
    std::memcpy(factor, undo, sizeof factor);
    for (int byte = 0; byte < 8; ++byte)
        for (int64_t k = 0; k < vectors; ++k) {
            hash[k] = (hash[k] ^ (word[k] & 255)) * fnv_prime;
            word[k] >>= 8;
        }
    for (int64_t k = 0; k < vectors; ++k) mix_(hash[k] *= factor[k]);
    std::memcpy(hashes, hash, sizeof hash);
}

inline const bool multiplies_eight = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");

#else

inline void hash_together(const Texts&, int64_t, uint64_t*) {}
constexpr bool multiplies_eight = false;

#endif

// Calls use(text, its hash) for the texts in order.
template <class Use> inline void each_hash(const Texts& texts, Use&& use) {
    uint64_t hashes[texts_at_once];
    int64_t text = 0;
    if (multiplies_eight)
        for (; text + texts_at_once <= texts.count; text += texts_at_once) {
            hash_together(texts, text, hashes);
            for (int64_t k = 0; k < texts_at_once; ++k) use(text + k, hashes[k]);
        }
    for (; text < texts.count; ++text) use(text, hash_text(texts.buffer, texts.start(text), texts.end(text)));
}

// 0 .. buckets - 1, buckets < 2^32: the hash's upper half, scaled (Lemire, ACM TOMACS 29, 2019).
inline uint64_t bucket_of(uint64_t hash, uint64_t buckets) { return (hash >> 32) * buckets >> 32; }

// Texts [n] -> hashes [n].
inline void hash_texts(const Texts& texts, uint64_t* hashes) {
    each_hash(texts, [=](int64_t text, uint64_t hash) { hashes[text] = hash; });
}

// Texts [n] -> ids: base for an empty text, else base + 1 + its bucket.
template <class Id> inline void bucket_texts(const Texts& texts, uint64_t buckets, int64_t base, Field<Id> ids) {
    each_hash(texts, [=](int64_t text, uint64_t hash) {
        const int64_t some = texts.end(text) > texts.start(text);
        ids[text] = Id(base + some * (1 + int64_t(bucket_of(hash, buckets))));
    });
}

// Hashes [n] -> rows [n]: 1 + their buckets.
inline void bucket_hashes(const uint64_t* hashes, int64_t count, uint64_t buckets, int64_t* rows) {
    for (int64_t k = 0; k < count; ++k) rows[k] = 1 + int64_t(bucket_of(hashes[k], buckets));
}

// Hashes [n], [n] -> one of each ordered pair, [n].
inline void combine_hashes(const uint64_t* left, const uint64_t* right, int64_t count, uint64_t* hashes) {
    for (int64_t k = 0; k < count; ++k) hashes[k] = mix((left[k] * fnv_prime) ^ right[k]);
}

// Enters hashes [n] into HyperLogLog registers [2^12]: the longest run of leading zeros met, plus 1.
inline void sketch_hashes(const uint64_t* hashes, int64_t count, uint8_t* registers) {
    for (int64_t k = 0; k < count; ++k) {
        const uint64_t rest = hashes[k] << 12 | uint64_t(1) << 11; // ends a run after 52 zeros
        const uint8_t rank = uint8_t(1 + __builtin_clzll(rest));
        uint8_t& longest = registers[hashes[k] >> 52];
        if (rank > longest) longest = rank;
    }
}

} // namespace fastfm::text
