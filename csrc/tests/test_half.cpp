// half.hpp: every number of 16 bits; and lookups in tables of such numbers, which give the bits of the widened table.
#include "check.hpp"
#include "fastfm/half.hpp"
#include "fastfm/lookup.hpp"

using namespace fastfm;
using namespace fastfm::tests;

enum class Kind { single, bags, terms };
enum class First { none, separate, lane };
constexpr int64_t table_rows = 7, fields = 3, samples = 5;

// By the definitions of the formats. NaN for NaN.
double value_of(Float16 number) {
    const int exponent = number.bits >> 10 & 31, fraction = number.bits & 1023;
    const double sign = number.bits >> 15 ? -1 : 1;
    if (exponent == 31) return fraction ? NAN : sign * INFINITY;
    return sign * (exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24));
}
double value_of(BFloat16 number) {
    const int exponent = number.bits >> 7 & 255, fraction = number.bits & 127;
    const double sign = number.bits >> 15 ? -1 : 1;
    if (exponent == 255) return fraction ? NAN : sign * INFINITY;
    return sign * (exponent ? std::ldexp(128 + fraction, exponent - 134) : std::ldexp(fraction, -133));
}

template <class Stored> void check_number(float found, Stored number) {
    const double expected = value_of(number);
    CHECK(std::isnan(expected) ? std::isnan(found) : same(double(found), expected));
}

// Whole lines of all numbers, and lines cut short at the end of the memory.
template <class Stored> void test_every_number() {
    constexpr int64_t lanes = Line<float>::lanes, count = 1 << 16;
    Buffer<Stored> every(count);
    for (int64_t k = 0; k < count; ++k) every[k].bits = uint16_t(k);
    float numbers[lanes];
    for (int64_t start = 0; start < count; start += lanes) {
        TESTING("numbers from bits %d on", int(start));
        store(numbers, load(every.data() + start));
        for (int64_t lane = 0; lane < lanes; ++lane) {
            check_number(numbers[lane], every[start + lane]);
            check_number(widened(every[start + lane]), every[start + lane]);
        }
    }
    for (int64_t left = -17; left <= 20; ++left) {
        TESTING("%d numbers left", int(left));
        const int64_t there = std::clamp<int64_t>(left, 0, lanes);
        Buffer<Stored> few(std::max<int64_t>(left, 0));
        for (int64_t k = 0; k < few.size(); ++k) few[k].bits = uint16_t(0x8001 + 0x411 * k);
        store(numbers, load(few.data(), left));
        for (int64_t lane = 0; lane < there; ++lane) check_number(numbers[lane], few[lane]);
        for (int64_t lane = there; lane < lanes; ++lane) CHECK(same(numbers[lane], 0.0f));
    }
}

template <class Stored> struct Outputs {
    int64_t dim;
    Buffer<float> slots, first, pair, sums, deep;

    explicit Outputs(int64_t columns)
        : dim(columns), slots(samples * fields * dim, unwritten<float>()), first(samples, unwritten<float>()),
          pair(first), sums(samples * dim, unwritten<float>()), deep(slots) {}

    // All lookups of the batch in a table.
    template <template <class, class, class> class Slots, class Id>
    void look_up(const Table<Stored>& table, const Entries<float, Id>& entries, bool terms) {
        const Slots<float, Id, Stored> source{table, entries};
        const Interaction<float> out{
            first.data(), pair.data(), sums.data(), terms ? nullptr : deep.data(), fields * dim, nullptr, 0};
        if (!terms) pool_slots(source, slots.data(), 0, samples * fields);
        embedding_fm(source, out, 0, samples);
    }
};

// Columns of the table are moderate numbers of any sign and fraction; the padding behind them is NaN.
template <class Stored> Buffer<Stored> draw_rows(int64_t columns, int64_t stride, Draws& draws) {
    Buffer<Stored> rows((table_rows - 1) * stride + columns, Stored{0x7fff});
    for (int64_t k = 0; k < rows.size(); ++k)
        if (k % stride < columns) {
            const uint16_t bits = uint16_t(draws.bits()), tiny = std::is_same_v<Stored, Float16> ? 0x83ff : 0x807f;
            const uint16_t one = std::is_same_v<Stored, Float16> ? 0x3c00 : 0x3f80;
            rows[k].bits = draws.below(8) ? uint16_t((bits & tiny) | one) : uint16_t(bits & tiny);
        }
    return rows;
}

template <class Stored> Buffer<float> widened_rows(const Buffer<Stored>& rows) {
    Buffer<float> wide(rows.size());
    for (int64_t k = 0; k < rows.size(); ++k) wide[k] = float(value_of(rows[k]));
    return wide;
}

template <class Stored>
Table<Stored> table_of(const Buffer<Stored>& rows, int64_t stride, int64_t dim, const Buffer<Stored>& linear,
                       First first) {
    if (first == First::none) return {rows.data(), stride, dim, nullptr, 0};
    if (first == First::separate) return {rows.data(), stride, dim, linear.data(), 1};
    return {rows.data(), stride, dim, rows.data() + dim, stride};
}

template <class Stored, class Id>
void test_lookup(int64_t dim, int64_t padding, Kind kind, First first, bool weighted, Draws& draws) {
    TESTING("%d-byte ids, dim %d, padding %d, kind %d, first %d, coefficients %d", int(sizeof(Id)), int(dim),
            int(padding), int(kind), int(first), weighted);
    const bool terms = kind == Kind::terms;
    const int64_t columns = dim + (first == First::lane), stride = columns + padding;
    const auto rows = draw_rows<Stored>(columns, stride, draws), linear = draw_rows<Stored>(1, 1, draws);
    const auto wide_rows = widened_rows(rows), wide_linear = widened_rows(linear);
    const auto offsets = draws.offsets(terms ? samples : samples * fields);
    const auto ids = draws.ids<Id>(kind == Kind::single ? samples * fields : offsets[offsets.size() - 1], table_rows);
    const auto coefficients = draws.uniforms<float>(ids.size());
    const Entries<float, Id> entries{ids.data(), ids.size(), terms ? 1 : fields,
                                     kind == Kind::single ? nullptr : offsets.data(),
                                     weighted ? coefficients.data() : nullptr};
    Outputs<Stored> found(dim);
    Outputs<float> expected(dim);
    const auto table = table_of(rows, stride, dim, linear, first);
    const auto wide = table_of(wide_rows, stride, dim, wide_linear, first);
    if (kind == Kind::bags) {
        found.template look_up<Bags>(table, entries, terms), expected.look_up<Bags>(wide, entries, terms);
    } else {
        found.template look_up<SingleIds>(table, entries, terms), expected.look_up<SingleIds>(wide, entries, terms);
    }
    CHECK(same(found.slots, expected.slots) && same(found.deep, expected.deep) && same(found.sums, expected.sums));
    CHECK(same(found.pair, expected.pair) && same(found.first, expected.first));
}

template <class Stored, class Id> void test_lookups() {
    Draws draws(3);
    for (const int64_t dim : dims)
        for (const int64_t padding : {0, 3})
            for (const Kind kind : {Kind::single, Kind::bags, Kind::terms})
                for (const First first : {First::none, First::separate, First::lane})
                    for (const bool weighted : {false, true})
                        test_lookup<Stored, Id>(dim, padding, kind, first, weighted, draws);
}

int main() {
    test_every_number<Float16>(), test_every_number<BFloat16>();
    test_lookups<Float16, int32_t>(), test_lookups<BFloat16, int64_t>();
    std::puts("test_half: all passed");
}
