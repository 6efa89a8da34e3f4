// Rows brought to the present: the steps that a row has missed, one after another, with the gradient g = l2 * w.
//
// The rules are those of update.hpp; a few lines of a row stay in registers over all its steps. Every step is a
// function of what a row holds alone, so a row that catches up in parts ends at the same bits. Rows are independent of
// each other. Formulas: fastfm_core/contract.py, catch_up_rows_*.
#pragma once
#include "fastfm/update.hpp"

namespace fastfm {
inline namespace FASTFM_ISA {

constexpr int64_t steps_between_looks = 32; // at a row of Adam's: has it come to rest?

// While it lives, numbers too small to be normal are taken as 0. Moments that fade would pass most of their time there,
// where a processor takes over a hundred cycles for a product.
class FlushSmall {
  public:
#if defined(__x86_64__)
    FlushSmall() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
    ~FlushSmall() { _mm_setcsr(before_); }
    FlushSmall(const FlushSmall&) = delete;

  private:
    unsigned before_;
#else
    FlushSmall() {}
#endif
};

template <class Id> FASTFM_INLINE int64_t missed_row(const Missed<Id>& of, int64_t u) {
    return of.rows ? int64_t(of.rows[u]) : u;
}

// Ask for a later row, through the rule.
template <class Id, class Rule> FASTFM_INLINE void request_row(const Missed<Id>& of, const Rule& rule, int64_t u) {
    const int64_t row = missed_row(of, least(u + rows_ahead, of.count - 1));
    __builtin_prefetch(of.last + row, 1, 2);
    rule.request(row, 0, of.columns);
}

// Steps nows[0 .. count - 1] of lines that are held; `decay` is l2.
template <int64_t Lines, class Float, class Rule>
FASTFM_INLINE void take_steps(const Rule& rule, typename Rule::template Held<Line<Float>> (&held)[Lines],
                              const typename Rule::Now* nows, int64_t count, Float decay) {
    for (int64_t k = 0; k < count; ++k)
        for (int64_t l = 0; l < Lines; ++l) rule.step(held[l], held[l].weight * decay, nows[k]);
}

// The same, but Adam's rows come to rest where nothing pulls at their weights: with a mean of 0 they stay, and squares
// alone go on fading. The bits are those of whole steps, of which two settle the signs of zeros.
template <int64_t Lines, class Float>
FASTFM_INLINE void take_adam_steps(const Adam<Float>& rule,
                                   typename Adam<Float>::template Held<Line<Float>> (&held)[Lines],
                                   const AdamStep<Float>* nows, int64_t count, Float decay) {
    const bool may_rest = decay == 0 && !rule.decays;
    for (int64_t k = 0; k < count;) {
        bool rests = may_rest, faded = true;
        for (int64_t l = 0; rests && l < Lines; ++l) {
            rests = all_zero(held[l].mean);
            faded = faded && all_zero(held[l].square);
        }
        const int64_t block = least(rests ? 2 : steps_between_looks, count - k);
        take_steps<Lines>(rule, held, nows + k, block, decay);
        k += block;
        if (!rests) continue;
        for (; k < count && !faded; ++k)
            for (auto& line : held) line.square = line.square * rule.beta2.kept;
        return;
    }
}

// Rows low .. high - 1 of those that have missed steps. nows[known] are the latest steps, the last one is of.step.
template <class Float, class Id, class Rule>
void catch_up(const Missed<Id>& given, const Rule& given_rule, const typename Rule::Now* nows, Float l2, int64_t low,
              int64_t high) {
    const FlushSmall flush;
    by_length<Float>(given.columns, [&](auto lines, auto whole) {
        constexpr int64_t Lines = decltype(lines)::value, lanes = Line<Float>::lanes;
        const Missed<Id> of = given;
        const Rule rule = given_rule;
        const int64_t columns = decltype(whole)::value ? Lines * lanes : of.columns;
        for (int64_t u = low; u < high; ++u) {
            request_row(of, rule, u);
            const int64_t row = missed_row(of, u), count = of.step - of.last[row];
            if (count == 0) continue;
            for (int64_t c = 0; c < columns; c += Lines * lanes) {
                typename Rule::template Held<Line<Float>> held[Lines];
                for (int64_t l = 0; l < Lines; ++l)
                    held[l] = rule.template hold<Line<Float>>(row, c + l * lanes, columns - c - l * lanes);
                const auto* const first = nows + of.known - count;
                if constexpr (std::is_same_v<Rule, Adam<Float>>) take_adam_steps<Lines>(rule, held, first, count, l2);
                else take_steps<Lines>(rule, held, first, count, l2);
                for (int64_t l = 0; l < Lines; ++l) rule.keep(held[l], row, c + l * lanes, columns - c - l * lanes);
            }
            of.last[row] = int32_t(of.step);
        }
    });
}

// The same with one accumulator a row, rates[known].
template <class Float, class Id>
void catch_up(const Missed<Id>& of, const RowwiseAdagrad<Float>& rule, const Float* rates, Float l2, int64_t low,
              int64_t high) {
    const FlushSmall flush;
    constexpr int64_t lanes = Line<Float>::lanes;
    for (int64_t u = low; u < high; ++u) {
        request_row(of, rule, u);
        const int64_t row = missed_row(of, u), count = of.step - of.last[row];
        Float* const weights = rule.weights[row];
        for (int64_t k = of.known - count; k < of.known; ++k) {
            auto squares = fill(Float(0));
            for (int64_t c = 0; c < of.columns; c += lanes) {
                const auto g = load(weights + c, of.columns - c) * l2;
                squares += g * g;
            }
            const Float factor = rule.factor(row, squares, of.columns, rates[k]);
            for (int64_t c = 0; c < of.columns; c += lanes) {
                const auto weight = load(weights + c, of.columns - c);
                store(weights + c, weight - factor * (weight * l2), of.columns - c);
            }
        }
        of.last[row] = int32_t(of.step);
    }
}

} // namespace FASTFM_ISA
} // namespace fastfm
