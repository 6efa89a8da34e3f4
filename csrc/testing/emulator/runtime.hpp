// What the compiled kernels ask of the runtime, emulator.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emulator {

struct Index {
    unsigned x, y, z;
};

// Where a running thread is in its grid.
struct Position {
    Index thread, block;
};

// A line of the kernel's text.
struct Place {
    const char* file;
    int line;
};

// One launch: what Python packs. Each of the kernel's parameters takes eight bytes.
struct Request {
    Index grid, block;
    uint64_t seed;
    unsigned char parameters[];
};

using Kernel = void (*)(const unsigned char* parameters);

enum class Operation { synchronize, shuffle, shuffle_xor, shuffle_up, shuffle_down, ballot, match };

extern Position* now; // the running thread's
extern Index block_size, grid_size;

// Runs every thread of a grid; 0, or 1 where emulator_error() says what went wrong.
int launch(Kernel kernel, const Request& request);

// All threads of the block meet.
void meet_block(Place place);

// All lanes of the mask meet in one operation: each gives a value, and gets what the operation makes of them.
uint64_t meet_warp(unsigned mask, Operation operation, uint64_t value, int argument, int width, Place place);

// The block's memory for a declaration, which its address names.
void* shared_memory(const void* declaration, size_t bytes, size_t alignment, Place place);

// Orders what a thread did before its fence before what others do after theirs.
void fence();

// Lets other threads go first; ``maybe`` in one of four cases.
void let_others_go(Place place);
void maybe_let_others_go(Place place);

} // namespace emulator

extern "C" const char* emulator_error();
