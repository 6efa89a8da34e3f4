"""The command line and the estimators with the backend cuda: trained on a device, served on the CPU."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fastfm_core import backends, cli

ROWS = [f"{n % 3},{n % 5}|{n % 7},{n % 7 / 7},{int(n % 3 == n % 2)}" for n in range(120)]
SETTINGS = ["--set", "epochs=2", "--set", "hidden=4", "--set", "batch_size=32", "--set", "min_count=1"]


@pytest.fixture
def data(tmp_path: Path) -> str:
    (tmp_path / "data.csv").write_text("\n".join(["a,b,c,label", *ROWS]))
    return str(tmp_path / "data.csv")


def test_a_model_that_was_trained_on_a_device_serves_on_the_cpu(data: str, tmp_path: Path) -> None:
    folder, predictions = str(tmp_path / "model"), []
    command = ["train", data, "--backend", "cuda", "--multihot", "b:|", "--out", folder, *SETTINGS]
    assert cli.main(command) == 0
    assert json.loads((tmp_path / "model" / "metrics.json").read_text())["backend"] == "cuda"
    for backend in ("cuda", "auto", "reference"):
        written, out = tmp_path / f"{backend}.json", tmp_path / f"{backend}.csv"
        assert cli.main(["evaluate", folder, data, "--backend", backend, "--metrics-json", str(written)]) == 0
        assert cli.main(["predict", folder, data, "--backend", backend, "--out", str(out)]) == 0
        metrics = json.loads(written.read_text())
        assert metrics["backend"] == (backends.get("auto").name if backend == "auto" else backend)
        predictions.append(np.loadtxt(out, skiprows=1))
    for prediction in predictions[1:]:
        np.testing.assert_allclose(prediction, predictions[0], rtol=1e-4)


def test_an_estimator_trains_on_a_device_and_is_loaded_on_the_cpu(tmp_path: Path) -> None:
    estimators = pytest.importorskip("fastfm_core.estimators")
    table = np.array([[n % 3, n % 5, n % 7 / 7] for n in range(120)])
    labels = (np.arange(120) % 3 == np.arange(120) % 2).astype(int)
    made = estimators.DeepFMClassifier(hidden=(4,), epochs=2, backend="cuda", random_state=0).fit(table, labels)
    made.save(tmp_path / "model")
    loaded = estimators.DeepFMClassifier.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.predict_proba(table), made.predict_proba(table), rtol=1e-4)


def test_auto_is_the_cpus_also_where_there_is_a_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert backends.why_unavailable("cuda") is None
    assert backends.get("auto").name in ("native", "numba")
    assert cli.main(["info"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("backend cuda"))
    assert re.search(r"available; .+, driver for CUDA \d+\.\d, CuPy \d+\.", line)


@pytest.mark.parametrize("command", ["train", "evaluate model", "predict model", "inspect model"])
def test_without_a_device_each_command_says_so_in_one_line(
    command: str, data: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = "CuPy is not installed: pip install 'fastfm-core[cuda]'"
    monkeypatch.setattr("fastfm_core.backends.driver.why_absent", lambda: mend)
    assert cli.main([*command.split(), data, "--backend", "cuda"]) == 2
    shown = capsys.readouterr()
    assert shown.err == f"fastfm-core: backend 'cuda' cannot run: {mend}\n" and shown.out == ""
