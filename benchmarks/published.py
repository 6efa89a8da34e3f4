"""A published configuration through the command line, and the same in PyTorch by the definitions of its publisher.

    python benchmarks/published.py --data PATH/joined.csv [--published movielenslatest_x1] [--seeds 5] [--json FILE]

DeepFM as BARS publishes it for two data sets (github.com/reczoo/BARS, ranking/ctr/DeepFM, run with FuxiCTR 1.1). Those
data cannot be shipped or fetched here, so the settings are tried on MovieLens-100k (grouplens.org; joined.csv as in
movielens_quality.py, without genres, rating and timestamp), cut 7:2:1 like the published ones, another cut for each
seed. Both sides get the same three files. Ours is `fastfm-core train --valid --test --set ... --metrics-json` in a
process of its own. The other side shares no code with it but the metrics: its weights, its shuffle and its dropout are
its own, and its rules are FuxiCTR's, written after them, see ``train_step`` and ``fit_twin``. So they differ by chance.

Before that both sides take the first steps from the same weights on the same batches, in float64 and with dropout 0:
batch norm, L2 and Adam mean the same if their losses differ by rounding alone, else the script ends with status 1.
"""

from __future__ import annotations

import argparse
import copy
import csv
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from comparison import paired
from fastfm_core import backends, metrics, models, optim, train
from fastfm_core.bench.machine import print_header, print_table, write_json
from fastfm_core.contract import Batch, Entries

COLUMNS = ("user_id", "item_id", "age_bucket", "gender", "occupation", "zip_first", "release_year")
PARTS = ("train", "valid", "test")
Part = tuple[Tensor, Tensor]  # ids [n, F], labels [n]
STEPS, TOLERANCE = 25, 1e-9


class Published(NamedTuple):
    """What the publisher's configuration says, by the publisher's names; what is the same in both stands here once."""

    embedding_regularizer: float
    net_dropout: float
    embedding_dim: int = 10
    hidden_units: tuple[int, ...] = (400, 400, 400)
    learning_rate: float = 1e-3
    batch_size: int = 4096
    patience: int = 2
    epochs: int = 100
    batch_norm: bool = True
    embedding_std: float = 1e-4  # FuxiCTR's default, as are the next two
    max_gradient_norm: float = 10.0
    lr_factor: float = 0.1

    def settings(self) -> list[str]:
        """The same for --set, in the order of docs/settings.md."""
        return [
            f"dim={self.embedding_dim}", f"hidden={','.join(map(str, self.hidden_units))}",
            f"batch_norm={self.batch_norm}", f"dropout={self.net_dropout}",
            f"embedding_l2={self.embedding_regularizer}", "optimizer=adam", f"lr={self.learning_rate}",
            f"batch_size={self.batch_size}", f"patience={self.patience}", "lr_schedule=plateau", "monitor=auc",
            f"epochs={self.epochs}", "min_count=1", f"init_std={self.embedding_std}",
            f"clip_norm={self.max_gradient_norm}", "clip_l2=true", "rows=dense",
        ]  # fmt: skip


PUBLISHED = {"movielenslatest_x1": Published(0.01, 0.3), "frappe_x1": Published(0.05, 0.2)}


class Result(NamedTuple):
    """Of the test part, and which epoch it was taken at."""

    auc: float
    logloss: float
    epoch: int
    clipped: int = 0  # steps whose gradient was longer than max_gradient_norm


def write_parts(path: str, folder: Path, seed: int) -> None:
    """train.csv, valid.csv and test.csv, 7:2:1."""
    with open(path, newline="") as file:
        rows = [[row["label"], *(row[name] for name in COLUMNS)] for row in csv.DictReader(file)]
    order = np.random.default_rng(seed).permutation(len(rows))
    cuts = np.split(order, [len(rows) * 7 // 10, len(rows) * 9 // 10])
    for name, part in zip(PARTS, cuts, strict=True):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([["label", *COLUMNS], *(rows[row] for row in part)])


def fit_ours(folder: Path, settings: Sequence[str], seed: int, threads: int) -> Result:
    """One run of the command line."""
    files = {name: str(folder / f"{name}.csv") for name in PARTS}
    command = [
        sys.executable, "-m", "fastfm_core", "train", files["train"], "--valid", files["valid"], "--test",
        files["test"], "--categorical", ",".join(COLUMNS), "--seed", str(seed), "--threads", str(threads),
        "--out", str(folder / f"model-{seed}"), "--metrics-json", str(folder / "metrics.json"),
        *(word for setting in settings for word in ("--set", setting)),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    measured = json.loads((folder / "metrics.json").read_text())
    return Result(measured["test"]["auc"], measured["test"]["logloss"], measured["best_epoch"])


class DeepFM(nn.Module):
    """Linear, BatchNorm, ReLU, Dropout for each hidden layer; N(0, std) tables, Xavier-normal layers, biases 0."""

    def __init__(self, rows: int, settings: Published) -> None:
        super().__init__()
        self.table, self.first = nn.Embedding(rows, settings.embedding_dim), nn.Embedding(rows, 1)
        self.bias = nn.Parameter(torch.zeros(1))
        widths = [len(COLUMNS) * settings.embedding_dim, *settings.hidden_units]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(settings.net_dropout)]
        self.mlp = nn.Sequential(*layers, nn.Linear(widths[-1], 1))
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=settings.embedding_std)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits [B] of ids [B, F]."""
        e = self.table(ids)
        total = e.sum(1)
        pairs = 0.5 * (total * total - (e * e).sum(1)).sum(1)
        return self.bias + self.first(ids).sum((1, 2)) + pairs + self.mlp(e.flatten(1)).squeeze(1)


def read_parts(folder: Path) -> tuple[int, list[Part]]:
    """Table rows and the three parts; a field's first row is for values that training does not have."""
    tables = []
    for name in PARTS:
        with open(folder / f"{name}.csv", newline="") as file:
            tables.append(list(csv.reader(file))[1:])
    ids, rows = [np.zeros((len(table), len(COLUMNS)), np.int64) for table in tables], 0
    for f in range(len(COLUMNS)):
        number = {value: k for k, value in enumerate(sorted({row[f + 1] for row in tables[0]}), 1)}
        for table, found in zip(tables, ids, strict=True):
            found[:, f] = [rows + number.get(row[f + 1], 0) for row in table]
        rows += len(number) + 1
    labels = [torch.tensor([float(row[0]) for row in table]) for table in tables]
    return rows, list(zip(map(torch.from_numpy, ids), labels, strict=True))


def first_losses(rows: int, train_part: Part, settings: Published) -> float:
    """The largest difference between the first losses of both sides, each before a step on the same 512 rows."""
    ours = models.build(
        "deepfm", rows=rows, fields=len(COLUMNS), dense=0, backend=backends.get(), seed=0, dim=settings.embedding_dim,
        hidden=settings.hidden_units, batch_norm=settings.batch_norm, dropout=0.0, init_std=settings.embedding_std,
    )  # fmt: skip
    twin = DeepFM(rows, settings._replace(net_dropout=0.0)).double()
    copy_weights(ours.state_dict(), twin)
    for tensor in ours.parameters():
        tensor.data = tensor.data.astype(np.float64)
    lr, clip = settings.learning_rate, {"clip_norm": settings.max_gradient_norm, "clip_l2": True}
    optimizer = optim.build("adam", ours, lr=lr, embedding_l2=settings.embedding_regularizer, rows="dense")
    other = torch.optim.Adam(twin.parameters(), lr=lr)
    largest, draw = 0.0, np.random.default_rng(0)
    for step in range(1, STEPS + 1):
        chosen = draw.permutation(len(train_part[1]))[:512]
        ids, labels = train_part[0][chosen], train_part[1][chosen].double()
        with torch.no_grad():
            loss = binary_cross_entropy_with_logits(twin(ids), labels).item()  # training mode: the batch's statistics
        train_step(twin, other, settings, ids, labels, clip_exactly)
        batch = Batch(Entries(ids.numpy().astype(np.int32).reshape(-1), len(COLUMNS)), labels=labels.numpy())
        largest = max(largest, abs(loss - train.train_step(ours, optimizer, batch, step=step, **clip)))
    return largest


def copy_weights(state: dict[str, np.ndarray], twin: DeepFM) -> None:
    """Of fastfm_core's DeepFM, whose norms start as PyTorch's do."""
    linears = [module for module in twin.mlp if isinstance(module, nn.Linear)]
    names = [*(f"mlp.layers.{n}" for n in range(len(linears) - 1)), "mlp.head"]
    table = state["embedding.table"]
    pairs = [(twin.table.weight, table[:, :-1]), (twin.first.weight, table[:, -1:]), (twin.bias, state["bias"])]
    for linear, name in zip(linears, names, strict=True):
        pairs += [(linear.weight, state[f"{name}.weight"].T), (linear.bias, state[f"{name}.bias"])]
    with torch.no_grad():
        for target, array in pairs:
            target.copy_(torch.from_numpy(array.copy()))


def measure(model: DeepFM, part: Part) -> tuple[float, float]:
    """AUC and log-loss, dropout off and the running statistics of batch norm."""
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(ids) for ids in part[0].split(4096)]).numpy()
    measured = metrics.binary(part[1].numpy(), metrics.sigmoid(logits.astype(np.float64)))
    return measured["auc"], measured["logloss"]


def train_step(
    model: DeepFM, optimizer: torch.optim.Adam, settings: Published, ids: Tensor, labels: Tensor,
    clip: Callable[[Iterable[Tensor], float], Tensor] = nn.utils.clip_grad_norm_,
) -> bool:  # fmt: skip
    """Mean loss + (lambda / 2) |tables|^2, of every row in every batch; whether the gradient was clipped."""
    optimizer.zero_grad()
    loss = binary_cross_entropy_with_logits(model(ids), labels)
    for table in (model.table.weight, model.first.weight):
        loss = loss + settings.embedding_regularizer / 2 * table.norm() ** 2
    loss.backward()
    norm = clip(model.parameters(), settings.max_gradient_norm)
    optimizer.step()
    return bool(norm > settings.max_gradient_norm)


def clip_exactly(parameters: Iterable[Tensor], most: float) -> Tensor:
    """clip_grad_norm_ divides by the norm + 1e-6; this by the norm."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    for gradient in gradients:
        gradient *= min(1.0, most / norm.item())
    return norm


def fit_twin(folder: Path, settings: Published, seed: int, threads: int) -> Result:
    """Validated after every epoch: where AUC is not the best by 1e-6, the rate falls to a tenth, but not below 1e-6;
    after ``patience`` such epochs in a row training ends. The best epoch's weights are tested."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    rows, (training, valid, test) = read_parts(folder)
    model = DeepFM(rows, settings)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    best, best_epoch, misses, clipped, weights = -1.0, 0, 0, 0, model.state_dict()
    for epoch in range(1, settings.epochs + 1):
        model.train()
        for batch in torch.randperm(len(training[1])).split(settings.batch_size):
            clipped += train_step(model, optimizer, settings, training[0][batch], training[1][batch])
        area = measure(model, valid)[0]
        if area >= best + 1e-6:
            best, best_epoch, misses, weights = area, epoch, 0, copy.deepcopy(model.state_dict())
            continue
        misses += 1
        for group in optimizer.param_groups:
            group["lr"] = max(group["lr"] * settings.lr_factor, 1e-6)
        if misses >= settings.patience:
            break
    model.load_state_dict(weights)
    return Result(*measure(model, test), best_epoch, clipped)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="PATH", help="joined.csv")
    parser.add_argument("--published", choices=PUBLISHED, default="movielenslatest_x1", help="whose settings")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0..N-1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    settings = PUBLISHED[options.published]
    print_header(f"{options.published}'s settings on MovieLens-100k: {' '.join(settings.settings())}")
    runs: list[tuple[Result, Result]] = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as name:
            write_parts(options.data, Path(name), seed)
            if seed == 0:
                check_first_losses(Path(name), settings)
            runs.append((
                fit_ours(Path(name), settings.settings(), seed, options.threads),
                fit_twin(Path(name), settings, seed, options.threads),
            ))  # fmt: skip
        print(f"  seed {seed}: ours {runs[-1][0]}, PyTorch {runs[-1][1]}", flush=True)
    print_comparison(runs)
    write_json(
        options.json, {"settings": settings._asdict(), "runs": [[side._asdict() for side in run] for run in runs]}
    )


def check_first_losses(folder: Path, settings: Published) -> None:
    """Prints how far they are apart; ends the script where that is not rounding."""
    rows, (training, *_) = read_parts(folder)
    gap = first_losses(rows, training, settings)
    print(f"the first {STEPS} losses from the same weights, float64, dropout 0: {gap:.1e} apart", flush=True)
    if not gap <= TOLERANCE:
        sys.exit(f"that is more than {TOLERANCE}: a setting means something else")


def print_comparison(runs: Sequence[tuple[Result, Result]]) -> None:
    """Mean and standard deviation over seeds of both sides, and the mean paired difference with its 95 % interval."""
    rows = []
    for name in ("auc", "logloss"):
        ours, twin = (np.array([getattr(run[side], name) for run in runs]) for side in (0, 1))
        mean, half = paired((ours - twin).tolist()) if len(runs) > 1 else (float((ours - twin)[0]), float("nan"))
        spread = [f"{side.mean():.4f} ± {side.std(ddof=min(1, len(runs) - 1)):.4f}" for side in (ours, twin)]
        rows.append([name, *spread, f"{mean:+.4f} ± {half:.4f}"])
    print_table(["test", "ours", "PyTorch", "difference, 95 % interval"], rows)


if __name__ == "__main__":
    main()
