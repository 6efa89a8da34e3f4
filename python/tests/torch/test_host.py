"""PyTorch as a host: its threads, its workers, its absence, and that the kernels see its memory."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import curve
import deepfm_torch
import fastfm_torch as ft
from fastfm_torch import arrays

LINE = "fastfm_torch needs torch >= 2.4: pip install 'fastfm-core[torch]'"


@pytest.mark.parametrize("stand_in", ["None", "types.SimpleNamespace(__version__='2.3.1+cpu')"])
def test_without_torch_or_with_an_old_one_there_is_one_clear_line(stand_in: str) -> None:
    code = f"import sys, types; sys.modules['torch'] = {stand_in}; import fastfm_torch"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and last.startswith(f"ImportError: {LINE}")
    assert "During handling" not in done.stderr and "direct cause" not in done.stderr


def test_nothing_is_copied() -> None:
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        table = torch.nn.Parameter(torch.zeros(6, 4, dtype=dtype))
        array = arrays.table_of(table)
        assert array.ctypes.data == table.data_ptr() and array.dtype.name == str(dtype).removeprefix("torch.")
        assert arrays.table_of(table[::2]).ctypes.data == table.data_ptr()
    assert arrays.tensor_of(array := arrays.array_of(torch.ones(3))).data_ptr() == array.ctypes.data
    ids = torch.arange(6)
    entries, _ = arrays.entries_of(ids, None, None, 2, "sum")
    assert entries.ids.ctypes.data == ids.data_ptr()


def run(seed: int, steps: int = 8) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    model = ft.EmbeddingFM(500, 8)
    model.weight.data.normal_(generator=draw)
    optimizer = ft.optim.Adam(model.parameters(), 0.1, in_backward=seed % 2 == 0)
    for _ in range(steps):
        ids = torch.randint(0, 500, (64, 5), generator=draw)
        optimizer.zero_grad()
        out = model(ids)
        (out.first + out.pair + out.deep.pow(2).mean(1)).sigmoid().sum().backward()
        optimizer.step()
    return model.state_dict()["weight"].clone()


def test_eight_threads_at_once() -> None:
    expected, found = [run(seed) for seed in range(8)], {}
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            found[seed] = run(seed)
        except BaseException as error:
            errors.append(error)

    for _ in range(3):
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors and not any(thread.is_alive() for thread in threads)
        assert all(torch.equal(found[seed], expected[seed]) for seed in range(8))


def test_eight_threads_read_one_model() -> None:
    model, ids = ft.DeepFM([50] * 4, 8, (8,)).eval(), torch.randint(0, 50, (256, 4))
    expected, wrong = model(ids).detach(), []

    def work() -> None:
        with torch.no_grad():
            wrong.extend(1 for _ in range(20) if not torch.allclose(model(ids), expected))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)


class Vectors(Dataset):
    """Samples that a worker makes with the kernels."""

    def __init__(self) -> None:
        self.table = torch.randn(1000, 16)
        self.ids = torch.randint(0, 1000, (12, 512, 8))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.ids[index], ft.embedding_fm(self.table, None, self.ids[index]).pair


def test_forked_workers_call_kernels_while_the_parent_trains() -> None:
    data, model = Vectors(), ft.EmbeddingFM(1000, 16)
    optimizer = ft.optim.Adagrad(model.parameters(), 0.1, in_backward=True)
    model(data.ids[0]).pair.sum().backward()  # the parent's pool of threads is up before the fork
    optimizer.step()
    seen = 0
    loader = DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=60)
    for _ in range(2):
        for ids, pair in loader:
            optimizer.zero_grad()
            (model(ids).pair - pair).pow(2).mean().backward()
            optimizer.step()
            torch.testing.assert_close(pair, ft.embedding_fm(data.table, None, ids).pair, rtol=0, atol=0)
            seen += 1
    assert seen == 24 and bool(model.weight.isfinite().all())


def test_the_example_reaches_the_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert curve.main([str(tmp_path), "--steps", "40"]) == 0
    for options in ([], ["--step"], ["--compile"]):
        assert deepfm_torch.main([str(tmp_path), *options]) == 0
        assert "furthest from the library's" in capsys.readouterr().out
