#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"
sanitizer=${1:-none}
case "$sanitizer" in
none) flags=(-O2) ;;
thread) flags=(-O1 -g -fsanitize=thread) ;;
address) flags=(-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined) ;;
*) echo "usage: run.sh [thread|address]" >&2; exit 2 ;;
esac
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for source in test_*.cpp; do
    for sleep in "" -DFASTFM_NO_FUTEX; do
        "${CXX:-g++}" -std=c++17 -Wall -Wextra -pthread "${flags[@]}" $sleep -I../include "$source" -o "$out/test"
        "$out/test"
    done
done
