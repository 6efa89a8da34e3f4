// Runs a CUDA C++ text on the CPU, for tests: g++ -std=c++17 -include emulator.hpp -x c++ kernel.cu.
//
// The threads of a few resident blocks are fibers of one operating system thread. Which of them goes on is drawn from a
// seed whenever one waits, starts or ends, and so is the order of blocks: what depends on an order shows as bits that
// differ between seeds. Errors name the kernel's line, its block and its thread:
//   - barriers that not all threads of a block reach, or that meet at different lines;
//   - warp operations whose mask lacks the caller or names a thread that left, that meet another operation, or that
//     read a lane outside the mask;
//   - waiting for threads that never come, and spinning without end.
// Shared memory is full of bytes 0xff (not a number, -1) until it is written. Under AddressSanitizer and the checks of
// undefined behaviour, what reaches past an array and vectors at wrong addresses are found; under ThreadSanitizer,
// where barriers alone order the threads of a block, races in shared and global memory are.
//
// Not emulated, and errors of the compiler: bare __shared__, __activemask, PTX, float atomics.
#pragma once

#define FASTFM_EMULATED

#include "emulator/runtime.hpp"

#include "emulator/language.hpp"

#include "emulator/atomics.hpp"
#include "emulator/cooperation.hpp"
#include "emulator/kernel.hpp"
#include "emulator/numbers.hpp"
