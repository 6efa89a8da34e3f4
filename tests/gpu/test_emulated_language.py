"""CUDA C++ on the CPU means what it means on a device, and its launches are stricter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import emulated_cupy as cupy
import numpy as np
import pytest

from . import processes

TEXT = '#line 1 "language"\n' + (Path(__file__).parent / "language.cu").read_text()
TYPES = {"float": np.float32, "double": np.float64, "int": np.int32, "long long": np.int64}
NAMES = [*(f"shuffles<{name}>" for name in TYPES), "votes", "indices", "atomics", "halves", "numbers"]
LANES = np.arange(32)


def kernel(name: str) -> Any:
    return cupy.RawModule(code=TEXT, options=("--std=c++17",), name_expressions=NAMES).get_function(name)


def toy(text: str, name: str = "toy", options: tuple[str, ...] = ()) -> Any:
    return cupy.RawModule(code=text, options=options, name_expressions=(name,)).get_function(name)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("width", [32, 16, 8, 4])
def test_shuffles(name: str, width: int) -> None:
    x = (np.arange(32) * 1_000_003 + 7).astype(TYPES[name])
    y = cupy.zeros((4, 32), TYPES[name])
    kernel(f"shuffles<{name}>")((1,), (32,), (cupy.asarray(x), y, np.int64(width)))
    first = LANES - LANES % width
    crossed = LANES ^ 5
    sources = [first + 3 % width, np.where(crossed < first + width, crossed, LANES)]
    sources += [np.where(first <= LANES - 2, LANES - 2, LANES), np.where(first + width > LANES + 2, LANES + 2, LANES)]
    np.testing.assert_array_equal(cupy.peek(y), x[np.stack(sources)])


def test_votes_and_matches() -> None:
    x = (LANES % 3 * (LANES < 20)).astype(np.int32)
    y = cupy.zeros((4, 32), np.uint32)
    kernel("votes")((1,), (32,), (cupy.asarray(x), y))
    halves = LANES[:, None] // 16 == LANES // 16  # [lane, other lane of its mask]
    voted = halves & (x != 0)
    expected = [
        voted @ (1 << LANES),
        voted.any(1),
        (voted == halves).all(1),
        (halves & (x == x[:, None])) @ (1 << LANES),
    ]
    np.testing.assert_array_equal(cupy.peek(y), np.stack(expected))


def test_every_thread_of_a_grid_runs_once() -> None:
    y = cupy.zeros((3 * 2, 4 * 5 * 2), np.int32)
    kernel("indices")((3, 2), (4, 5, 2), (y, np.int64(5)))
    np.testing.assert_array_equal(cupy.peek(y), 1000 * np.arange(6)[:, None] + np.arange(40) + 5)


def test_atomics_of_integers() -> None:
    x = np.random.default_rng(0).integers(-1000, 1000, 256).astype(np.int32)
    x = np.abs(x) + 1
    whole, bits, wide = cupy.zeros(4, np.int32), cupy.full(4, 1 << 31, np.uint32), cupy.zeros(1, np.uint64)
    whole[2] = 5000
    kernel("atomics")((1,), (256,), (cupy.asarray(x), whole, bits, wide))
    found, seen = cupy.peek(whole), np.bitwise_or.reduce(np.uint32(1) << (x % 32).astype(np.uint32))
    assert found[:3].tolist() == [x.sum(), x.max(), x.min()] and found[3] in x
    assert cupy.peek(bits)[0] == seen | np.uint32(1 << 31) and cupy.peek(bits)[3] == found[3]
    assert cupy.peek(bits)[1] == np.bitwise_xor.reduce(x).astype(np.uint32) ^ np.uint32(1 << 31)
    assert cupy.peek(bits)[2] == np.uint32(1 << 31) & ~seen
    assert cupy.peek(wide)[0] == int(x.sum()) << 32


def test_numbers_of_16_bits() -> None:
    """All of them are widened, and floats of every size are rounded to the nearest even."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    scale = np.exp2(np.random.default_rng(0).integers(-30, 18, 1 << 16))
    x = (np.random.default_rng(1).standard_normal(1 << 16) * scale).astype(np.float32)
    x[: 1 << 14] = bits.view(np.float16)[: 1 << 14] + np.exp2(-25)  # ties, where float holds them
    x[:4] = [np.nan, np.inf, -np.inf, 65520]
    wide_half, wide_brain = cupy.zeros(1 << 16, np.float32), cupy.zeros(1 << 16, np.float32)
    half, brain = cupy.zeros(1 << 16, np.float16), cupy.zeros(1 << 16, np.uint16)
    arrays = (cupy.asarray(bits), cupy.asarray(bits), wide_half, wide_brain, cupy.asarray(x), half, brain)
    kernel("halves")((256,), (256,), arrays)
    np.testing.assert_array_equal(cupy.peek(wide_half), bits.view(np.float16).astype(np.float32))
    np.testing.assert_array_equal(cupy.peek(wide_brain).view(np.uint32), bits.astype(np.uint32) << 16)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(cupy.peek(half), x.astype(np.float16))
    upper = (x.view(np.uint32).astype(np.uint64) + 0x7FFF + (x.view(np.uint32) >> 16 & 1)) >> 16
    np.testing.assert_array_equal(cupy.peek(brain)[1:], upper[1:])


def test_functions_of_numbers() -> None:
    x = np.linspace(0.5, 4, 32, dtype=np.float32)
    y = cupy.zeros((2, 32), np.float32)
    kernel("numbers")((1,), (32,), (cupy.asarray(x), y))
    sums = sum(np.maximum(x, i) - np.minimum(x, 2) for i in range(4))
    np.testing.assert_allclose(cupy.peek(y)[0], sums + x * x + 1 / np.sqrt(x) + x / 3 + x, rtol=1e-6)
    integers = [bin(i).count("1") + 10 * ((i & -i).bit_length()) + 1000 * (32 - i.bit_length()) for i in range(32)]
    np.testing.assert_array_equal(cupy.peek(y)[1], integers)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("atomicAdd(x, 1.0f);", "deleted"),
        ("__shared__ float row[4];", "declared with SHARED alone"),
        ("x[0] = float(__activemask());", "deleted"),
        ("x[0] = __shfl_sync(~0u, float2(), 0).x;", "numbers of at most 8 bytes|no type|float2"),
    ],
)
def test_what_does_not_compile(line: str, said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        toy(f"__global__ void toy(float* x) {{ {line} }}")


def test_arguments_are_compared_with_parameters() -> None:
    launch = kernel("indices")
    y, depth = cupy.zeros(1, np.int32), np.int64(0)
    for arguments, said in [
        ((y,), "2 parameters, not 1"),
        ((y, np.int32(0)), "dtype int64 was given int32"),
        ((y, 0), "dtype int64 was given int"),
        ((y, y), "dtype int64 was given ndarray of int32"),
        ((cupy.zeros(1, np.int64), depth), "integers of 4 bytes was given ndarray of int64"),
        ((cupy.zeros(1, np.float32), depth), "integers of 4 bytes was given ndarray of float32"),
        ((np.zeros(1, np.int32), depth), "pointer was given ndarray of int32"),
        ((None, depth), "pointer was given NoneType"),
    ]:
        with pytest.raises(TypeError, match=said):
            launch((1,), (1,), arguments)
    with pytest.raises(ValueError, match="SHARED"):
        launch((1,), (1,), (y, depth), shared_mem=16)
    launch((1,), (1,), (cupy.zeros(1, np.uint32), depth))


def test_a_null_pointer_and_defined_names() -> None:
    text = "__global__ void toy(const float* x, float* y) { y[0] = x ? 0.0f : float(VALUE); }"
    y = cupy.zeros(1, np.float32)
    toy(text, options=("--std=c++17", "-DVALUE=7"))((1,), (1,), (np.uintp(0), y))
    assert cupy.peek(y)[0] == 7
    with pytest.raises(ValueError, match="without a meaning"):
        toy(text, options=("--use_fast_math",))


@pytest.mark.parametrize(("grid", "block"), [((1,), (1025,)), ((1,), (0,)), ((0,), (1,)), ((1, 70000), (1,))])
def test_a_launch_that_no_device_takes(grid: tuple[int, ...], block: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError, match="no launch: grid"):
        kernel("indices")(grid, block, (cupy.zeros(1, np.int32), np.int64(0)))


def test_an_instance_must_be_listed() -> None:
    text = '#line 1 "listed.cu"\ntemplate <int n> __global__ void toy(int* x) { x[0] = n; }'
    from fastfm_core.backends.cuda.instances import INSTANCES

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(INSTANCES, "listed.cu", ["toy<1>", "toy<2>"])
        x = cupy.zeros(1, np.int32)
        toy(text, "toy<2>")((1,), (1,), (x,))
        assert cupy.peek(x)[0] == 2
        with pytest.raises(ValueError, match=r"toy<3> is not listed in fastfm_core\.backends\.cuda\.instances"):
            toy(text, "toy<3>")
    with pytest.raises(ValueError, match="none of the module's name expressions"):
        kernel("nobody")


def test_processes_that_start_together_compile_once_and_fibers_need_no_assembly(tmp_path: Path) -> None:
    program = "from gpu import toys; print(toys.run('mirror', True).sum())"
    environment = processes.environment("plain") | {"FASTFM_EMULATOR_CACHE": str(tmp_path)}
    environment |= {"CXX": "g++ -DEMULATOR_PORTABLE"}
    started = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    sums = {process.communicate()[0] for process in started}
    assert sums == {f"{float(np.arange(1, 3 * 128 + 1).sum())}\n"}
    assert sorted(path.name.split("-")[0] for path in tmp_path.glob("*.so")) == ["emulator", "kernels"]
