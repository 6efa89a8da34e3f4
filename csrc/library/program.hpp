// Programs: what a trained model computes of a row of samples, as a list of instructions on the columns of that row.
//
// A program is built once, then run by any number of threads. Samples are done in blocks of some rows, whose values lie
// in buffers [rows, width] in memory of the thread, so that a block's numbers stay in a core's caches. Instructions
// read columns of the block, of matrices that are given with the samples (raw numbers, a context that was computed
// before), or constants; they write columns of the block. Blocks and threads change no bit, since every number of a
// sample is computed from that sample alone, in one order.
#pragma once
#include "fastfm/contract.hpp"
#include "fastfm/linkage.hpp"
#include <cstdint>
#include <memory>
#include <vector>

namespace fastfm::scoring {

enum class Pooling { sum, mean, sqrtn, max, none };

// Where columns are: of = -2 the program's constants, -1 the block's buffers, k the k-th given matrix. Columns of the
// buffers are counted through all of them.
struct Operand {
    int64_t of, column;
};

// The entries of a call's samples and what is given with them. ids32 or ids64 [N], offsets null: one id a field.
struct Samples {
    int64_t count;
    const int32_t* ids32;
    const int64_t* ids64;
    int64_t fields; // of the entries
    const int64_t* offsets;
    const float* values;
    Pooling pooling;
    std::vector<Given> given; // stride 0: one row for all samples
};

// Fields of one table. The columns where results go, -1: not asked for. `linear` of the table may be null.
struct LookupOf {
    Table<float> table;
    int64_t rows;
    std::vector<int64_t> fields, shifts; // positions among a batch's fields; what their ids go down by
    int64_t first, pair, sums, vectors;
};

class Block;

class Instruction {
  public:
    virtual ~Instruction() = default;
    virtual void run(Block& block) const = 0;
};

class FASTFM_API Program {
  public:
    // A buffer of `width` columns; returns the first of them. Columns of two buffers are no neighbours.
    int64_t allocate(int64_t width);
    Operand constant(const float* numbers, int64_t count);

    void lookup(LookupOf of);
    // weights [K, H] as they lie in memory, row after row
    void dense(Operand x, int64_t inner, int64_t columns, const float* weights, Operand start, bool relu, int64_t out);
    // out = sum of factors[t] * terms[t]
    void add(std::vector<Operand> terms, std::vector<float> factors, int64_t width, bool relu, int64_t out);
    void multiply(Operand a, Operand b, int64_t width, int64_t out);
    void inner(Operand a, Operand b, int64_t width, int64_t out);
    void largest(Operand x, int64_t count, int64_t width, int64_t out);
    void bi_interaction(Operand vectors, int64_t fields, int64_t dim, int64_t out);
    void pair_interaction(Operand vectors, int64_t dim, std::vector<int32_t> pairs, std::vector<float> weights,
                          int64_t out);
    void pair_products(Operand vectors, int64_t dim, std::vector<int32_t> pairs, Product product, int64_t out);
    // What a sample's result is made of, in order.
    void result(Operand from, int64_t width);

    int64_t result_width() const { return result_width_; }
    // out [count, result_width]. std::invalid_argument names an id that is no row of its field's table.
    void run(const Samples& samples, float* out) const;

  private:
    friend class Block;
    struct Result {
        Operand from;
        int64_t width;
    };
    struct Buffer {
        int64_t begin, width;
    };

    int64_t most_rows() const;
    const Buffer& buffer_of(int64_t column) const;
    void run_rows(const Samples& samples, int64_t low, int64_t high, float* out) const;

    std::vector<std::unique_ptr<Instruction>> instructions_;
    std::vector<float> constants_;
    std::vector<Result> results_;
    std::vector<Buffer> buffers_;
    int64_t width_ = 0, result_width_ = 0;
};

} // namespace fastfm::scoring
