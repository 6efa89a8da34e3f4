// Runs a launch: starts blocks, chooses the thread that goes on, reports errors.
#include "emulator/schedule.hpp"

#include <array>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <numeric>

namespace emulator {

Position* now = nullptr;
Index block_size, grid_size;

namespace {

constexpr unsigned long spins_allowed = 5'000'000; // times that threads let others go first and nothing comes of it
constexpr size_t fibers_allowed = 1024;            // ThreadSanitizer slows down with each

char error[1024];
char launch_token, end_token;
uint64_t random_state;
unsigned long spins;
Kernel kernel;
const unsigned char* parameters;

std::vector<std::unique_ptr<Thread>> all_threads;
std::vector<Thread*> fresh,
    idle; // fibers with no thread; where races are looked for, fresh ones had none in this launch
std::vector<Thread*> ready;
std::array<Block, 5> blocks; // places of resident ones
size_t places;               // how many of them this launch uses
std::vector<unsigned> order; // of the grid's blocks
size_t started;              // how many of them were
size_t unstarted, alive;     // threads of resident blocks
bool block_ended;            // since blocks were last started

Fiber& outside() {
    static Fiber fiber;
    return fiber;
}

uint64_t volume(Index size) { return uint64_t(size.x) * size.y * size.z; }

Index index_in(Index size, unsigned number) {
    return {number % size.x, number / size.x % size.y, number / size.x / size.y};
}

template <class T> T take(std::vector<T>& from, size_t place) {
    const T taken = from[place];
    from[place] = from.back();
    from.pop_back();
    return taken;
}

// Two threads on one fiber count as ordered: a search for races takes fresh fibers while there are, else any.
Thread& unused_fiber() {
    if (finds_races) return *(fresh.empty() ? take(idle, draw(idle.size())) : take(fresh, fresh.size() - 1));
    std::vector<Thread*>& from = idle.empty() ? fresh : idle;
    return *take(from, from.size() - 1);
}

void begin(Thread& thread, Block& block) {
    const unsigned number = take(block.unstarted, draw(block.unstarted.size()));
    --unstarted;
    thread.thread = index_in(block_size, number);
    thread.block = block.index;
    thread.home = &block;
    thread.number = number;
    thread.lane = number % 32;
    block.warps[number / 32].threads[thread.lane] = &thread;
}

// A ready thread or one not yet started, each as likely; the latter on the fiber ``free`` if there is one. None where
// the launch itself must go on: an error, a block to start, a deadlock, the end.
Thread* choose(Thread* free) {
    if (error[0] || ready.size() + unstarted == 0 || (block_ended && started < order.size())) return nullptr;
    size_t chosen = draw(ready.size() + unstarted);
    if (chosen < ready.size()) return take(ready, chosen);
    chosen -= ready.size();
    Block* block = blocks.data();
    while (chosen >= block->unstarted.size()) chosen -= block++->unstarted.size();
    Thread& thread = free ? *free : unused_fiber();
    begin(thread, *block);
    return &thread;
}

void switch_to(Fiber& from, Thread* next) {
    now = next;
    from.switch_to(next ? next->fiber : outside());
}

void leave(Thread& thread) {
    Block& block = *thread.home;
    Warp& warp = block.warps[thread.number / 32];
    if (!block.waiting.empty()) fail(block.barrier, "this thread has left, others wait for it at the barrier");
    for (const Meeting& meeting : warp.meetings)
        if (meeting.mask >> thread.lane & 1) fail(meeting.place, "this thread has left, lanes of its warp wait for it");
    warp.absent |= 1u << thread.lane;
    --alive;
    if (--block.alive == 0) block_ended = true;
    note_progress();
}

// What a fiber does: one thread after the other.
void run_threads() {
    Fiber::started();
    for (;;) {
        acquire(&launch_token);
        kernel(parameters);
        release(&end_token);
        Thread& self = running();
        leave(self);
        Thread* const next = choose(finds_races ? nullptr : &self);
        if (next == &self) continue;
        idle.push_back(&self);
        switch_to(self.fiber, next);
    }
}

// Fibers for all threads of resident blocks. Threads must not grow a vector: the memory that moves is not theirs.
void provide_fibers() {
    while (all_threads.size() < alive ||
           (finds_races && fresh.size() < unstarted && all_threads.size() < fibers_allowed)) {
        all_threads.push_back(std::make_unique<Thread>(run_threads));
        fresh.push_back(all_threads.back().get());
    }
    for (std::vector<Thread*>* list : {&fresh, &idle, &ready}) list->reserve(all_threads.size());
}

// Memory that nothing has been written to: its bytes are set where an array is declared. Where races are looked for,
// its pages are new, as those of another block are in no order with this one's.
void clear_shared_memory(Block& block) {
    if (block.memory && finds_races) munmap(block.memory, memory_size);
    if (!block.memory || finds_races) {
        block.memory = new_pages(memory_size);
        block.used = memory_size;
    }
    hide(block.memory, block.used);
    block.used = block.declared = 0;
    block.arrays.clear();
    block.arrays.reserve(64);
}

void start(Block& block) {
    std::swap(order[started], order[started + draw(order.size() - started)]);
    block.index = index_in(grid_size, order[started++]);
    block.threads = block.alive = volume(block_size);
    block.unstarted.resize(block.threads);
    std::iota(block.unstarted.begin(), block.unstarted.end(), 0u);
    block.waiting.clear();
    block.waiting.reserve(block.threads);
    block.rounds = 0;
    block.warps.resize((block.threads + 31) / 32);
    for (Warp& warp : block.warps) {
        warp.absent = 0;
        warp.meetings.clear();
        warp.meetings.reserve(32);
        for (unsigned& rounds : warp.rounds) rounds = 0;
    }
    if (block.threads % 32) block.warps.back().absent = ~0u << block.threads % 32;
    clear_shared_memory(block);
    unstarted += block.threads;
    alive += block.threads;
}

void start_blocks() {
    for (size_t place = 0; place < places && started < order.size(); ++place)
        if (blocks[place].alive == 0) start(blocks[place]);
    block_ended = false;
    provide_fibers();
    release(&launch_token);
}

void prepare(Kernel function, const Request& request) {
    kernel = function;
    parameters = request.parameters;
    grid_size = request.grid;
    block_size = request.block;
    error[0] = 0;
    random_state = (request.seed + 1) * 0x9e3779b97f4a7c15u | 1;
    spins = started = 0;
    order.resize(volume(grid_size));
    std::iota(order.begin(), order.end(), 0u);
    places = 1 + draw(3) + (volume(block_size) <= 64 ? 2 : 0);
    if (finds_races) {
        fresh.insert(fresh.end(), idle.begin(), idle.end());
        idle.clear();
    }
}

void report(const Thread& thread, Place place, const char* what) {
    const Index block = thread.block, at = thread.thread;
    std::snprintf(error, sizeof error, "%s:%d: block (%u, %u, %u), thread (%u, %u, %u): %s", place.file, place.line,
                  block.x, block.y, block.z, at.x, at.y, at.z, what);
}

void report_deadlock() {
    for (const std::unique_ptr<Thread>& thread : all_threads) {
        if (!thread->waits_at) continue;
        char what[128];
        std::snprintf(what, sizeof what, "deadlock: %s waits for threads that never come", thread->waits_at);
        return report(*thread, thread->place, what);
    }
}

void forget_fibers() {
    for (const std::unique_ptr<Thread>& thread : all_threads) thread->fiber.join();
    for (std::vector<Thread*>* list : {&fresh, &idle, &ready}) list->clear();
    all_threads.clear();
    for (Block& block : blocks) {
        block.alive = 0;
        block.unstarted.clear();
    }
    unstarted = alive = 0;
}

void run() {
    for (;;) {
        start_blocks();
        Thread* const next = choose(nullptr);
        if (!next) break;
        switch_to(outside(), next);
    }
    if (alive && !error[0]) report_deadlock();
    acquire(&end_token);
    if (error[0]) forget_fibers(); // they stand somewhere in the kernel
}

} // namespace

size_t draw(size_t limit) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return size_t((random_state * 0x2545f4914f6cdd1du >> 32) * limit >> 32);
}

void make_ready(Thread& thread) { ready.push_back(&thread); }

void suspend(const char* waits_at, Place place) {
    Thread& self = running();
    self.waits_at = waits_at;
    self.place = place;
    Thread* const next = choose(nullptr);
    if (next != &self) switch_to(self.fiber, next);
    self.waits_at = nullptr;
}

void note_progress() { spins = 0; }

void fail(Place place, const char* format, ...) {
    Thread& self = running();
    {
        const Unwatched unwatched;
        char what[512];
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(what, sizeof what, format, arguments);
        va_end(arguments);
        report(self, place, what);
    }
    for (;;) switch_to(self.fiber, nullptr);
}

void let_others_go(Place place) {
    if (++spins > spins_allowed) fail(place, "spins without end, perhaps for a block that has not started");
    make_ready(running());
    suspend("a loop", place);
}

void maybe_let_others_go(Place place) {
    if (draw(4) == 0) let_others_go(place);
}

int launch(Kernel function, const Request& request) {
    const Index grid = request.grid, block = request.block;
    if (volume(block) == 0 || volume(block) > 1024 || block.z > 64 || volume(grid) == 0 || volume(grid) > INT_MAX ||
        grid.y > 65535 || grid.z > 65535) {
        std::snprintf(error, sizeof error, "no launch: grid (%u, %u, %u), block (%u, %u, %u)", grid.x, grid.y, grid.z,
                      block.x, block.y, block.z);
        return 1;
    }
    prepare(function, request);
    run();
    return error[0] != 0;
}

} // namespace emulator

const char* emulator_error() { return emulator::error; }
