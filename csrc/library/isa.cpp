#include "isa.hpp"
#include <atomic>
#include <stdexcept>

namespace fastfm {
namespace {

std::vector<const Isa*> usable() {
    std::vector<const Isa*> found;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        found.push_back(&isa_avx512);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))
        found.push_back(&isa_avx2);
#endif
    found.push_back(&isa_baseline);
    return found;
}

std::atomic<const Isa*> current{usable().front()};

} // namespace

std::vector<std::string> isas_of_this_cpu() {
    std::vector<std::string> names;
    for (const Isa* isa : usable()) names.push_back(isa->name);
    return names;
}

const Isa& current_isa() { return *current.load(std::memory_order_relaxed); }

void use_isa(const std::string& name) {
    for (const Isa* isa : usable())
        if (name == isa->name) {
            current.store(isa);
            return;
        }
    std::string known;
    for (const std::string& usable : isas_of_this_cpu()) known += (known.empty() ? "" : ", ") + usable;
    throw std::invalid_argument("no kernels for the instruction set '" + name + "' can run here; known: " + known);
}

} // namespace fastfm
