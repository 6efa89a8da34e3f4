"""What the native module is built from decides whether it is stale, nothing else below csrc."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastfm_core import build

FILES = ["include/fastfm/deep/pool.hpp", "include/fastfm.h", "isa/avx2.cpp", "bindings/module.cpp"]


@pytest.mark.parametrize("file", FILES)
def test_the_hash_covers_what_the_module_is_built_from(tmp_path: Path, file: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    seen = {build.source_hash(tmp_path)}
    for text in ("int a;", "int b;"):
        path.write_text(text)
        seen.add(build.source_hash(tmp_path))
    assert len(seen) == 3


@pytest.mark.parametrize("file", ["tests/check.hpp", "testing/emulator.cpp", "cuda/common.cuh"])
def test_the_hash_leaves_out_the_rest(tmp_path: Path, file: str) -> None:
    before = build.source_hash(tmp_path)
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text("int a;")
    assert build.source_hash(tmp_path) == before
