// The threads and blocks of the running launch, and who goes on next. For the runtime's own files.
#pragma once

#include "fibers.hpp"
#include "runtime.hpp"

#include <vector>

namespace emulator {

struct Block;

// A fiber and the CUDA thread that runs on it.
struct Thread : Position {
    explicit Thread(void (*body)()) : fiber(body) {}
    Fiber fiber;
    Block* home = nullptr;
    unsigned number = 0, lane = 0;    // in its block, in its warp
    const char* waits_at = nullptr;   // the operation in which it waits for others
    Place place{};                    // and where that is
    uint64_t given = 0, received = 0; // in a warp operation
    int argument = 0;
};

// Lanes that wait for the rest of their mask.
struct Meeting {
    unsigned mask, arrived;
    Operation operation;
    int width;
    Place place;
};

struct Warp {
    Thread* threads[32];
    unsigned absent; // lanes whose threads have left, or never were
    std::vector<Meeting> meetings;
    unsigned rounds[32]; // of __syncwarp, by the first lane that it joins
};

struct SharedArray {
    const void* declaration;
    size_t start;
};

constexpr size_t shared_size = size_t(48) << 10; // what a kernel may declare
constexpr size_t red_zone = 64;                  // between two arrays
constexpr size_t tokens = 2 * (1 + 32 * 32);
constexpr size_t memory_size = shared_size + 64 * red_zone + 8 * tokens;

struct Block {
    Index index{};
    size_t threads = 0, alive = 0; // as many as it has, those that have not left
    std::vector<unsigned> unstarted;
    std::vector<Warp> warps;
    std::vector<Thread*> waiting; // at the barrier
    Place barrier{};
    unsigned rounds = 0;
    std::vector<SharedArray> arrays;
    char* memory = nullptr; // shared memory, and behind it the tokens
    size_t used = 0, declared = 0;

    // What orders the block's threads: its barrier, and each set of lanes that a __syncwarp joins, named by its warp
    // and first lane. Rounds take turns with two tokens, as some have come to the next before others have left.
    char* barrier_token() const { return token(0, rounds); }
    char* warp_token(unsigned warp, unsigned lane) const {
        return token(1 + 32 * warp + lane, warps[warp].rounds[lane]);
    }

  private:
    char* token(unsigned number, unsigned round) const {
        return memory + memory_size - 8 * (2 * number + round % 2 + 1);
    }
};

inline Thread& running() { return *static_cast<Thread*>(now); }

// A number below ``limit``, the next that the launch's seed gives.
size_t draw(size_t limit);

// The thread takes part in the choice of who goes on.
void make_ready(Thread& thread);

// Another thread goes on; returns when somebody has made the running one ready and it is chosen.
void suspend(const char* waits_at, Place place);

// Something happened that cannot happen without end: a thread left, or some met.
void note_progress();

// Ends the launch with an error of the running thread.
[[noreturn]] void fail(Place place, const char* format, ...) __attribute__((format(printf, 2, 3)));

} // namespace emulator
