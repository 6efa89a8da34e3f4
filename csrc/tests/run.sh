#!/usr/bin/env bash
# Builds and runs the C++ tests, two at a time: the kernels for every instruction set that this CPU has, the pool for
# both ways to sleep. Any failure ends with its output and a status other than 0.
#   run.sh            optimised, as users get it
#   run.sh address    AddressSanitizer and UndefinedBehaviorSanitizer, unoptimised, which compiles four times as fast
#   run.sh thread     ThreadSanitizer: the pool, and kernels in pieces on it
set -euo pipefail
cd "$(dirname "$0")"
sanitizer=${1:-none}
sources=(test_*.cpp)
case "$sanitizer" in
none) flags="-O2" ;;
address) flags="-O0 -g -fsanitize=address,undefined -fno-sanitize-recover=all" ;;
thread) flags="-O1 -g -fsanitize=thread" sources=(test_pool.cpp test_pieces.cpp) ;;
*) echo "usage: run.sh [thread|address]" >&2; exit 2 ;;
esac

has() { # whether /proc/cpuinfo lists all of these
    local feature
    for feature in "$@"; do grep -qwm1 "$feature" /proc/cpuinfo || return 1; done
}
isas=("")
if [ "$(uname -m)" = x86_64 ]; then
    if has avx2 fma f16c; then isas+=("-mavx2 -mfma -mf16c"); fi
    if has avx512f avx512bw avx512dq avx512vl fma; then
        isas+=("-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512")
    fi
fi

export out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
list_jobs() { # a line for each: source and its flags
    local source isa
    for source in "${sources[@]}"; do
        case "$source" in
        test_pool.cpp) printf '%s %s\n' "$source" "$flags" "$source" "$flags -DFASTFM_NO_FUTEX" ;;
        test_text.cpp | test_program.cpp | test_saved_program.cpp | test_xla.cpp) printf '%s %s\n' "$source" "$flags" ;;
        *) for isa in "${isas[@]}"; do printf '%s %s\n' "$source" "$flags $isa"; done ;;
        esac
    done
}
build_and_run() {
    local source=$1 program
    program=$(mktemp "$out/XXXXXX")
    "${CXX:-g++}" -std=c++17 -Wall -Wextra -pthread "${@:2}" -I../include "$source" -o "$program"
    "$program" >/dev/null || { echo "failed: $*" >&2; return 1; }
    echo "passed: $*"
}
export -f build_and_run
list_jobs | xargs -P 2 -I {} bash -c 'set -e; build_and_run {}'
