// What the functions of fastfm.h share: errors as codes, and the caller's structures checked and read as the kernels'.
#pragma once
#include "entries.hpp"
#include "fastfm.h"
#include "fastfm/contract.hpp"
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>

namespace fastfm::abi {

// A mistake in a file, FASTFM_BAD_FILE.
struct BadFile : std::runtime_error {
    using std::runtime_error::runtime_error;
};

[[noreturn]] inline void refuse(const std::string& words) { throw std::invalid_argument(words); }

// Keeps a line for fastfm_last_error and returns the code. Allocates nothing.
int failed(int code, const char* words) noexcept;

// Calls work(); what it throws becomes a code and a line.
template <class Work> int guarded(Work&& work) noexcept {
    try {
        work();
        return FASTFM_OK;
    } catch (const std::bad_alloc&) {
        return failed(FASTFM_NO_MEMORY, "there is not enough memory");
    } catch (const std::invalid_argument& error) {
        return failed(FASTFM_BAD_ARGUMENT, error.what());
    } catch (const BadFile& error) {
        return failed(FASTFM_BAD_FILE, error.what());
    } catch (const std::exception& error) {
        return failed(FASTFM_FAILED, error.what());
    } catch (...) {
        return failed(FASTFM_FAILED, "the library failed");
    }
}

// ---- arrays ----

// A member is named behind its structure, ".rows". Texts are made where something is wrong, for calls may be tiny.
inline void require_count(const char* name, int64_t count, const char* member = "") {
    if (count < 0) refuse(std::string(name) + member + " is " + std::to_string(count) + ", it must not be negative");
}

// An array of so many elements; without any it may be null.
template <class T> T* need(T* data, int64_t count, const char* name) {
    if (!data && count > 0) refuse(std::string(name) + " is NULL");
    return data;
}

inline void require_size(const char* name, int64_t found, int64_t expected, const char* member = "") {
    if (found != expected)
        refuse(std::string(name) + member + " is " + std::to_string(found) + " where " + std::to_string(expected) +
               " belongs");
}

// A matrix that must be there, its stride filled in.
fastfm_matrix matrix_of(const fastfm_matrix* given, const char* name);
// One of a table's optimizer states, with so many columns.
Rows<float> state_of(const fastfm_matrix* given, const char* name, const fastfm_matrix& table, int64_t columns);

inline Table<float> table_of(const fastfm_matrix& rows) { return {rows.data, rows.stride, rows.columns, nullptr, 0}; }
inline Rows<float> weights_of(const fastfm_matrix& table) { return {table.data, table.stride}; }

// ---- entries ----

// Checks everything of entries but whether ids are rows; returns M.
int64_t slots_of(const fastfm_entries* given);
// Checks that ids are there and, unless that was done before, are rows of a table of so many.
void require_ids(const fastfm_entries& given, int64_t table_rows);

// c_i of checked entries into out [N]. False, and nothing written, where all are 1 or the values themselves.
bool write_coefficients(const fastfm_entries& given, float* out);

// work(Id{}) for the type of the entries' or a plan's row numbers
template <class Work> auto by_id(int64_t bits, const char* name, Work&& work) {
    if (bits == 32) return work(int32_t{});
    if (bits == 64) return work(int64_t{});
    refuse(std::string(name) + " is " + std::to_string(bits) + ", it must be 32 or 64");
}

} // namespace fastfm::abi
