// What makes a kernel callable from Python: it runs from packed parameters, and tells their types.
#pragma once

#include <cstring>
#include <type_traits>
#include <utility>

namespace emulator {

// Three characters per parameter: p(ointer) or v(alue); b(ool), f(loat), i(nteger), u(nsigned) or x (another type);
// the bytes of what is pointed at, or of the value (0: unknown).
template <class Parameter> struct Described {
    using Value = std::remove_cv_t<std::remove_pointer_t<Parameter>>;
    static_assert(std::is_pointer_v<Parameter> || std::is_arithmetic_v<Value>, "parameters are pointers and numbers");
    static constexpr char role = std::is_pointer_v<Parameter> ? 'p' : 'v';
    static constexpr char kind = std::is_same_v<Value, bool>       ? 'b'
                                 : std::is_floating_point_v<Value> ? 'f'
                                 : !std::is_integral_v<Value>      ? 'x'
                                 : std::is_signed_v<Value>         ? 'i'
                                                                   : 'u';
    static constexpr char size() {
        if constexpr (std::is_void_v<Value>) return '0';
        else return char('0' + sizeof(Value));
    }
};

template <auto kernel> struct Launchable;

template <class... Parameters, void (*kernel)(Parameters...)> struct Launchable<kernel> {
    static constexpr char signature[sizeof...(Parameters) + 1][3] = {
        {Described<Parameters>::role, Described<Parameters>::kind, Described<Parameters>::size()}..., {}};

    static void run(const unsigned char* parameters) { call(parameters, std::index_sequence_for<Parameters...>()); }

  private:
    template <size_t... number> static void call(const unsigned char* parameters, std::index_sequence<number...>) {
        kernel(unpacked<Parameters>(parameters + 8 * number)...);
    }
    template <class Parameter> static Parameter unpacked(const unsigned char* from) {
        std::remove_cv_t<Parameter> value;
        std::memcpy(&value, from, sizeof value);
        return value;
    }
};

} // namespace emulator

#define EMULATOR_EXPORT(number, ...)                                                                                   \
    extern "C" __attribute__((visibility("default"))) int launch_##number(const emulator::Request* request) {          \
        return emulator::launch(emulator::Launchable<__VA_ARGS__>::run, *request);                                     \
    }                                                                                                                  \
    extern "C" __attribute__((visibility("default"))) const char* signature_##number() {                               \
        return emulator::Launchable<__VA_ARGS__>::signature[0];                                                        \
    }
