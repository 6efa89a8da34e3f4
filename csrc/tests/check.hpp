// What the tests of the kernels share: checks, memory that ends where its array ends, and numbers whose sums are exact.
//
// Kernels read and write row ends by masked moves, which AddressSanitizer does not instrument. An array therefore ends
// at a page that may not be touched, so that the processor itself objects; what lies before it is filled with a pattern
// and, under AddressSanitizer, poisoned.
//
// Numbers are drawn as few multiples of 1/4: all sums of products are exact in float, in any order and with or without
// FMA. So results are compared for equality, and a tolerance is left to roots, divisions and exponentials.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size) (void(start), void(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) (void(start), void(size))
#endif

namespace fastfm::tests {

inline char now_testing[256] = ""; // said when a check fails

#define TESTING(...) std::snprintf(fastfm::tests::now_testing, sizeof fastfm::tests::now_testing, __VA_ARGS__)

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: %s\n    testing %s\n", __FILE__, __LINE__, #condition,                        \
                         fastfm::tests::now_testing);                                                                  \
            std::abort();                                                                                              \
        }                                                                                                              \
    } while (false)

// `count` numbers that end at a page which may not be touched.
template <class Number> class Buffer {
  public:
    explicit Buffer(int64_t count, Number value = Number()) : count_(count) {
        const size_t page = size_t(sysconf(_SC_PAGESIZE)), bytes = size_t(count) * sizeof(Number);
        usable_ = (bytes + page - 1) / page * page;
        mapped_ = usable_ + page;
        void* const start = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (start == MAP_FAILED || mprotect(static_cast<char*>(start) + usable_, page, PROT_NONE)) std::abort();
        front_ = static_cast<unsigned char*>(start);
        front_size_ = usable_ - bytes;
        data_ = reinterpret_cast<Number*>(front_ + front_size_);
        std::memset(front_, pattern, front_size_);
        for (int64_t k = 0; k < count; ++k) data_[k] = value;
        ASAN_POISON_MEMORY_REGION(front_, front_size_);
    }
    Buffer(const Buffer& other) : Buffer(other.count_) {
        for (int64_t k = 0; k < count_; ++k) data_[k] = other[k];
    }
    Buffer(Buffer&& other) noexcept
        : data_(other.data_), count_(other.count_), front_(std::exchange(other.front_, nullptr)),
          front_size_(other.front_size_), usable_(other.usable_), mapped_(other.mapped_) {}
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() {
        if (!front_) return;
        ASAN_UNPOISON_MEMORY_REGION(front_, front_size_);
        for (size_t k = 0; k < front_size_; ++k) CHECK(front_[k] == pattern);
        munmap(front_, mapped_);
    }

    Number* data() { return data_; }
    const Number* data() const { return data_; }
    int64_t size() const { return count_; }
    Number& operator[](int64_t k) { return data_[k]; }
    const Number& operator[](int64_t k) const { return data_[k]; }
    Number* begin() { return data_; }
    Number* end() { return data_ + count_; }

  private:
    static constexpr unsigned char pattern = 0xA5;
    Number* data_;
    int64_t count_;
    unsigned char* front_;
    size_t front_size_, usable_, mapped_;
};

// NaN, or a strange number where there is no NaN: what an output holds before it is written.
template <class Number> Number unwritten() {
    return std::numeric_limits<Number>::has_quiet_NaN ? std::numeric_limits<Number>::quiet_NaN() : Number(-77);
}

template <class Number> bool same(Number a, Number b) { return std::memcmp(&a, &b, sizeof a) == 0; }

template <class Number> bool same(const Buffer<Number>& a, const Buffer<Number>& b) {
    return a.size() == b.size() &&
           (a.size() == 0 || std::memcmp(a.data(), b.data(), size_t(a.size()) * sizeof(Number)) == 0);
}

// Equal to what double arithmetic found; zeros may differ in sign.
template <class Number> void check_equal(const Buffer<Number>& found, const std::vector<double>& expected) {
    CHECK(found.size() == int64_t(expected.size()));
    for (int64_t k = 0; k < found.size(); ++k) CHECK(double(found[k]) == expected[size_t(k)]);
}

// Equal but for a few roundings.
template <class Number> void check_close(Number found, double expected) {
    const double unit = std::numeric_limits<Number>::epsilon();
    CHECK(std::fabs(double(found) - expected) <= 8 * unit * (1 + std::fabs(expected)));
}

// SplitMix64 of Steele, Lea and Flood, OOPSLA 2014.
class Draws {
  public:
    explicit Draws(uint64_t seed) : state_(seed) {}

    uint64_t bits() {
        uint64_t z = state_ += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        return z ^ z >> 31;
    }
    int64_t below(int64_t count) { return int64_t(bits() % uint64_t(count)); }
    double quarter() { return double(below(9) - 4) / 4; }               // -1 .. 1
    double power() { return double(int64_t(1) << below(3)) / 2; }       // 1/2, 1, 2
    double uniform() { return double(bits() >> 11) / (1LL << 52) - 1; } // -1 .. 1, rounded in any sum

    template <class Number> Buffer<Number> quarters(int64_t count) {
        Buffer<Number> drawn(count);
        for (Number& number : drawn) number = Number(quarter());
        return drawn;
    }
    template <class Number> Buffer<Number> powers(int64_t count) {
        Buffer<Number> drawn(count);
        for (Number& number : drawn) number = Number(power());
        return drawn;
    }
    template <class Number> Buffer<Number> uniforms(int64_t count) {
        Buffer<Number> drawn(count);
        for (Number& number : drawn) number = Number(uniform());
        return drawn;
    }
    // Rows of `stride` numbers of which `columns` count; the others are NaN, the last row ends with its columns.
    template <class Number> Buffer<Number> matrix(int64_t rows, int64_t columns, int64_t stride) {
        Buffer<Number> drawn(rows ? (rows - 1) * stride + columns : 0, unwritten<Number>());
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t c = 0; c < columns; ++c) drawn[r * stride + c] = Number(quarter());
        return drawn;
    }
    // Ids below `rows` with duplicates; the first is 0, the last rows - 1.
    template <class Id> Buffer<Id> ids(int64_t count, int64_t rows) {
        Buffer<Id> drawn(count);
        for (Id& id : drawn) id = Id(below(rows));
        if (count > 0) drawn[0] = 0, drawn[count - 1] = Id(rows - 1);
        return drawn;
    }
    // Offsets [slots + 1] of slots with 0 to 3 entries.
    Buffer<int64_t> offsets(int64_t slots) {
        Buffer<int64_t> drawn(slots + 1);
        for (int64_t s = 0; s < slots; ++s) drawn[s + 1] = drawn[s] + below(4);
        return drawn;
    }

  private:
    uint64_t state_;
};

constexpr int64_t dims[] = {0, 1, 3, 7, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100};

// Runs work(low, high) over 0 .. count - 1: at once; as two ranges; as two ranges, the later one first. prepare() comes
// before each, check() behind.
template <class Prepare, class Work, class Check>
void in_any_cut(int64_t count, Prepare&& prepare, Work&& work, Check&& check) {
    const int64_t middle = count / 2;
    prepare(), work(int64_t(0), count), check();
    if (count < 2) return;
    prepare(), work(int64_t(0), middle), work(middle, count), check();
    prepare(), work(middle, count), work(int64_t(0), middle), check();
}

// test<Float, Id>() for every type of numbers and of ids; the contract's tests, in Python, have all their pairs
#define FOR_EVERY_TYPE(test) (test<float, int32_t>(), test<double, int64_t>())

} // namespace fastfm::tests
