// fastfm/text against plain C++ on buffers of exactly their size, so that a sanitizer sees every byte read beside them.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "fastfm/text/bags.hpp"
#include "fastfm/text/entries.hpp"
#include "fastfm/text/index.hpp"
#include "fastfm/text/numbers.hpp"

using namespace fastfm::text;

namespace {

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "test_text: %s\n", what);
    std::exit(1);
}

// A column of texts in a heap block that ends with its last byte.
struct Column {
    std::unique_ptr<uint8_t[]> buffer;
    std::vector<int64_t> starts, ends;
    int64_t bytes = 0;

    explicit Column(const std::vector<std::string>& texts) {
        std::string all;
        for (const std::string& text : texts) {
            starts.push_back(int64_t(all.size()));
            all += text;
            ends.push_back(int64_t(all.size()));
        }
        bytes = int64_t(all.size());
        buffer.reset(new uint8_t[all.size()]);
        std::copy(all.begin(), all.end(), buffer.get());
    }
    Texts texts() const { return {buffer.get(), bytes, starts.data(), ends.data(), 1, 1, int64_t(starts.size())}; }
};

std::vector<std::string> drawn(std::mt19937& draw, const std::string& alphabet, int count, int longest) {
    std::vector<std::string> texts(static_cast<size_t>(count));
    for (std::string& text : texts)
        for (unsigned left = draw() % unsigned(longest + 1); left > 0; --left)
            text += alphabet[draw() % alphabet.size()];
    return texts;
}

void test_hashes() {
    require(hash_text(reinterpret_cast<const uint8_t*>("a"), 0, 1) == 0x82A2A958A9BECE5Bu, "the hash of a");
    std::mt19937 draw(1);
    for (int count = 0; count < 40; ++count) {
        const Column column(drawn(draw, std::string("ab\0\xFF", 4), count, 20));
        std::vector<uint64_t> hashes(static_cast<size_t>(count));
        hash_texts(column.texts(), hashes.data());
        for (size_t k = 0; k < hashes.size(); ++k)
            require(hashes[k] == hash_text(column.buffer.get(), column.starts[k], column.ends[k]), "hashes");
    }
}

void test_numbers() {
    std::mt19937 draw(2);
    for (int round = 0; round < 3000; ++round) {
        const auto texts = drawn(draw, round % 2 ? "0123456789" : "0123456789+-.eE ", 5, round % 3 ? 9 : 24);
        const Column column(texts);
        double values[5];
        uint8_t kinds[5];
        parse_decimals(column.texts(), values, kinds);
        for (size_t k = 0; k < 5; ++k) {
            if (kinds[k] != easy) {
                require(values[k] != values[k], "a number that is not settled is NaN");
                continue;
            }
            char* end;
            const double expected = std::strtod(texts[k].c_str(), &end);
            require(std::memcmp(&expected, &values[k], 8) == 0, texts[k].c_str());
        }
    }
}

// The records of text without quotes and blank lines, cut by hand.
void test_cells() {
    std::mt19937 draw(3);
    for (int round = 0; round < 2000; ++round) {
        const int64_t columns = 1 + draw() % 4, rows = 1 + draw() % 40;
        std::vector<std::string> cells;
        std::string content;
        for (int64_t k = 0; k < columns * rows; ++k) {
            std::string cell = drawn(draw, "ab,\"\n", 1, 9)[0], written;
            if (columns == 1) cell += "x";
            for (const char byte : cell) written += byte == '"' ? "\"\"" : std::string(1, byte);
            const bool quoted = draw() % 4 == 0 || cell.find_first_of("\",\n") != std::string::npos;
            content += quoted ? '"' + written + '"' : cell;
            content += (k + 1) % columns ? "," : draw() % 2 ? "\n" : "\r\n";
            if ((k + 1) % columns == 0 && draw() % 5 == 0) content += "\n";
            cells.push_back(cell);
        }
        Column column({content});
        std::vector<int64_t> starts(cells.size()), ends(cells.size());
        Mistake mistake{};
        const int64_t found =
            scan_cells(column.buffer.get(), column.bytes, ',', {starts.data(), ends.data(), columns, rows}, mistake);
        require(found == rows && mistake.kind == no_mistake, "rows");
        for (size_t k = 0; k < cells.size(); ++k) {
            const size_t place = k % size_t(columns) * size_t(rows) + k / size_t(columns);
            const std::string cell(column.buffer.get() + starts[place], column.buffer.get() + ends[place]);
            require(cell == cells[k], "a cell");
        }
    }
}

// Anything at all: nothing beside the buffers is touched.
void test_any_bytes() {
    std::mt19937 draw(4);
    for (int round = 0; round < 20000; ++round) {
        const std::string text = drawn(draw, "a1,;\t\"\n\r:#. ", 1, 150)[0] + "\n";
        const auto lines = size_t(std::count(text.begin(), text.end(), '\n'));
        const auto colons = size_t(std::count(text.begin(), text.end(), ':'));
        Column column({text});
        std::vector<int64_t> starts(2 * lines), ends(2 * lines), row_lines(lines), labels(2 * lines),
            offsets(lines + 1);
        Mistake mistake{};
        for (int64_t parts = 2; parts <= 3; ++parts) {
            std::vector<int64_t> entries((colons + 1) * size_t(parts + 1));
            scan_entries(column.buffer.get(), column.bytes,
                         {parts, row_lines.data(), labels.data(), offsets.data(), entries.data()}, mistake);
        }
        require(records_end(column.buffer.get(), column.bytes - 1, ',') < column.bytes, "the end of the records");
        scan_cells(column.buffer.get(), column.bytes, ',', {starts.data(), ends.data(), 2, int64_t(lines)}, mistake);
    }
}

void test_index() {
    std::mt19937 draw(5);
    const auto texts = drawn(draw, "abc", 500, 5);
    const Column column(texts);
    std::vector<int64_t> slots(1024, free_slot), firsts(500), codes(500), found(500), key_ends(500);
    const int64_t count = distinct_texts(column.texts(), slots.data(), 1024, firsts.data(), codes.data());
    std::vector<std::string> known;
    for (int64_t k = 0; k < count; ++k) known.push_back(texts[size_t(firsts[size_t(k)])]);
    for (size_t k = 0; k < texts.size(); ++k) require(known[size_t(codes[k])] == texts[k], "the number of a text");
    const Column keys(known);
    std::unique_ptr<uint8_t[]> copy(new uint8_t[size_t(keys.bytes)]);
    copy_texts(keys.texts(), copy.get(), 0, key_ends.data());
    std::fill(slots.begin(), slots.end(), free_slot);
    place_keys({copy.get(), key_ends.data()}, 0, count, slots.data(), 1024);
    find_texts({copy.get(), key_ends.data()}, slots.data(), 1024, column.texts(), found.data());
    require(found == codes, "texts that are found again");
}

void test_rest() {
    const Column cells({"a||b", "", "|", "c:d:e"});
    std::vector<int64_t> offsets(5), starts(3), ends(3), last(4);
    const auto* bar = reinterpret_cast<const uint8_t*>("|");
    require(scan_bags(cells.texts(), bar, 1, offsets.data(), nullptr, nullptr) == 3, "values of bags");
    scan_bags(cells.texts(), bar, 1, offsets.data(), starts.data(), ends.data());
    require(offsets == std::vector<int64_t>{0, 2, 2, 2, 3} && starts[1] == 3 && ends[2] == 10, "places of values");
    last_of(cells.texts(), ':', last.data());
    require(last == std::vector<int64_t>{4, 4, 5, 8}, "the last colon");
}

// What is written into one column of a table leaves the others alone.
void test_fields() {
    std::mt19937 draw(6);
    const Column column(drawn(draw, "ab", 150, 9));
    std::vector<int32_t> ids(300, -1);
    const double values[3] = {3.0, std::nan(""), -1e99};
    std::vector<float> entries(6, -1.0f), raw(3, -1.0f);
    by_rows(1, 150, [&](int64_t, int64_t begin, int64_t end) {
        bucket_texts(column.texts().part(begin, end), 10, 5, Field<int32_t>{ids.data() + 1, 2}.from(begin));
    });
    for (size_t k = 0; k < 150; ++k) {
        const uint64_t hash = hash_text(column.buffer.get(), column.starts[k], column.ends[k]);
        const int64_t bucket = column.starts[k] < column.ends[k] ? 1 + int64_t(bucket_of(hash, 10)) : 0;
        require(ids[2 * k] == -1 && ids[2 * k + 1] == 5 + bucket, "ids of buckets");
    }
    standardize<int32_t>(values, 3, 1.0, 2.0, 1e6, 7, 1, {ids.data(), 2}, {entries.data() + 1, 2}, {raw.data(), 1});
    require(ids[0] == 7 && ids[2] == 8 && ids[4] == 7, "ids of numbers");
    require(entries == std::vector<float>{-1, 1, -1, 1, -1, -1e6f}, "entries of numbers");
    require(raw == std::vector<float>{1, 0, -1e6f}, "raw numbers");
    standardize<int32_t>(values, 3, 0.0, 1.0, 1e6, 7, 1, {}, {}, {raw.data(), 1});
    require(raw[0] == 3, "raw numbers alone");
}

} // namespace

int main() {
    test_hashes();
    test_numbers();
    test_cells();
    test_any_bytes();
    test_index();
    test_rest();
    test_fields();
    std::puts("test_text: all as expected");
}
