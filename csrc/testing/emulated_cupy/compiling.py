"""Kernels compiled by g++ into shared libraries, kept on disk under a hash of all that they come from.

The libraries are kept in FASTFM_EMULATOR_CACHE, else below the user's cache folder. CXX names another compiler, and
options of all its runs.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fastfm_core.folders import user_cache

SOURCES = Path(__file__).resolve().parents[1]
RUNTIME = [SOURCES / "emulator.cpp", SOURCES / "emulator" / "meetings.cpp"]
SANITIZED = {
    "plain": [],
    "address": ["-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
    "thread": ["-g1", "-fsanitize=thread"],
}
SYMBOLS = {"address": "__asan_init", "thread": "__tsan_init"}
FLAGS = ["-std=c++17", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"]
DARWIN = sys.platform == "darwin"
# Symbols of the emulator are found in the process; a function that is not inline is in every unit of its text.
LINKING = ["-shared", "-Wl,-undefined,dynamic_lookup"] if DARWIN else ["-shared", "-Wl,-z,muldefs"]
INSTANCES_PER_UNIT = 6  # of translation units compiled at the same time


@functools.cache
def library(code: str, options: tuple[str, ...], names: tuple[str, ...], mode: str) -> ctypes.PyDLL:
    """The kernels ``names`` of a text: number n is launched by ``launch_n`` and described by ``signature_n``."""
    runtime(mode)
    flags = [*FLAGS, "-O1", *SANITIZED[mode], *_preprocessor(options)]
    emulator = [f"-I{SOURCES / 'include'}", "-include", str(SOURCES / "emulator.hpp")]
    exports = [f"EMULATOR_EXPORT({number}, {name})\n" for number, name in enumerate(names)]
    parts = 1 if DARWIN else min(os.cpu_count() or 1, -(-len(names) // INSTANCES_PER_UNIT))
    texts = [f"{code}\n{''.join(exports[part::parts])}" for part in range(parts)]

    def build(folder: Path) -> list[list[str]]:
        commands = []
        for part, text in enumerate(texts):
            (folder / f"{part}.cpp").write_text(text)
            commands.append([*flags, *emulator, "-c", str(folder / f"{part}.cpp"), "-o", str(folder / f"{part}.o")])
        return commands

    return ctypes.PyDLL(str(_kept("kernels", [*flags, *texts], SANITIZED[mode], build)))


@functools.cache
def runtime(mode: str) -> ctypes.PyDLL:
    """The emulator itself, whose symbols the kernels use; RuntimeError without the sanitizer that the mode needs."""
    if mode in SYMBOLS and not hasattr(ctypes.CDLL(None), SYMBOLS[mode]):
        raise RuntimeError(f"FASTFM_EMULATOR={mode} needs its sanitizer loaded first: see {__name__}.environment")
    flags = ["-std=c++17", "-fPIC", "-O2", f"-DEMULATOR_{mode.upper()}"]

    def build(folder: Path) -> list[list[str]]:
        return [[*flags, "-c", str(path), "-o", str(folder / f"{path.stem}.o")] for path in RUNTIME]

    return ctypes.PyDLL(str(_kept("emulator", flags, [], build)), mode=ctypes.RTLD_GLOBAL)


def environment(mode: str) -> dict[str, str]:
    """This process's environment, for a new one in which kernels run in ``mode``."""
    variables = {**os.environ, "FASTFM_EMULATOR": mode}
    if mode in SYMBOLS:
        name = {"address": "libasan.so", "thread": "libtsan.so"}[mode]
        variables["LD_PRELOAD"] = _output("-print-file-name=" + name)
        variables["ASAN_OPTIONS"] = "detect_leaks=0"
        variables["TSAN_OPTIONS"] = "exitcode=66:suppress_equal_addresses=0"
    return variables


def _kept(name: str, parts: Sequence[str], linking: Sequence[str], build: Callable[[Path], list[list[str]]]) -> Path:
    """A library on disk, compiled first where it is missing; of processes that want it at once, by one."""
    digest = hashlib.sha256("\0".join([_sources(), _compiler(), *parts]).encode()).hexdigest()[:24]
    folder = Path(os.environ.get("FASTFM_EMULATOR_CACHE") or user_cache() / "emulator")
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{name}-{digest}.so"
    if kept.exists():
        return kept
    with _locked(kept.with_suffix(".lock")), tempfile.TemporaryDirectory(dir=folder) as temporary:
        if not kept.exists():
            made = Path(temporary) / "made.so"
            _run(build(Path(temporary)))
            objects = sorted(map(str, Path(temporary).glob("*.o")))
            _run([[*LINKING, *linking, *objects, "-o", str(made)]])
            made.rename(kept)
    return kept


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(commands: list[list[str]]) -> None:
    """Runs the compiler several times at once; RuntimeError with what it says."""
    clean = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    running = [
        subprocess.Popen([*_cxx(), *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean)
        for command in commands
    ]
    outputs = [process.communicate()[0] for process in running]
    for process, output in zip(running, outputs, strict=True):
        if process.returncode:
            raise RuntimeError(f"the kernels do not compile for the CPU:\n{output}")


def _preprocessor(options: Sequence[str]) -> list[str]:
    unknown = [option for option in options if option != "--std=c++17" and not option.startswith("-D")]
    if unknown:
        raise ValueError(f"options without a meaning on the CPU: {unknown}")
    return [option for option in options if option.startswith("-D")]


def _cxx() -> list[str]:
    return shlex.split(os.environ.get("CXX", "g++"))


@functools.cache
def _compiler() -> str:
    return f"{_cxx()}\0{_output('--version')}"


@functools.cache
def _sources() -> str:
    paths = sorted(path for path in SOURCES.rglob("*") if path.suffix in (".hpp", ".cpp", ".h"))
    return "\0".join(path.read_text() for path in paths)


def _output(option: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return subprocess.run([*_cxx(), option], check=True, capture_output=True, text=True, env=clean).stdout.strip()
