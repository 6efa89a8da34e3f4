// The row plan: (row, entry) pairs sorted by row, entries of a row in their order of appearance.
//
// A stable radix sort from the lowest digit up, over the bits that the table's rows need and no more. Each pass counts
// digits per tile, adds the counts up, and moves the pairs: three launches whose result does not depend on the order in
// which blocks run. Knuth, The Art of Computer Programming, vol. 3, section 5.2.5.

#include "common.cuh"

constexpr int block = 256, warps = block / 32, items = 16, tile = block * items, digits = 256;

// counts[digit, tile]: how many keys of each tile have each digit. Keys may be ids of any integer type.
template <class K>
__global__ void __launch_bounds__(block)
    count_digits(const K* __restrict__ keys, int64 count, int64 shift, int64 tiles, uint32* __restrict__ counts) {
    SHARED(uint32, found, digits);
    found[threadIdx.x] = 0;
    __syncthreads();
    const int64 start = int64(blockIdx.x) * tile + threadIdx.x;
    for (int k = 0; k < items; ++k) {
        const int64 i = start + k * block;
        if (i < count) atomicAdd(&found[uint32(keys[i]) >> shift & (digits - 1)], 1u);
    }
    __syncthreads();
    counts[threadIdx.x * tiles + blockIdx.x] = found[threadIdx.x];
}

// The sum of x over the lower threads of the warp and this one.
__device__ __forceinline__ uint32 warp_scan(uint32 x, int lane) {
#pragma unroll
    for (int apart = 1; apart < 32; apart *= 2) {
        const uint32 below = __shfl_up_sync(0xffffffffu, x, apart);
        if (lane >= apart) x += below;
    }
    return x;
}

// The sum of x over the lower threads of the block; ``of_warp`` has room for one number a warp.
__device__ __forceinline__ uint32 block_scan(uint32 x, uint32* of_warp) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x / 32;
    const uint32 upto = warp_scan(x, lane);
    __syncthreads();
    if (lane == 31) of_warp[warp] = upto;
    __syncthreads();
    uint32 lower = 0;
    for (int w = 0; w < warp; ++w) lower += of_warp[w];
    return lower + upto - x;
}

// A block for each digit: its counts become the sums of those before, and totals[digit] the sum of all.
__global__ void __launch_bounds__(block)
    scan_counts(uint32* __restrict__ counts, int64 tiles, uint32* __restrict__ totals) {
    SHARED(uint32, of_warp, warps);
    SHARED(uint32, last, 1);
    uint32* const mine = counts + blockIdx.x * tiles;
    uint32 before = 0;
    for (int64 start = 0; start < tiles; start += block) {
        const int64 t = start + threadIdx.x;
        const uint32 own = t < tiles ? mine[t] : 0u, upto = before + block_scan(own, of_warp);
        if (t < tiles) mine[t] = upto;
        if (threadIdx.x == block - 1) last[0] = upto + own;
        __syncthreads();
        before = last[0];
    }
    if (threadIdx.x == 0) totals[blockIdx.x] = before;
}

// Moves each pair to its place. A tile is sorted in shared memory first, so that neighbours are written together.
// Without ``values`` the value of pair i is i.
template <class K>
__global__ void __launch_bounds__(block)
    move_pairs(const K* __restrict__ keys, const uint32* __restrict__ values, int64 count, int64 shift, int64 tiles,
               const uint32* __restrict__ counts, const uint32* __restrict__ totals, uint32* __restrict__ moved_keys,
               uint32* __restrict__ moved_values) {
    SHARED(uint32, seen, warps * digits); // of each warp and digit: so many so far, then where they begin in the tile
    SHARED(uint32, beyond, digits);       // from a pair's place in the tile to its place among all
    SHARED(uint32, of_warp, warps);
    SHARED(uint32, tile_keys, tile);
    SHARED(uint32, tile_values, tile);
    const int lane = threadIdx.x & 31, warp = threadIdx.x / 32;
    // This thread's digit: where it begins among all pairs.
    const uint32 before_tile = counts[threadIdx.x * tiles + blockIdx.x];
    const uint32 begins = block_scan(totals[threadIdx.x], of_warp) + before_tile;
    for (int w = 0; w < warps; ++w) seen[w * digits + threadIdx.x] = 0;
    __syncthreads();

    // A warp owns 32 * items neighbouring pairs and ranks them 32 at a time, in their order.
    const int64 tile_start = int64(blockIdx.x) * tile, start = tile_start + warp * (32 * items) + lane;
    uint32 key[items], rank[items];
#pragma unroll
    for (int k = 0; k < items; ++k) {
        const int64 i = start + k * 32;
        const bool exists = i < count;
        key[k] = exists ? uint32(keys[i]) : 0u;
        const uint32 digit = exists ? key[k] >> shift & (digits - 1) : digits;
        const uint32 equals = __match_any_sync(0xffffffffu, digit), before = equals & ((1u << lane) - 1u);
        const uint32 earlier = exists ? seen[warp * digits + digit] : 0u;
        __syncwarp();
        if (exists && before == 0) seen[warp * digits + digit] = earlier + __popc(equals);
        __syncwarp();
        rank[k] = earlier + __popc(before);
    }
    __syncthreads();
    uint32 own = 0;
    for (int w = 0; w < warps; ++w) own += seen[w * digits + threadIdx.x];
    uint32 place = block_scan(own, of_warp);
    beyond[threadIdx.x] = begins - place;
    for (int w = 0; w < warps; ++w) {
        const uint32 of = seen[w * digits + threadIdx.x];
        seen[w * digits + threadIdx.x] = place;
        place += of;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < items; ++k) {
        const int64 i = start + k * 32;
        if (i >= count) continue;
        const uint32 to = seen[warp * digits + (key[k] >> shift & (digits - 1))] + rank[k];
        tile_keys[to] = key[k];
        tile_values[to] = values ? values[i] : uint32(i);
    }
    __syncthreads();
    const int filled = count - tile_start < tile ? int(count - tile_start) : tile;
#pragma unroll
    for (int k = 0; k < items; ++k) {
        const int at = k * block + int(threadIdx.x);
        if (at >= filled) continue;
        const uint32 moved = tile_keys[at], to = beyond[moved >> shift & (digits - 1)] + at;
        moved_keys[to] = moved;
        moved_values[to] = tile_values[at];
    }
}

// keys[i]: the row of the i-th pair of a plan that is given as distinct rows and segments.
template <class I>
__global__ void __launch_bounds__(block) spell_out_rows(const I* __restrict__ rows, const int64* __restrict__ segments,
                                                        int64 distinct, int64 count, uint32* __restrict__ keys) {
    const int64 i = thread_number();
    if (i >= count) return;
    int64 low = 0, high = distinct; // segments[low] <= i < segments[high]
    while (high - low > 1) {
        const int64 middle = (low + high) / 2;
        if (segments[middle] <= i) low = middle;
        else high = middle;
    }
    keys[i] = uint32(rows[low]);
}
