// The submodule `text`: the functions of fastfm_core/data/text/numba_cpu, by the same names and arguments.
//
// Arrays are taken as they are: another dtype or layout is a TypeError, an array too short for its result a ValueError.
// Positions inside a buffer are trusted. All functions release the GIL.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <type_traits>
#include <vector>

#include "fastfm/text/bags.hpp"
#include "fastfm/text/entries.hpp"
#include "fastfm/text/index.hpp"
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

// One for each column, all of one length.
using Buffers = std::vector<Bytes>;
using Columns = std::vector<Positions>;

std::vector<Texts> texts_of(const Buffers& buffers, const Columns& starts, const Columns& ends, int64_t length) {
    require(buffers.size() == starts.size() && starts.size() == ends.size(), "each column has a buffer, starts, ends");
    std::vector<Texts> columns;
    for (size_t c = 0; c < buffers.size(); ++c) {
        columns.push_back(texts_of(buffers[c], starts[c], ends[c]));
        require(columns.back().count == length, "the columns must have the length of the result");
    }
    return columns;
}

// An array [columns, n] -> n.
template <class T> int64_t length_of(const Array<T>& array, size_t columns) {
    require(array.ndim() == 2 && array.shape(0) == int64_t(columns), "an array must be [columns, n]");
    return array.shape(1);
}

template <class T> int64_t rows_of(const Array<T>& table) {
    require(table.ndim() == 2, "ids and entries must be [n, f]");
    return table.shape(0);
}

// The fields of a table [n, f] at these places; place -1: none.
template <class T> std::vector<Field<T>> fields_of(Array<T>& table, const Integers& places, size_t columns) {
    require(places.size() == int64_t(columns), "each column has a place");
    std::vector<Field<T>> fields;
    for (size_t c = 0; c < columns; ++c) {
        const int64_t place = places.data()[c];
        require(-1 <= place && place < table.shape(1), "a place lies outside the row");
        fields.push_back({place < 0 ? nullptr : table.mutable_data() + place, table.shape(1)});
    }
    return fields;
}

void require_each(std::initializer_list<int64_t> sizes, size_t columns) {
    for (const int64_t size : sizes) require(size == int64_t(columns), "an array has another length than the columns");
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

template <class Id>
void bucket_texts_of(const Buffers& buffers, const Columns& starts, const Columns& ends, const Array<uint64_t>& buckets,
                     const Integers& bases, const Integers& places, Array<Id>& ids) {
    const std::vector<Texts> columns = texts_of(buffers, starts, ends, rows_of(ids));
    require_each({buckets.size(), bases.size()}, columns.size());
    const std::vector<Field<Id>> fields = fields_of(ids, places, columns.size());
    const uint64_t* count = buckets.data();
    const int64_t *base = bases.data(), rows = rows_of(ids);
    const Unlocked unlocked;
    by_rows(int64_t(columns.size()), rows, [&](int64_t c, int64_t begin, int64_t end) {
        bucket_texts(columns[size_t(c)].part(begin, end), count[c], base[c], fields[size_t(c)].from(begin));
    });
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

int64_t parse_decimals_of(const Buffers& buffers, const Columns& starts, const Columns& ends, Array<double>& values,
                          Bytes& kinds) {
    const int64_t rows = length_of(values, buffers.size());
    const std::vector<Texts> columns = texts_of(buffers, starts, ends, rows);
    require(length_of(kinds, columns.size()) == rows, "values and kinds must be of one shape");
    double* to = values.mutable_data();
    uint8_t* to_kinds = kinds.mutable_data();
    const Unlocked unlocked;
    int64_t unsettled = 0;
    by_rows(int64_t(columns.size()), rows, [&](int64_t c, int64_t begin, int64_t end) {
        const int64_t first = c * rows + begin;
        unsettled += parse_decimals(columns[size_t(c)].part(begin, end), to + first, to_kinds + first);
    });
    return unsettled;
}

template <class Id>
void standardize_of(const Array<double>& values, const Array<double>& means, const Array<double>& scales,
                    double farthest, const Integers& bases, int64_t missing, const Integers& places, Array<Id>& ids,
                    Array<float>& entries, const Integers& raw_places, Array<float>& raw) {
    const size_t columns = size_t(means.size());
    const int64_t rows = length_of(values, columns);
    require_each({scales.size(), bases.size()}, columns);
    require(rows_of(ids) == rows && rows_of(entries) == rows && rows_of(raw) == rows, "the tables differ in rows");
    const std::vector<Field<Id>> to_ids = fields_of(ids, places, columns);
    const std::vector<Field<float>> to = fields_of(entries, places, columns),
                                    to_raw = fields_of(raw, raw_places, columns);
    const double *from = values.data(), *mean = means.data(), *scale = scales.data();
    const int64_t* base = bases.data();
    const Unlocked unlocked;
    by_rows(int64_t(columns), rows, [&](int64_t c, int64_t begin, int64_t end) {
        standardize(from + c * rows + begin, end - begin, mean[c], scale[c], farthest, base[c], missing,
                    to_ids[size_t(c)].from(begin), to[size_t(c)].from(begin), to_raw[size_t(c)].from(begin));
    });
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
    define(room, "bucket_texts", bucket_texts_of<int32_t>);
    define(room, "bucket_texts", bucket_texts_of<int64_t>);
    define(room, "bucket_hashes", bucket_hashes_of);
    define(room, "combine_hashes", combine_hashes_of);
    define(room, "sketch_hashes", sketch_hashes_of);
    define(room, "find_texts", find_texts_of);
    define(room, "place_keys", place_keys_of);
    define(room, "distinct_texts", distinct_texts_of);
    define(room, "copy_texts", copy_texts_of);
    define(room, "parse_decimals", parse_decimals_of);
    define(room, "standardize", standardize_of<int32_t>);
    define(room, "standardize", standardize_of<int64_t>);
}

} // namespace fastfm
