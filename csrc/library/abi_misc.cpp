// fastfm.h: the library itself, the checks that all families share, and the loss.
#include "abi.hpp"
#include "fastfm/loss.hpp"
#include "run.hpp"
#include <cstdio>

namespace fastfm::abi {
namespace {

thread_local char last_error[1024] = "";

} // namespace

int failed(int code, const char* words) noexcept {
    std::snprintf(last_error, sizeof last_error, "%s", words);
    for (char* c = last_error; *c; ++c)
        if (*c == '\n') *c = ' ';
    return code;
}

fastfm_matrix matrix_of(const fastfm_matrix* given, const char* name) {
    if (!given) refuse(std::string(name) + " is NULL");
    fastfm_matrix matrix = *given;
    require_count(name, matrix.rows, ".rows"), require_count(name, matrix.columns, ".columns");
    if (matrix.stride == 0) matrix.stride = matrix.columns;
    if (matrix.stride < matrix.columns)
        refuse(std::string(name) + ".stride is " + std::to_string(matrix.stride) + ", less than its " +
               std::to_string(matrix.columns) + " columns");
    if (!matrix.data && matrix.rows > 0 && matrix.columns > 0) refuse(std::string(name) + ".data is NULL");
    return matrix;
}

Rows<float> state_of(const fastfm_matrix* given, const char* name, const fastfm_matrix& table, int64_t columns) {
    const auto state = matrix_of(given, name);
    require_size(name, state.rows, table.rows, ".rows"), require_size(name, state.columns, columns, ".columns");
    return {state.data, state.stride};
}

namespace {

void require_offsets(const int64_t* offsets, int64_t slots, int64_t entries) {
    bool rising = offsets[0] == 0 && offsets[slots] == entries;
    for (int64_t s = 0; s < slots; ++s) rising &= offsets[s] <= offsets[s + 1];
    if (!rising)
        refuse("entries.offsets must rise from 0 to the number of ids, " + std::to_string(entries) +
               ", over whole samples");
}

} // namespace

int64_t slots_of(const fastfm_entries* given) {
    if (!given) refuse("entries is NULL");
    const bool none = given->pooling == FASTFM_NONE;
    require_count("entries.count", given->count);
    if (given->pooling < FASTFM_SUM || given->pooling > FASTFM_NONE)
        refuse("entries.pooling is " + std::to_string(given->pooling) + ", which is none of FASTFM_SUM to FASTFM_NONE");
    if (given->fields < 1 || (none && given->fields != 1))
        refuse("entries.fields is " + std::to_string(given->fields) + ", it must be " +
               (none ? "1 under FASTFM_NONE" : "at least 1"));
    if (!given->offsets) {
        if (none) refuse("entries.offsets is NULL: FASTFM_NONE has no fixed fields");
        if (given->count % given->fields)
            refuse("entries.count is " + std::to_string(given->count) + ", no whole number of samples of " +
                   std::to_string(given->fields) + " fields");
        return given->count;
    }
    require_count("entries.slots", given->slots);
    if (given->slots % given->fields)
        refuse("entries.slots is " + std::to_string(given->slots) + ", no whole number of samples of " +
               std::to_string(given->fields) + " fields");
    if (!given->unchecked) require_offsets(given->offsets, given->slots, given->count);
    return given->slots;
}

void require_ids(const fastfm_entries& given, int64_t table_rows) {
    by_id(given.id_bits, "entries.id_bits", [&](auto id) {
        const auto* ids = static_cast<const decltype(id)*>(given.ids);
        need(ids, given.count, "entries.ids");
        if (!given.unchecked && given.count > 0) require_rows(ids, given.count, table_rows, "entries.ids");
    });
}

bool write_coefficients(const fastfm_entries& given, float* out) {
    const bool root = given.pooling == FASTFM_SQRTN;
    if (!given.offsets || !(root || given.pooling == FASTFM_MEAN)) return false;
    fastfm::write_coefficients(given.offsets, given.slots, given.values, root, out);
    return true;
}

} // namespace fastfm::abi

using namespace fastfm;
using abi::guarded;

const char* fastfm_version(void) { return FASTFM_VERSION; }
int64_t fastfm_abi(void) { return FASTFM_ABI; }
const char* fastfm_last_error(void) { return abi::last_error; }

int fastfm_set_threads(int64_t count) {
    return guarded([&] { pool::set_threads(int(std::min<int64_t>(std::max<int64_t>(count, 0), 1 << 20))); });
}
int64_t fastfm_threads(void) { return pool::threads(); }

const char* fastfm_isa(void) { return current_isa().name; }
int fastfm_use_isa(const char* name) {
    return guarded([&] { use_isa(abi::need(name, 1, "name")); });
}

int fastfm_bce_with_logits(const float* logits, const float* labels, const float* weights, int64_t count, double* loss,
                           float* grad) {
    return guarded([&] {
        abi::require_count("count", count);
        abi::need(loss, 1, "loss"), abi::need(logits, count, "logits"), abi::need(labels, count, "labels");
        abi::need(grad, count, "grad");
        *loss = mean_over(count, 64, weights, [&](double mass, int64_t low, int64_t high) {
            return bce_with_logits(logits, labels, weights, mass, grad, low, high);
        });
    });
}
