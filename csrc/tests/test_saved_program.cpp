// library/saved_program.cpp: a file with every instruction, and thousands whose words are changed behind a right
// checksum: each is refused or scores, and reads nothing outside of the file.
#include "../isa/fill.hpp"
#include "../library/program.cpp"
#include "../library/saved_program.cpp"
#include "check.hpp"
#include <cstdio>
#include <unistd.h>

namespace fastfm {
Isa made_isa() {
    Isa isa{"host", {}, {dense_layer, add_columns, multiply_columns, inner_columns, largest_columns}};
    std::get<LookupKernels<float, int32_t>>(std::get<KernelsBy<int32_t>>(isa.kernels)) =
        lookup_kernels<float, int32_t>();
    auto& dense = std::get<DenseKernels<float>>(isa.kernels);
    dense.interact = interact_fields<float>;
    dense.pair_interaction = pair_interaction<float>;
    dense.pair_products = pair_products<float>;
    return isa;
}
const Isa isa_host = made_isa();
const Isa& current_isa() { return isa_host; }
} // namespace fastfm

using namespace fastfm;
using namespace fastfm::tests;

constexpr int64_t fields = 2, dim = 2, rows = 5, numbers = 3, samples = 4;

// Words of a file, and arrays of 64 bytes behind them.
struct File {
    std::vector<int64_t> words;
    std::vector<size_t> named; // words that are the number of an array until all words are there
    int64_t arrays = 0;

    void say(std::initializer_list<int64_t> more) { words.insert(words.end(), more); }
    void say_array(int64_t number) {
        named.push_back(words.size()), words.push_back(number);
        arrays = std::max(arrays, number + 1);
    }
    int64_t begin() const { return (64 + 8 * int64_t(words.size()) + 63) / 64 * 64; }
    void place() {
        for (const size_t at : named) words[at] = begin() + 64 * words[at];
    }
    std::vector<char> bytes() const {
        std::vector<char> made(size_t(begin() + 64 * arrays));
        const int64_t count = int64_t(words.size());
        const int64_t checksum = scoring::checksum_of(reinterpret_cast<const unsigned char*>(words.data()), 8 * count);
        const int64_t header[] = {1, int64_t(made.size()), fields, numbers, count, checksum, 0};
        std::memcpy(made.data(), "FASTFMSC", 8);
        std::memcpy(made.data() + 8, header, sizeof header);
        std::memcpy(made.data() + 64, words.data(), size_t(8 * count));
        for (int64_t i = begin() / 4; i < int64_t(made.size()) / 4; ++i) {
            const float number = float(i % 3) / 4;
            std::memcpy(made.data() + 4 * i, &number, 4);
        }
        return made;
    }
};

// A lookup, then each of the other instructions on its vectors, and their sum. Buffers are a column apart.
File whole_file() {
    File file;
    file.say({1, 0, 1, 1, 2, 1, 1, 4, 4, 1, 9, 3}); // first; pair; vectors; what is made of them
    file.say({2}), file.say_array(0), file.say({3});
    file.say({3}), file.say_array(1), file.say({rows, dim, 3});
    file.say_array(1), file.say({2, 3, 0, 2, -1, 4, fields, 0, 1, 0, 1});
    file.say({4, 0, 0, numbers, 2}), file.say_array(2), file.say({-2, 0, 1, 9});
    file.say({6, -1, 4, -1, 6, 2, 9});
    file.say({7, -1, 4, -1, 6, 2, 11});
    file.say({8, -1, 4, 2, 2, 9});
    file.say({9, -1, 4, fields, dim, 9});
    file.say({10, -1, 4, dim, 1}), file.say_array(3), file.say({9, 0, 1});
    file.say({11, -1, 4, dim, 1, 1, 9, 0, 1});
    file.say({5, 1, 1, 0, 2, -1, 9, 0x3f800000, -1, 2, 0x3f000000});
    file.say({12, -1, 0, 1});
    file.place();
    return file;
}

// Scores some samples by a file; false where it is refused.
bool scores(const std::vector<char>& bytes, const std::string& path) {
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    CHECK(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
    std::fclose(file);
    const int32_t ids[samples * fields] = {0, 5, 1, 4, 2, 3, 4, 1};
    const float given[samples * numbers] = {1, 2, 3};
    float out[samples];
    try {
        const scoring::SavedProgram saved(path.c_str());
        scoring::Samples batch{samples, ids, nullptr, fields, nullptr, nullptr, scoring::Pooling::sum, {}};
        batch.given.push_back({given, numbers});
        if (saved.fields != fields || saved.numbers != numbers) return false; // asked for other samples than these
        saved.program.run(batch, out);
    } catch (const std::exception&) {
        return false;
    }
    return true;
}

int main() {
    const std::string path = "/tmp/test_saved_program." + std::to_string(getpid());
    const auto whole = whole_file();
    TESTING("a whole file");
    CHECK(scores(whole.bytes(), path));
    const int64_t strange[] = {-1, 0, 1, 2, 7, 64, 1 << 20, int64_t(1) << 31, int64_t(1) << 39, INT64_MIN, INT64_MAX};
    int64_t refused = 0;
    for (size_t at = 0; at < whole.words.size(); ++at)
        for (const int64_t word : strange) {
            TESTING("word %zu is %lld", at, static_cast<long long>(word));
            auto changed = whole;
            changed.words[at] = word;
            refused += !scores(changed.bytes(), path);
        }
    CHECK(refused > int64_t(whole.words.size()));
    const auto bytes = whole.bytes();
    for (size_t length = 1; length < bytes.size(); length += 29)
        CHECK(!scores({bytes.begin(), bytes.begin() + int64_t(length)}, path));
    unlink(path.c_str());
    std::puts("test_saved_program: all passed");
}
