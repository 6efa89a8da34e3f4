// library/xla*.cpp: handlers called as XLA calls them, by frames made here, against the formulas one entry at a time.
#include "../isa/fill.hpp"
#include "../library/xla.cpp"
#include "../library/xla_call.cpp"
#include "../library/xla_rows.cpp"
#include "check.hpp"
#include <initializer_list>

namespace fastfm {
// The kernels that are called here, and no others: all of them take minutes to compile.
Isa made_isa() {
    Isa isa{"host", {}, {}};
    auto& by_id = std::get<KernelsBy<int32_t>>(isa.kernels);
    std::get<LookupKernels<float, int32_t>>(by_id) = lookup_kernels<float, int32_t>();
    auto& rows = std::get<RowKernels<float, int32_t>>(by_id);
    rows.pool_largest = pool_largest<float, int32_t>;
    rows.sgd = [](const RowGradients<float, int32_t>& of, Rows<float> weights, Rate<float> rate, int64_t low,
                  int64_t high) { for_each_row(of, update(Sgd<float>{weights}, rate.lr, rate), low, high); };
    auto& dense = std::get<DenseKernels<float>>(isa.kernels);
    dense.interact = interact_fields<float>, dense.interact_backward = interact_fields_backward<float>;
    return isa;
}
const Isa isa_host = made_isa();
const Isa& current_isa() { return isa_host; }
} // namespace fastfm

using namespace fastfm;
using tests::Buffer;
using tests::Draws;

namespace {

std::string said;
xla::Code code;

xla::Error* make_error(xla::ErrorText* text) {
    said = text->message, code = text->code;
    return reinterpret_cast<xla::Error*>(&said);
}

// A frame, and the memory of what it points to.
class Calling {
  public:
    template <class Number> Calling& argument(Buffer<Number>& array, std::vector<int64_t> dims) {
        return add(arguments_, array, std::move(dims));
    }
    template <class Number> Calling& result(Buffer<Number>& array, std::vector<int64_t> dims) {
        return add(results_, array, std::move(dims));
    }
    Calling& whole(std::initializer_list<std::pair<const char*, int64_t>> flags) {
        for (const auto& [name, value] : flags) wholes_.push_back({name, value});
        return *this;
    }
    Calling& real(std::initializer_list<std::pair<const char*, double>> numbers) {
        for (const auto& [name, value] : numbers) reals_.push_back({name, value});
        return *this;
    }

    // What the handler complains of, "" where it does not.
    std::string of(xla::Error* (*handler)(const xla::Frame*), xla::Stage stage = xla::execute, int minor = 1) {
        const xla::Api api{sizeof api, nullptr, {sizeof(xla::Version), nullptr, 0, minor}, nullptr, make_error};
        std::vector<xla::Text> names;
        std::vector<xla::Scalar> scalars;
        for (auto& [name, value] : wholes_)
            names.push_back({name, std::strlen(name)}), scalars.push_back({xla::type_int64, &value});
        for (auto& [name, value] : reals_)
            names.push_back({name, std::strlen(name)}), scalars.push_back({xla::type_float64, &value});
        std::vector<xla::Text*> name_of;
        std::vector<void*> value_of;
        for (size_t k = 0; k < names.size(); ++k) name_of.push_back(&names[k]), value_of.push_back(&scalars[k]);
        std::vector<uint32_t> kinds(names.size(), xla::scalar_attribute);
        auto given = pointers(arguments_), taken = pointers(results_);
        const xla::Frame frame{
            sizeof frame,
            nullptr,
            &api,
            nullptr,
            stage,
            {sizeof(xla::Buffers), nullptr, int64_t(given.size()), nullptr, given.data()},
            {sizeof(xla::Buffers), nullptr, int64_t(taken.size()), nullptr, taken.data()},
            {sizeof(xla::Attributes), nullptr, int64_t(names.size()), kinds.data(), name_of.data(), value_of.data()}};
        said.clear();
        handler(&frame);
        return said;
    }

  private:
    struct Held {
        xla::Buffer buffer;
        std::vector<int64_t> dims;
    };

    template <class Number> Calling& add(std::vector<Held>& to, Buffer<Number>& array, std::vector<int64_t> dims) {
        const auto type = std::is_same_v<Number, float> ? xla::type_float32 : xla::type_int32;
        to.push_back(
            {{sizeof(xla::Buffer), nullptr, type, array.data(), int64_t(dims.size()), nullptr}, std::move(dims)});
        return *this;
    }
    static std::vector<xla::Buffer*> pointers(std::vector<Held>& held) {
        std::vector<xla::Buffer*> found;
        for (Held& each : held) each.buffer.dims = each.dims.data(), found.push_back(&each.buffer);
        return found;
    }

    std::vector<Held> arguments_, results_;
    std::vector<std::pair<const char*, int64_t>> wholes_;
    std::vector<std::pair<const char*, double>> reals_;
};

Buffer<float> empty(int64_t count) { return Buffer<float>(count, tests::unwritten<float>()); }

constexpr int64_t rows = 7, dim = 3, columns = dim + 1, samples = 5, fields = 4, numbers = 2,
                  entries = samples * fields;

struct Problem {
    Draws draws{1};
    Buffer<float> table = draws.quarters<float>(rows * columns); // with a lane
    Buffer<float> dense = draws.quarters<float>(samples * numbers);
    Buffer<float> pair_grad = draws.quarters<float>(samples), first_grad = draws.quarters<float>(samples);
    Buffer<float> deep_grad = draws.quarters<float>(samples * (fields * dim + numbers));
    Buffer<int32_t> ids{entries};

    Problem() {
        for (int32_t& id : ids) id = int32_t(draws.below(rows));
    }
    double at(int64_t i, int64_t d) const { return table[ids[i] * columns + d]; }
    double sum(int64_t b, int64_t d) const {
        double sum = 0;
        for (int64_t f = 0; f < fields; ++f) sum += at(b * fields + f, d);
        return sum;
    }
};

void test_lookups() {
    Problem with;
    auto out = empty(entries * columns);
    Calling gather;
    gather.argument(with.table, {rows, columns})
        .argument(with.ids, {samples, fields})
        .result(out, {samples, fields, columns});
    CHECK(gather.whole({{"check", 1}}).of(xla::fastfm_xla_gather).empty());
    for (int64_t i = 0; i < entries; ++i)
        for (int64_t d = 0; d < columns; ++d) CHECK(out[i * columns + d] == with.at(i, d));

    Buffer<int32_t> offsets(4);
    offsets[1] = 4, offsets[2] = 4, offsets[3] = 12;
    with.ids[15] = -9; // of no bag
    for (const auto mode : {xla::Mode::sum, xla::Mode::mean, xla::Mode::max}) {
        auto bags = empty(3 * columns);
        Calling bag;
        bag.argument(with.table, {rows, columns})
            .argument(with.ids, {entries})
            .argument(offsets, {4})
            .result(bags, {3, columns});
        bag.whole({{"check", 1}, {"offsets", 1}, {"values", 0}, {"mode", int64_t(mode)}});
        CHECK(bag.of(xla::fastfm_xla_bag).empty());
        for (int64_t m = 0; m < 3; ++m)
            for (int64_t d = 0; d < columns; ++d) {
                double sum = 0, largest = -9;
                for (int64_t i = offsets[m]; i < offsets[m + 1]; ++i)
                    sum += with.at(i, d), largest = std::max(largest, with.at(i, d));
                if (mode == xla::Mode::mean) sum /= std::max(1, offsets[m + 1] - offsets[m]);
                if (mode == xla::Mode::max) sum = m == 1 ? 0 : largest;
                CHECK(bags[m * columns + d] == sum);
            }
    }
}

void test_embedding_fm() {
    Problem with;
    const int64_t width = fields * dim + numbers;
    auto first = empty(samples), pair = empty(samples), sums = empty(samples * dim), deep = empty(samples * width);
    Calling fm;
    fm.argument(with.table, {rows, columns})
        .argument(with.ids, {samples, fields})
        .argument(with.dense, {samples, numbers});
    fm.result(first, {samples}).result(pair, {samples}).result(sums, {samples, dim}).result(deep, {samples, width});
    fm.whole({{"check", 1}, {"lane", 1}, {"linear", 0}, {"values", 0}, {"deep", 1}, {"numbers", 1}});
    CHECK(fm.of(xla::fastfm_xla_embedding_fm).empty());
    for (int64_t b = 0; b < samples; ++b) {
        double expected = 0;
        for (int64_t d = 0; d < dim; ++d) {
            expected += with.sum(b, d) * with.sum(b, d);
            for (int64_t f = 0; f < fields; ++f) {
                expected -= with.at(b * fields + f, d) * with.at(b * fields + f, d);
                CHECK(deep[b * width + f * dim + d] == with.at(b * fields + f, d));
            }
            CHECK(sums[b * dim + d] == with.sum(b, d));
        }
        for (int64_t k = 0; k < numbers; ++k) CHECK(deep[b * width + fields * dim + k] == with.dense[b * numbers + k]);
        CHECK(pair[b] == expected / 2 && first[b] == with.sum(b, dim));
    }
    auto again = empty(samples), grad = empty(samples * fields * dim);
    Buffer<float> vectors(samples * fields * dim);
    for (int64_t i = 0; i < entries; ++i)
        for (int64_t d = 0; d < dim; ++d) vectors[i * dim + d] = float(with.at(i, d));
    Calling interact, backward;
    interact.argument(vectors, {samples, fields, dim}).result(again, {samples}).whole({{"per_dim", 0}});
    CHECK(interact.of(xla::fastfm_xla_interact).empty() && tests::same(again, pair));
    backward.argument(with.pair_grad, {samples})
        .argument(vectors, {samples, fields, dim})
        .result(grad, {samples, fields, dim});
    CHECK(backward.whole({{"per_dim", 0}}).of(xla::fastfm_xla_interact_backward).empty());
    for (int64_t i = 0; i < entries; ++i)
        for (int64_t d = 0; d < dim; ++d)
            CHECK(grad[i * dim + d] == with.pair_grad[i / fields] * (with.sum(i / fields, d) - with.at(i, d)));
}

// The sources of embedding_fm's gradient, behind what a handler is given first.
void add_sources(Calling& calling, Problem& with, Buffer<float>& sums) {
    for (int64_t k = 0; k < samples * dim; ++k) sums[k] = float(with.sum(k / dim, k % dim));
    calling.argument(sums, {samples, dim}).argument(with.pair_grad, {samples});
    calling.argument(with.deep_grad, {samples, fields * dim + numbers}).argument(with.first_grad, {samples});
    calling.whole(
        {{"lane", 1}, {"linear", 0}, {"fields", fields}, {"bags", 0}, {"offsets", 0}, {"values", 0}, {"mode", 0}});
    calling.whole({{"check", 1}, {"pairs", 1}, {"slots", 1}, {"first", 1}});
}

std::vector<double> gradient_of(const Problem& with) {
    std::vector<double> found(rows * columns);
    for (int64_t i = 0; i < entries; ++i) {
        const int64_t b = i / fields, f = i % fields;
        for (int64_t d = 0; d < dim; ++d)
            found[size_t(with.ids[i] * columns + d)] += with.pair_grad[b] * (with.sum(b, d) - with.at(i, d)) +
                                                        with.deep_grad[b * (fields * dim + numbers) + f * dim + d];
        found[size_t(with.ids[i] * columns + dim)] += with.first_grad[b];
    }
    return found;
}

void test_gradients() {
    Problem with;
    const auto expected = gradient_of(with);
    auto grad = empty(rows * columns);
    Buffer<float> sums(samples * dim);
    Calling dense;
    dense.argument(with.table, {rows, columns}).argument(with.ids, {samples, fields}).result(grad, {rows, columns});
    add_sources(dense, with, sums);
    CHECK(dense.of(xla::fastfm_xla_table_gradient).empty());
    tests::check_equal(grad, expected);

    for (const bool donated : {false, true}) { // XLA may also hand over two buffers
        Buffer<float> table = with.table, apart = empty(rows * columns), rate(1, 0.5f);
        Calling step;
        step.argument(table, {rows, columns}).argument(with.ids, {samples, fields}).argument(rate, {});
        step.result(donated ? table : apart, {rows, columns}).real({{"lr", 0}, {"eps", 0}, {"beta1", 0}, {"beta2", 0}});
        add_sources(step, with, sums);
        CHECK(step.whole({{"rule", int64_t(xla::Rule::sgd)}, {"traced", 1}}).of(xla::fastfm_xla_update).empty());
        for (int64_t k = 0; k < rows * columns; ++k)
            CHECK((donated ? table : apart)[k] == with.table[k] - 0.5 * expected[size_t(k)]);
    }
}

void test_complaints() {
    Problem with;
    auto out = empty(entries * columns);
    Calling gather;
    gather.argument(with.table, {rows, columns}).argument(with.ids, {entries}).result(out, {entries, columns});
    CHECK(gather.of(xla::fastfm_xla_gather) == "no attribute check of its type" && code == xla::internal);
    gather.whole({{"check", 1}});
    for (const int32_t wrong : {-1, int32_t(rows)}) {
        with.ids[7] = with.ids[9] = wrong;
        CHECK(gather.of(xla::fastfm_xla_gather) ==
              "ids[7] is " + std::to_string(wrong) + ", outside the table's rows 0..6");
        CHECK(code == xla::invalid_argument);
    }
    CHECK(!gather.of(xla::fastfm_xla_gather, xla::prepare).empty() && code == xla::internal);
    CHECK(!gather.of(xla::fastfm_xla_gather, xla::execute, xla::newest_minor + 1).empty() &&
          code == xla::unimplemented);
    CHECK(!gather.of(xla::fastfm_xla_refuse).empty() && code == xla::unimplemented);
    CHECK(std::isnan(out[0]));
    CHECK(Calling().of(xla::fastfm_xla_gather) == "a buffer is missing" && code == xla::internal);
}

void test_metadata() {
    xla::Metadata metadata{sizeof metadata, {}, 7};
    xla::MetadataRequest request{{sizeof request, xla::metadata_extension, nullptr}, &metadata};
    xla::Frame frame{};
    frame.size = sizeof frame, frame.extension = &request.extension; // an older XLA gives no api
    for (const auto handler : {xla::fastfm_xla_update, xla::fastfm_xla_refuse}) {
        xla::fastfm_xla_version(2);
        CHECK(!handler(&frame));
        CHECK(metadata.version.major == 0 && metadata.version.minor == 2 && metadata.traits == 0);
    }
}

} // namespace

int main() {
    for (const int threads : {1, 3}) {
        pool::set_threads(threads);
        TESTING("%d threads", threads);
        test_lookups();
        test_embedding_fm();
        test_gradients();
        test_complaints();
    }
    test_metadata();
}
