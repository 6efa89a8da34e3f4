// Counter-based random numbers: Philox4x32-10 of Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
//
// Draw number i of the stream (seed, step, layer) is word i % 4 of block j = i / 4, whose counter is
// (j mod 2^32, step, layer, j div 2^32) and whose key is the seed: the numbers of fastfm_core/random.py.
#pragma once
#include "fastfm/contract.hpp"
#include "fastfm/isa.hpp"

namespace fastfm {

inline namespace FASTFM_ISA {

constexpr int64_t philox_blocks = 64; // made at once, round by round, so that the compiler takes several in a register
constexpr int64_t philox_draws = 4 * philox_blocks;

// draws[k] = draw number 4 * first_block + k
inline void philox(const Dropout& key, int64_t first_block, uint32_t* draws) {
    uint32_t c0[philox_blocks], c1[philox_blocks], c2[philox_blocks], c3[philox_blocks];
    for (int64_t j = 0; j < philox_blocks; ++j) {
        const uint64_t block = uint64_t(first_block + j);
        c0[j] = uint32_t(block), c1[j] = key.step, c2[j] = key.layer, c3[j] = uint32_t(block >> 32);
    }
    uint32_t key0 = uint32_t(key.seed), key1 = uint32_t(key.seed >> 32);
    for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u)
        for (int64_t j = 0; j < philox_blocks; ++j) {
            const uint64_t product0 = c0[j] * uint64_t(0xD2511F53u), product1 = c2[j] * uint64_t(0xCD9E8D57u);
            c0[j] = uint32_t(product1 >> 32) ^ c1[j] ^ key0, c1[j] = uint32_t(product1);
            c2[j] = uint32_t(product0 >> 32) ^ c3[j] ^ key1, c3[j] = uint32_t(product0);
        }
    for (int64_t j = 0; j < philox_blocks; ++j)
        draws[4 * j] = c0[j], draws[4 * j + 1] = c1[j], draws[4 * j + 2] = c2[j], draws[4 * j + 3] = c3[j];
}

} // namespace FASTFM_ISA
} // namespace fastfm
