// The submodule `text`: the functions of fastfm_core/data/text/numba_cpu, by the same names and arguments.
//
// Arrays are taken as they are: another dtype or layout is a TypeError, an array too short for its result a ValueError.
// Positions inside a buffer are trusted. All functions release the GIL.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <type_traits>
#include <vector>

#include "fastfm/text/bags.hpp"
#include "fastfm/text/entries.hpp"
#include "fastfm/text/index.hpp"
#include "fastfm/text/interleave.hpp"
#include "fastfm/text/numbers.hpp"

namespace fastfm {

namespace py = pybind11;
using namespace text;

namespace {

template <class T> using Array = py::array_t<T, py::array::c_style>;
template <class T> using Strided = py::array_t<T, 0>;
using Bytes = Array<uint8_t>;
using Integers = Array<int64_t>;
using Positions = Strided<int64_t>;
using Unlocked = py::gil_scoped_release;

void require(bool holds, const char* what) {
    if (!holds) throw py::value_error(what);
}

template <class T> T* out(Array<T>& array, int64_t least) {
    require(array.size() >= least, "an array is too short for its result");
    return array.mutable_data();
}

Texts texts_of(const Bytes& buffer, const Positions& starts, const Positions& ends) {
    require(starts.ndim() == 1 && ends.ndim() == 1 && starts.size() == ends.size(), "starts and ends must be [n]");
    const auto step = [](const Positions& positions) { return positions.strides(0) / int64_t(sizeof(int64_t)); };
    return {buffer.data(), buffer.size(), starts.data(), ends.data(), step(starts), step(ends), starts.size()};
}

int64_t records_end_of(const Bytes& buffer, int64_t end, uint8_t separator) {
    require(end <= buffer.size(), "end lies behind the buffer");
    const uint8_t* bytes = buffer.data();
    const Unlocked unlocked;
    return records_end(bytes, end, separator);
}

void report(Integers& mistake, const Mistake& found) {
    int64_t* to = out(mistake, 3);
    to[0] = found.kind, to[1] = found.line, to[2] = found.cells;
}

int64_t scan_cells_of(Bytes& buffer, int64_t end, uint8_t separator, Integers& starts, Integers& ends,
                      Integers& mistake) {
    require(end <= buffer.size() && end > 0 && buffer.data()[end - 1] == line_feed, "end is not behind a line feed");
    require(starts.ndim() == 2 && ends.ndim() == 2 && starts.size() == ends.size(), "starts and ends must be [c, r]");
    uint8_t* bytes = buffer.mutable_data();
    const Cells cells{starts.mutable_data(), ends.mutable_data(), starts.shape(0), starts.shape(1)};
    Mistake found{};
    int64_t rows;
    {
        const Unlocked unlocked;
        rows = scan_cells(bytes, end, separator, cells, found);
    }
    report(mistake, found);
    return rows;
}

int64_t scan_entries_of(const Bytes& buffer, int64_t end, int64_t parts, Integers& lines, Integers& labels,
                        Integers& offsets, Integers& entries, Integers& mistake) {
    require(end <= buffer.size(), "end lies behind the buffer");
    const uint8_t* bytes = buffer.data();
    const Lines rows_found{parts, lines.mutable_data(), labels.mutable_data(), offsets.mutable_data(),
                           entries.mutable_data()};
    Mistake found{};
    int64_t rows;
    {
        const Unlocked unlocked;
        rows = scan_entries(bytes, end, rows_found, found);
    }
    report(mistake, found);
    return rows;
}

int64_t scan_bags_of(const Bytes& buffer, const Positions& starts, const Positions& ends, const Bytes& separator,
                     Integers& offsets, Integers& value_starts, Integers& value_ends) {
    const Texts cells = texts_of(buffer, starts, ends);
    int64_t* to_offsets = out(offsets, cells.count + 1);
    const bool writes = value_starts.size() > 0;
    int64_t* to_starts = writes ? value_starts.mutable_data() : nullptr;
    int64_t* to_ends = writes ? out(value_ends, value_starts.size()) : nullptr;
    const uint8_t* token = separator.data();
    const int64_t length = separator.size();
    const Unlocked unlocked;
    return scan_bags(cells, token, length, to_offsets, to_starts, to_ends);
}

void last_of_texts(const Bytes& buffer, const Positions& starts, const Positions& ends, uint8_t byte, Integers& found) {
    const Texts texts = texts_of(buffer, starts, ends);
    int64_t* to = out(found, texts.count);
    const Unlocked unlocked;
    last_of(texts, byte, to);
}

void hash_texts_of(const Bytes& buffer, const Positions& starts, const Positions& ends, Array<uint64_t>& hashes) {
    const Texts texts = texts_of(buffer, starts, ends);
    uint64_t* to = out(hashes, texts.count);
    const Unlocked unlocked;
    hash_texts(texts, to);
}

void bucket_texts_of(const Bytes& buffer, const Positions& starts, const Positions& ends, uint64_t buckets,
                     Integers& rows) {
    const Texts texts = texts_of(buffer, starts, ends);
    int64_t* to = out(rows, texts.count);
    const Unlocked unlocked;
    bucket_texts(texts, buckets, to);
}

void bucket_hashes_of(const Array<uint64_t>& hashes, uint64_t buckets, Integers& rows) {
    const uint64_t* from = hashes.data();
    const int64_t count = hashes.size();
    int64_t* to = out(rows, count);
    const Unlocked unlocked;
    bucket_hashes(from, count, buckets, to);
}

void combine_hashes_of(const Array<uint64_t>& left, const Array<uint64_t>& right, Array<uint64_t>& hashes) {
    require(left.size() == right.size(), "left and right must be of one length");
    const uint64_t *lefts = left.data(), *rights = right.data();
    const int64_t count = left.size();
    uint64_t* to = out(hashes, count);
    const Unlocked unlocked;
    combine_hashes(lefts, rights, count, to);
}

void sketch_hashes_of(const Array<uint64_t>& hashes, Array<uint8_t>& registers) {
    const uint64_t* from = hashes.data();
    const int64_t count = hashes.size();
    uint8_t* to = out(registers, 1 << 12);
    const Unlocked unlocked;
    sketch_hashes(from, count, to);
}

void find_texts_of(const Bytes& keys, const Integers& key_ends, Integers& slots, const Bytes& buffer,
                   const Positions& starts, const Positions& ends, Integers& codes) {
    const Texts texts = texts_of(buffer, starts, ends);
    const Keys known{keys.data(), key_ends.data()};
    int64_t *in_slots = slots.mutable_data(), *to = out(codes, texts.count);
    const int64_t slot_count = slots.size();
    const Unlocked unlocked;
    find_texts(known, in_slots, slot_count, texts, to);
}

void place_keys_of(const Bytes& keys, const Integers& key_ends, int64_t first, int64_t count, Integers& slots) {
    require(count <= key_ends.size() && count < slots.size(), "there are fewer keys or slots");
    const Keys known{keys.data(), key_ends.data()};
    int64_t* in_slots = slots.mutable_data();
    const int64_t slot_count = slots.size();
    const Unlocked unlocked;
    place_keys(known, first, count, in_slots, slot_count);
}

int64_t distinct_texts_of(const Bytes& buffer, const Positions& starts, const Positions& ends, Integers& slots,
                          Integers& firsts, Integers& codes) {
    const Texts texts = texts_of(buffer, starts, ends);
    require(texts.count < slots.size(), "there are fewer slots than texts");
    int64_t *in_slots = slots.mutable_data(), *to_firsts = out(firsts, texts.count), *to = out(codes, texts.count);
    const int64_t slot_count = slots.size();
    const Unlocked unlocked;
    return distinct_texts(texts, in_slots, slot_count, to_firsts, to);
}

void copy_texts_of(const Bytes& buffer, const Positions& starts, const Positions& ends, Bytes& target, int64_t begin,
                   Integers& target_ends) {
    const Texts texts = texts_of(buffer, starts, ends);
    int64_t needed = begin;
    for (int64_t text = 0; text < texts.count; ++text) needed += texts.end(text) - texts.start(text);
    uint8_t* to = out(target, needed);
    int64_t* to_ends = out(target_ends, texts.count);
    const Unlocked unlocked;
    copy_texts(texts, to, begin, to_ends);
}

int64_t parse_decimals_of(const Bytes& buffer, const Positions& starts, const Positions& ends, Array<double>& values,
                          Bytes& kinds) {
    const Texts texts = texts_of(buffer, starts, ends);
    double* to = out(values, texts.count);
    uint8_t* to_kinds = out(kinds, texts.count);
    const Unlocked unlocked;
    return parse_decimals(texts, to, to_kinds);
}

void standardize_of(const Array<double>& values, double mean, double scale, double farthest, Integers& ids,
                    int64_t missing, Array<float>& narrow) {
    const double* from = values.data();
    const int64_t count = values.size();
    int64_t* to_ids = out(ids, count);
    float* to = out(narrow, count);
    const Unlocked unlocked;
    standardize(from, count, mean, scale, farthest, to_ids, missing, to);
}

template <class Id>
void interleave_ids_of(const std::vector<Integers>& columns, const Integers& bases, Array<Id>& ids) {
    require(ids.ndim() == 2 && ids.shape(1) == int64_t(columns.size()) && ids.shape(1) == bases.size(),
            "the columns and bases must be those of ids");
    std::vector<const int64_t*> from;
    for (const Integers& column : columns) {
        require(column.size() == ids.shape(0), "the columns must have the rows of ids");
        from.push_back(column.data());
    }
    const int64_t *shifts = bases.data(), count = ids.shape(1), rows = ids.shape(0);
    Id* to = ids.mutable_data();
    const Unlocked unlocked;
    interleave_ids(from.data(), shifts, count, rows, to);
}

void interleave_values_of(const std::vector<std::optional<Array<float>>>& columns, Array<float>& values) {
    require(values.ndim() == 2 && values.shape(1) == int64_t(columns.size()), "the columns must be those of values");
    std::vector<const float*> from;
    for (const auto& column : columns) {
        require(!column || column->size() == values.shape(0), "the columns must have the rows of values");
        from.push_back(column ? column->data() : nullptr);
    }
    const int64_t count = values.shape(1), rows = values.shape(0);
    float* to = values.mutable_data();
    const Unlocked unlocked;
    interleave_values(from.data(), count, rows, to);
}

// Defines a function whose arrays are never converted.
template <class Result, class... Arguments>
void define(py::module_& module, const char* name, Result (*function)(Arguments...)) {
    module.def(name, function, py::arg().noconvert(!std::is_arithmetic_v<Arguments>)...);
}

} // namespace

void bind_text(py::module_& module) {
    py::module_ room = module.def_submodule("text", "Columns of text: scanners, hashes, index, numbers.");
    define(room, "records_end", records_end_of);
    define(room, "scan_cells", scan_cells_of);
    define(room, "scan_entries", scan_entries_of);
    define(room, "scan_bags", scan_bags_of);
    define(room, "last_of", last_of_texts);
    define(room, "hash_texts", hash_texts_of);
    define(room, "bucket_texts", bucket_texts_of);
    define(room, "bucket_hashes", bucket_hashes_of);
    define(room, "combine_hashes", combine_hashes_of);
    define(room, "sketch_hashes", sketch_hashes_of);
    define(room, "find_texts", find_texts_of);
    define(room, "place_keys", place_keys_of);
    define(room, "distinct_texts", distinct_texts_of);
    define(room, "copy_texts", copy_texts_of);
    define(room, "parse_decimals", parse_decimals_of);
    define(room, "standardize", standardize_of);
    define(room, "interleave_ids", interleave_ids_of<int32_t>);
    define(room, "interleave_ids", interleave_ids_of<int64_t>);
    define(room, "interleave_values", interleave_values_of);
}

} // namespace fastfm
