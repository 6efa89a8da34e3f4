#include "program.hpp"
#include "fastfm/pieces.hpp"
#include "isa.hpp"
#include "workspace.hpp"
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace fastfm::scoring {

namespace {

constexpr int64_t line = 16;                // floats of a cache line
constexpr int64_t tile_rows = 48;           // whole tiles of every instruction set's dense layers
constexpr int64_t block_bytes = 1 << 17;    // of a block's buffers: a part of a second-level cache
constexpr int64_t most_tiles = 32;          // of a block
constexpr int64_t shared_weights = 1 << 16; // of a layer that threads share, 256 KiB
constexpr int64_t shared_columns = 64;      // which they take at a time

int64_t in_lines(int64_t count) { return (count + line - 1) / line * line; }

} // namespace

// Some samples on their way through a program, and the memory of the thread that works on them.
class Block {
  public:
    Block(const Program& program, const Samples& samples, Workspace& memory, int64_t low, int64_t high)
        : samples(samples), isa(current_isa()), memory(memory), low(low), count(high - low),
          alone(count == samples.count), program_(program), rows_(in_lines(count)),
          buffers_(memory.floats(Workspace::block, rows_ * program.width_)) {}

    Given at(Operand from) const {
        if (from.of == -2) return {program_.constants_.data() + from.column, 0};
        if (from.of == -1) {
            const auto columns = out(from.column);
            return {columns.data, columns.stride};
        }
        const Given& given = samples.given[size_t(from.of)];
        return {given.data + low * given.stride + from.column, given.stride};
    }
    Rows<float> out(int64_t column) const {
        const auto& buffer = program_.buffer_of(column);
        return {buffers_ + rows_ * buffer.begin + (column - buffer.begin), buffer.width};
    }
    // The whole buffer that begins with a column; memory for it where it is not asked for.
    float* out_or(int64_t column, Workspace::Floats place, int64_t width) const {
        return column < 0 ? memory.floats(place, count * width) : out(column).data;
    }

    const Samples& samples;
    const Isa& isa;
    Workspace& memory;
    const int64_t low, count;
    const bool alone; // the only block of its call: the other threads have nothing to do

  private:
    const Program& program_;
    const int64_t rows_; // of each buffer, so that each begins on a cache line
    float* const buffers_;
};

namespace {

// The entries of a lookup's fields in a block, ids counted in its table.
template <class Id> struct Gathered {
    Entries<float, Id> entries;
    int64_t slots;
    bool bags; // slots pool entries; else each entry is a slot, or a term of its sample
};

template <class Id> const Id* ids_of(const Samples& samples) {
    if constexpr (sizeof(Id) == 4) return samples.ids32;
    else return samples.ids64;
}

class Lookup : public Instruction {
  public:
    explicit Lookup(LookupOf of) : of_(std::move(of)) {
        for (size_t f = 0; f < of_.fields.size(); ++f)
            plain_ = plain_ && of_.fields[f] == int64_t(f) && of_.shifts[f] == 0;
    }

    void run(Block& block) const override {
        if (block.samples.ids32) look_up<int32_t>(block);
        else look_up<int64_t>(block);
    }

  private:
    template <class Id> void look_up(Block& block) const {
        const auto gathered = gather<Id>(block);
        const int64_t dim = of_.table.dim, fields = int64_t(of_.fields.size());
        Interaction<float> out{block.out_or(of_.first, Workspace::first, 1),
                               block.out_or(of_.pair, Workspace::pair, 1),
                               block.out_or(of_.sums, Workspace::sums, dim),
                               nullptr,
                               0,
                               nullptr,
                               0};
        if (of_.vectors >= 0) {
            const auto vectors = block.out(of_.vectors);
            out.deep = vectors.data, out.deep_stride = vectors.stride;
        }
        if (block.samples.pooling == Pooling::max) look_up_largest(block, gathered, fields, out);
        else
            lookup_kernels_of<float, Id>(block.isa).embedding_fm(of_.table, gathered.entries, gathered.bags, out, 0,
                                                                 block.count);
    }

    // Max pooling: slots first, then what follows from them.
    template <class Id>
    void look_up_largest(Block& block, const Gathered<Id>& gathered, int64_t fields, Interaction<float> out) const {
        const auto& kernels = row_kernels_of<float, Id>(block.isa);
        const int64_t dim = of_.table.dim, slots = gathered.slots;
        float* const largest = block.memory.floats(Workspace::slots, slots * std::max<int64_t>(dim, 1));
        int64_t* const winners = block.memory.wides(Workspace::winners, slots * std::max<int64_t>(dim, 1));
        kernels.pool_largest(of_.table, gathered.entries, largest, winners, 0, slots);
        const Table<float> table{largest, dim, dim, nullptr, 0};
        dense_kernels_of<float>(block.isa).fm_of_slots(table, fields, out, 0, block.count);
        if (!of_.table.linear) return;
        const Table<float> weights{of_.table.linear, of_.table.linear_stride, 1, nullptr, 0};
        kernels.pool_largest(weights, gathered.entries, largest, winners, 0, slots);
        for (int64_t b = 0; b < block.count; ++b) {
            out.first[b] = 0;
            for (int64_t f = 0; f < fields; ++f) out.first[b] += largest[b * fields + f];
        }
    }

    template <class Id> Gathered<Id> gather(Block& block) const {
        const Samples& samples = block.samples;
        if (samples.pooling == Pooling::none) {
            if (of_.vectors >= 0) throw std::invalid_argument("rows without fields (pooling='none') have no vectors");
            return terms<Id>(block);
        }
        return samples.offsets ? bags<Id>(block) : single_ids<Id>(block);
    }

    // Without offsets and where all fields belong to the table: the caller's own ids.
    template <class Id> Gathered<Id> single_ids(Block& block) const {
        const Samples& samples = block.samples;
        const int64_t fields = int64_t(of_.fields.size()), begin = block.low * samples.fields;
        const Id* ids = ids_of<Id>(samples) + begin;
        const float* values = samples.values ? samples.values + begin : nullptr;
        if (plain_ && fields == samples.fields) {
            require_rows(ids, block.count * fields, begin);
            return {{ids, block.count * fields, fields, nullptr, values}, block.count * fields, false};
        }
        Id* const own = block.memory.ids<Id>(block.count * fields);
        float* const weights = values ? block.memory.floats(Workspace::coefficients, block.count * fields) : nullptr;
        for (int64_t b = 0; b < block.count; ++b)
            for (int64_t f = 0; f < fields; ++f) {
                const int64_t from = b * samples.fields + of_.fields[f], to = b * fields + f;
                own[to] = Id(row_of(ids[from], of_.shifts[f], begin + from));
                if (values) weights[to] = values[from];
            }
        return {{own, block.count * fields, fields, nullptr, weights}, block.count * fields, false};
    }

    // Bags: copied, with the coefficients that pooling gives them.
    template <class Id> Gathered<Id> bags(Block& block) const {
        const Samples& samples = block.samples;
        const int64_t fields = int64_t(of_.fields.size()), begin = block.low * samples.fields;
        const int64_t* const offsets = samples.offsets + begin;
        const int64_t most = offsets[block.count * samples.fields] - offsets[0];
        Id* const own = block.memory.ids<Id>(most);
        float* const weights = block.memory.floats(Workspace::coefficients, most);
        int64_t* const ends = block.memory.wides(Workspace::offsets, block.count * fields + 1);
        int64_t entries = 0, slot = 0;
        ends[0] = 0;
        for (int64_t b = 0; b < block.count; ++b)
            for (int64_t f = 0; f < fields; ++f) {
                const int64_t from = b * samples.fields + of_.fields[f];
                const float divisor = divisor_of(samples.pooling, offsets[from + 1] - offsets[from]);
                for (int64_t i = offsets[from]; i < offsets[from + 1]; ++i, ++entries) {
                    own[entries] = Id(row_of(ids_of<Id>(samples)[i], of_.shifts[f], i));
                    weights[entries] = (samples.values ? samples.values[i] : 1.0f) / divisor;
                }
                ends[++slot] = entries;
            }
        return {{own, entries, fields, ends, weights}, slot, true};
    }

    // Nothing is pooled: offsets are those of samples.
    template <class Id> Gathered<Id> terms(Block& block) const {
        const Samples& samples = block.samples;
        const int64_t begin = samples.offsets[block.low], entries = samples.offsets[block.low + block.count] - begin;
        int64_t* const ends = block.memory.wides(Workspace::offsets, block.count + 1);
        for (int64_t b = 0; b <= block.count; ++b) ends[b] = samples.offsets[block.low + b] - begin;
        const Id* ids = ids_of<Id>(samples) + begin;
        require_rows(ids, entries, begin);
        return {{ids, entries, 1, ends, samples.values ? samples.values + begin : nullptr}, entries, false};
    }

    static float divisor_of(Pooling pooling, int64_t count) {
        if (pooling == Pooling::mean) return float(count);
        return pooling == Pooling::sqrtn ? std::sqrt(float(count)) : 1.0f;
    }

    int64_t row_of(int64_t id, int64_t shift, int64_t place) const {
        const int64_t row = id - shift;
        if (uint64_t(row) >= uint64_t(of_.rows)) refuse(id, place);
        return row;
    }

    // The sign of id | (last - id) says whether an id lies outside of 0 .. last, for many ids at a time.
    template <class Id> void require_rows(const Id* ids, int64_t count, int64_t begin) const {
        using Bits = std::make_unsigned_t<Id>;
        const auto last = Bits(std::min<int64_t>(of_.rows - 1, std::numeric_limits<Id>::max()));
        Bits signs = 0;
        for (int64_t i = 0; i < count; ++i) signs |= Bits(ids[i]) | (last - Bits(ids[i]));
        if (Id(signs) >= 0) return;
        for (int64_t i = 0; i < count; ++i) row_of(int64_t(ids[i]), 0, begin + i);
    }

    [[noreturn]] void refuse(int64_t id, int64_t place) const {
        throw std::invalid_argument("ids[" + std::to_string(place) + "] is " + std::to_string(id) +
                                    ", which is no row of its field's table of " + std::to_string(of_.rows) + " rows");
    }

    LookupOf of_;
    bool plain_ = true;
};

class Dense : public Instruction {
  public:
    Dense(Operand x, int64_t inner, int64_t columns, const float* weights, Operand start, bool relu, int64_t out)
        : x_(x), start_(start), out_(out), packed_(size_t(in_lines(columns) * inner + line)) {
        const auto address = reinterpret_cast<uintptr_t>(packed_.data());
        float* const to = packed_.data() + (64 - address % 64) % 64 / sizeof(float);
        for (int64_t k = 0; k < inner; ++k)
            for (int64_t c = 0; c < columns; ++c)
                to[(c / panel_columns * inner + k) * panel_columns + c % panel_columns] = weights[k * columns + c];
        layer_ = {to, inner, columns, relu};
    }
    // A layer that is large beside a core's cache is shared by columns where its block is alone: each core then keeps
    // its part of the weights from call to call. Columns are sums of their own, so no bit depends on it.
    void run(Block& block) const override {
        const auto x = block.at(x_), start = block.at(start_);
        const auto out = block.out(out_);
        const int64_t groups = (layer_.columns + shared_columns - 1) / shared_columns;
        const bool shared = block.alone && layer_.inner * layer_.columns >= shared_weights;
        const int64_t pieces = shared ? std::min<int64_t>(pool::threads(), groups) : 1;
        pool::run(pieces, [&](int64_t p) {
            const int64_t low = cut(groups, pieces, p) * shared_columns;
            const int64_t high = std::min(cut(groups, pieces, p + 1) * shared_columns, layer_.columns);
            const DenseLayer part{layer_.weights + low * layer_.inner, layer_.inner, high - low, layer_.relu};
            block.isa.scoring.dense(part, x, {start.data + low, start.stride}, {out.data + low, out.stride},
                                    block.count);
        });
    }

  private:
    Operand x_, start_;
    int64_t out_;
    std::vector<float> packed_;
    DenseLayer layer_;
};

// An instruction that is a few calls of kernels.
template <class Work> class Calls : public Instruction {
  public:
    explicit Calls(Work work) : work_(std::move(work)) {}
    void run(Block& block) const override { work_(block); }

  private:
    Work work_;
};

template <class Work> std::unique_ptr<Instruction> calls(Work work) {
    return std::make_unique<Calls<Work>>(std::move(work));
}

} // namespace

int64_t Program::allocate(int64_t width) {
    buffers_.push_back({width_, width});
    width_ += width + 1; // the column between two buffers
    return buffers_.back().begin;
}

const Program::Buffer& Program::buffer_of(int64_t column) const {
    const auto after = std::upper_bound(buffers_.begin(), buffers_.end(), column,
                                        [](int64_t column, const Buffer& buffer) { return column < buffer.begin; });
    return *(after - 1);
}

// Of a block: as many tiles as the buffers' memory allows, since the rows of a block's first lookups come late.
int64_t Program::most_rows() const {
    return std::clamp<int64_t>(block_bytes / (4 * std::max<int64_t>(width_, 1) * tile_rows), 1, most_tiles) * tile_rows;
}

Operand Program::constant(const float* numbers, int64_t count) {
    const auto begin = int64_t(constants_.size());
    constants_.insert(constants_.end(), numbers, numbers + count);
    return {-2, begin};
}

void Program::lookup(LookupOf of) { instructions_.push_back(std::make_unique<Lookup>(std::move(of))); }

void Program::dense(Operand x, int64_t inner, int64_t columns, const float* weights, Operand start, bool relu,
                    int64_t out) {
    instructions_.push_back(std::make_unique<Dense>(x, inner, columns, weights, start, relu, out));
}

void Program::add(std::vector<Operand> terms, std::vector<float> factors, int64_t width, bool relu, int64_t out) {
    instructions_.push_back(
        calls([terms = std::move(terms), factors = std::move(factors), width, relu, out](Block& block) {
            Term* const placed = block.memory.terms(int64_t(terms.size()));
            for (size_t t = 0; t < terms.size(); ++t) placed[t] = {block.at(terms[t]), factors[t]};
            block.isa.scoring.add(placed, int64_t(terms.size()), relu, block.out(out), width, block.count);
        }));
}

void Program::multiply(Operand a, Operand b, int64_t width, int64_t out) {
    instructions_.push_back(calls([=](Block& block) {
        block.isa.scoring.multiply(block.at(a), block.at(b), block.out(out), width, block.count);
    }));
}

void Program::inner(Operand a, Operand b, int64_t width, int64_t out) {
    instructions_.push_back(calls(
        [=](Block& block) { block.isa.scoring.inner(block.at(a), block.at(b), block.out(out), width, block.count); }));
}

void Program::largest(Operand x, int64_t count, int64_t width, int64_t out) {
    instructions_.push_back(calls(
        [=](Block& block) { block.isa.scoring.largest(block.at(x), count, block.out(out), width, block.count); }));
}

void Program::bi_interaction(Operand vectors, int64_t fields, int64_t dim, int64_t out) {
    instructions_.push_back(calls([=](Block& block) {
        const auto e = block.at(vectors);
        const auto to = block.out(out);
        for (int64_t b = 0; b < block.count; ++b)
            dense_kernels_of<float>(block.isa).interact({e[b], fields, dim}, true, to[b], 0, 1);
    }));
}

void Program::pair_interaction(Operand vectors, int64_t dim, std::vector<int32_t> pairs, std::vector<float> weights,
                               int64_t out) {
    instructions_.push_back(calls([vectors, dim, pairs = std::move(pairs), weights = std::move(weights),
                                   out](Block& block) {
        const auto e = block.at(vectors);
        const auto to = block.out(out);
        for (int64_t b = 0; b < block.count; ++b) {
            const FieldPairs<float> in{
                e[b], 0, 0, dim, pairs.data(), int64_t(pairs.size() / 2), weights.empty() ? nullptr : weights.data()};
            dense_kernels_of<float>(block.isa).pair_interaction(in, to[b], 0, 1);
        }
    }));
}

void Program::pair_products(Operand vectors, int64_t dim, std::vector<int32_t> pairs, Product product, int64_t out) {
    instructions_.push_back(calls([vectors, dim, pairs = std::move(pairs), product, out](Block& block) {
        const auto e = block.at(vectors);
        const auto to = block.out(out);
        for (int64_t b = 0; b < block.count; ++b) {
            const FieldPairs<float> in{e[b], 0, 0, dim, pairs.data(), int64_t(pairs.size() / 2), nullptr};
            dense_kernels_of<float>(block.isa).pair_products(in, product, to[b], 0, 1);
        }
    }));
}

void Program::result(Operand from, int64_t width) {
    results_.push_back({from, width});
    result_width_ += width;
}

void Program::run(const Samples& samples, float* out) const {
    const int64_t threads = pool::threads(), share = (samples.count + threads - 1) / threads;
    const int64_t rows = std::clamp<int64_t>((share + 11) / 12 * 12, 12, most_rows());
    if (samples.count <= rows) return run_rows(samples, 0, samples.count, out); // whose layers may be shared
    pool::run((samples.count + rows - 1) / rows, [&](int64_t piece) {
        run_rows(samples, piece * rows, std::min(samples.count, (piece + 1) * rows), out);
    });
}

void Program::run_rows(const Samples& samples, int64_t low, int64_t high, float* out) const {
    static thread_local Workspace memory;
    Block block(*this, samples, memory, low, high);
    for (const auto& instruction : instructions_) instruction->run(block);
    float* to = out + low * result_width_;
    for (const auto& [from, width] : results_) {
        const Term whole{block.at(from), 1};
        block.isa.scoring.add(&whole, 1, false, {to, result_width_}, width, block.count);
        to += width;
    }
}

} // namespace fastfm::scoring
