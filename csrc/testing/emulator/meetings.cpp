// Where threads meet: the block's barrier, the warp's operations, and the memory that a block shares.
#include "schedule.hpp"

#include <cstring>

namespace emulator {

namespace {

bool same(Place a, Place b) { return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0); }

// The lane whose value a lane gets, by CUDA's rules for groups of ``width`` lanes.
unsigned source_lane(Operation operation, int lane, int argument, int width) {
    const int first = lane & ~(width - 1);
    int source = lane;
    if (operation == Operation::shuffle) return unsigned(first + (argument & (width - 1)));
    if (operation == Operation::shuffle_xor) source = lane ^ argument;
    if (operation == Operation::shuffle_down) source = lane + argument;
    if (operation == Operation::shuffle_up) return unsigned(lane - argument < first ? lane : lane - argument);
    return unsigned(source >= first + width || source < 0 ? lane : source);
}

uint64_t result_of(const Meeting& meeting, const Warp& warp, unsigned lane) {
    const Thread& self = *warp.threads[lane];
    if (meeting.operation == Operation::synchronize) return 0;
    if (meeting.operation != Operation::ballot && meeting.operation != Operation::match) {
        const unsigned source = source_lane(meeting.operation, int(lane), self.argument, meeting.width);
        if (!(meeting.mask >> source & 1))
            fail(meeting.place, "lane %u reads lane %u, which mask %08x lacks", lane, source, meeting.mask);
        return warp.threads[source]->given;
    }
    const uint64_t wanted = meeting.operation == Operation::ballot ? 1 : self.given;
    uint64_t lanes = 0;
    for (unsigned other = 0; other < 32; ++other)
        if ((meeting.mask >> other & 1) && warp.threads[other]->given == wanted) lanes |= uint64_t(1) << other;
    return lanes;
}

// The meeting that the running thread comes to, or a new one.
Meeting& meeting_of(Warp& warp, const Meeting& wanted) {
    for (Meeting& meeting : warp.meetings) {
        if (!(meeting.mask & wanted.mask)) continue;
        if (meeting.mask != wanted.mask || meeting.operation != wanted.operation || meeting.width != wanted.width ||
            !same(meeting.place, wanted.place))
            fail(wanted.place, "warp operation with mask %08x meets the one of %s:%d with mask %08x", wanted.mask,
                 meeting.place.file, meeting.place.line, meeting.mask);
        return meeting;
    }
    warp.meetings.push_back(wanted);
    return warp.meetings.back();
}

void check(const Thread& self, const Warp& warp, const Meeting& wanted) {
    if (!(wanted.mask >> self.lane & 1))
        fail(wanted.place, "mask %08x lacks the calling lane %u", wanted.mask, self.lane);
    if (wanted.mask & warp.absent)
        fail(wanted.place, "mask %08x names lanes %08x, whose threads have left or never were", wanted.mask,
             wanted.mask & warp.absent);
    if (wanted.width < 1 || wanted.width > 32 || (wanted.width & (wanted.width - 1)))
        fail(wanted.place, "a width of %d, which is no power of two up to 32", wanted.width);
}

void end_meeting(Warp& warp, Meeting& meeting) {
    for (unsigned lane = 0; lane < 32; ++lane)
        if (meeting.mask >> lane & 1) {
            warp.threads[lane]->received = result_of(meeting, warp, lane);
            make_ready(*warp.threads[lane]);
        }
    if (meeting.operation == Operation::synchronize) ++warp.rounds[__builtin_ctz(meeting.mask)];
    meeting = warp.meetings.back();
    warp.meetings.pop_back();
    note_progress();
}

} // namespace

void meet_block(Place place) {
    Block& block = *running().home;
    if (block.alive != block.threads)
        fail(place, "%zu threads of the block have left before this barrier", block.threads - block.alive);
    if (!block.waiting.empty() && !same(block.barrier, place))
        fail(place, "other threads of the block wait at the barrier of %s:%d", block.barrier.file, block.barrier.line);
    char* const token = block.barrier_token();
    release(token);
    block.barrier = place;
    block.waiting.push_back(&running());
    if (block.waiting.size() == block.threads) {
        for (Thread* thread : block.waiting) make_ready(*thread);
        block.waiting.clear();
        ++block.rounds;
        note_progress();
    }
    suspend("__syncthreads", place);
    acquire(token);
}

uint64_t meet_warp(unsigned mask, Operation operation, uint64_t value, int argument, int width, Place place) {
    Thread& self = running();
    Warp& warp = self.home->warps[self.number / 32];
    const Meeting wanted{mask, 0, operation, width, place};
    check(self, warp, wanted);
    Meeting& meeting = meeting_of(warp, wanted);
    const bool orders = operation == Operation::synchronize;
    char* const token = self.home->warp_token(self.number / 32, unsigned(__builtin_ctz(mask)));
    if (orders) release(token);
    self.given = value;
    self.argument = argument;
    meeting.arrived |= 1u << self.lane;
    if (meeting.arrived == mask) end_meeting(warp, meeting);
    suspend("a warp operation", place);
    if (orders) acquire(token);
    return self.received;
}

void* shared_memory(const void* declaration, size_t bytes, size_t alignment, Place place) {
    Block& block = *running().home;
    for (const SharedArray& array : block.arrays)
        if (array.declaration == declaration) return block.memory + array.start;
    block.declared += bytes;
    if (block.declared > shared_size || block.arrays.size() == 64)
        fail(place, "%zu bytes of shared memory, more than a kernel may declare", block.declared);
    const size_t start = (block.used + alignment - 1) / alignment * alignment;
    block.arrays.push_back({declaration, start});
    block.used = start + bytes + red_zone;
    show(block.memory + start, bytes);
    const Unwatched unwatched;
    std::memset(block.memory + start, 0xff, bytes);
    return block.memory + start;
}

void fence() {
    static char token;
    acquire(&token);
    release(&token);
}

} // namespace emulator
