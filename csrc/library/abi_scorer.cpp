// fastfm.h: scorers.
#include "abi.hpp"
#include "saved_program.hpp"

using namespace fastfm;
using abi::guarded;
using abi::need;
using abi::refuse;
using abi::require_size;

struct fastfm_scorer {
    explicit fastfm_scorer(const char* path) : saved(path) {}
    const scoring::SavedProgram saved;
};

namespace {

void take(const fastfm_entries& given, int64_t count, scoring::Samples& samples) {
    const int64_t slots = abi::slots_of(&given);
    require_size("entries.fields", given.fields, samples.fields);
    require_size("entries' number of samples", slots / given.fields, count);
    need(static_cast<const char*>(given.ids), given.count, "entries.ids");
    abi::by_id(given.id_bits, "entries.id_bits", [&](auto id) {
        const auto* ids = static_cast<const decltype(id)*>(given.ids);
        if constexpr (sizeof(id) == 4) samples.ids32 = ids;
        else samples.ids64 = ids;
    });
    samples.offsets = given.offsets, samples.values = given.values;
    samples.pooling = scoring::Pooling(given.pooling);
}

} // namespace

int fastfm_scorer_open(const char* path, fastfm_scorer** scorer) {
    return guarded([&] {
        need(scorer, 1, "scorer");
        *scorer = nullptr;
        *scorer = new fastfm_scorer(need(path, 1, "path"));
    });
}

void fastfm_scorer_close(fastfm_scorer* scorer) { delete scorer; }

int64_t fastfm_scorer_fields(const fastfm_scorer* scorer) { return scorer ? scorer->saved.fields : 0; }
int64_t fastfm_scorer_numbers(const fastfm_scorer* scorer) { return scorer ? scorer->saved.numbers : 0; }

int fastfm_scorer_score(const fastfm_scorer* scorer, const fastfm_entries* entries, const float* numbers,
                        int64_t samples, float* out) {
    return guarded([&] {
        if (!scorer) refuse("scorer is NULL");
        abi::require_count("samples", samples);
        need(out, samples, "out"), need(numbers, samples * scorer->saved.numbers, "numbers");
        scoring::Samples batch{};
        batch.count = samples, batch.fields = scorer->saved.fields;
        if (scorer->saved.fields > 0) {
            if (!entries) refuse("entries is NULL");
            take(*entries, samples, batch);
        }
        if (scorer->saved.numbers > 0) batch.given.push_back({numbers, scorer->saved.numbers});
        scorer->saved.program.run(batch, out);
    });
}
