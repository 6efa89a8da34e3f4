"""The compile gate: every instance the backend may launch compiles for every generation of devices, and compiles well.

Compiled by NVRTC with the options of cupy.RawModule, no device being there. No instance has a stack frame, and so
neither spills nor arrays in local memory; on Hopper tuned instances read four floats at once, and those that write four
back do that at once, too. Where CI is set the compiler must be there; elsewhere the test is skipped without it:
``pip install 'fastfm-core[gate]'``, which ``[test]`` contains on Linux.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from devices import import_with_cupy

device = import_with_cupy("fastfm_core.backends.cuda.device")
INSTANCES = import_with_cupy("fastfm_core.backends.cuda.instances").INSTANCES

ARCHITECTURES = (75, 80, 90, 0)  # Turing, Ampere, Hopper, and the newest that the compiler knows
HOPPER = "sm_90"
COMPILER = Path(__file__).with_name("nvrtc.py")
TUNED = re.compile(r"<float, (?:.*, )?4[,>]")  # computed in float32, four columns at once
NO_STORES = re.compile(r"(fm|pair)_interaction<|pair_(inner|weight_sums)<|_(sums|pieces)<")  # of four numbers
RESOURCES = re.compile(r"Function (\S+):\s+REG:\d+ STACK:(\d+) .*?LOCAL:(\d+)")


def _tool(name: str) -> Path | None:
    """A program of the CUDA toolkit: from its package, else from the path."""
    package = importlib.util.find_spec("nvidia")
    for folder in package.submodule_search_locations or [] if package else []:
        for path in Path(folder).glob(f"cu*/bin/{name}"):
            return path
    found = shutil.which(name)
    return Path(found) if found else None


def _missing() -> list[str]:
    cupy = [] if importlib.util.find_spec("cupy_backends") else ["cupy"]  # the stand-in has no backends
    return cupy + [name for name in ("cuobjdump", "nvdisasm") if _tool(name) is None]


def _compiled(file: str, folder: Path) -> dict[str, str]:
    """The symbol of each instance; the cubins are in the folder then."""
    job = {
        "file": file, "text": device.source(file), "options": device.OPTIONS, "instances": INSTANCES[file],
        "architectures": ARCHITECTURES, "folder": str(folder),
    }  # fmt: skip
    done = subprocess.run([sys.executable, COMPILER], input=json.dumps(job), capture_output=True, text=True)
    assert done.returncode == 0, f"{file} does not compile:\n{done.stderr}"
    return json.loads(done.stdout)


def _dump(what: str, cubin: Path) -> str:
    cuobjdump, nvdisasm = _tool("cuobjdump"), _tool("nvdisasm")
    assert cuobjdump and nvdisasm
    environment = {**os.environ, "PATH": f"{nvdisasm.parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run([cuobjdump, what, cubin], env=environment, check=True, capture_output=True, text=True).stdout


def _local_memory(cubin: Path, symbols: dict[str, str]) -> list[str]:
    """The instances that use any."""
    found = {symbol: (stack, local) for symbol, stack, local in RESOURCES.findall(_dump("-res-usage", cubin))}
    return [f"{name} on {cubin.stem}" for name, symbol in symbols.items() if found[symbol] != ("0", "0")]


def _narrow(cubin: Path, symbols: dict[str, str]) -> list[str]:
    """The tuned instances that do not move four floats at once."""
    _, *texts = re.split(r"^\s*Function : ", _dump("-sass", cubin), flags=re.MULTILINE)
    codes = {text.split(maxsplit=1)[0]: text for text in texts}
    found = []
    for name, symbol in symbols.items():
        accesses = ("LDG",) if NO_STORES.search(name) else ("LDG", "STG")
        if TUNED.search(name):
            found += [f"{what} of {name}" for what in accesses if not re.search(rf"\b{what}\.\S*128", codes[symbol])]
    return found


def _complaints(file: str, folder: Path) -> list[str]:
    symbols = _compiled(file, folder)
    cubins = sorted(folder.glob(f"{file}-*.cubin"))
    assert len(cubins) == len(ARCHITECTURES) and symbols.keys() == set(INSTANCES[file])
    complaints = [f"local memory: {name}" for cubin in cubins for name in _local_memory(cubin, symbols)]
    hopper = folder / f"{file}-{HOPPER}.cubin"
    return complaints + [f"narrow: {name}" for name in _narrow(hopper, symbols)]


def test_every_instance_compiles_well(tmp_path: Path) -> None:
    """All files side by side, the largest first."""
    if missing := _missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"the compile gate needs {', '.join(missing)}")
    files = sorted(INSTANCES, key=lambda file: -len(INSTANCES[file]))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = [c for found in pool.map(lambda file: _complaints(file, tmp_path), files) for c in found]
    assert not complaints, "\n".join(complaints)


def test_every_source_has_instances() -> None:
    assert {path.name for path in device.sources().glob("*.cu")} == set(INSTANCES)
