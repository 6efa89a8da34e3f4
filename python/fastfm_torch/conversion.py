"""``convert``: the nn.Embedding and nn.EmbeddingBag of a model that exists become this package's, with one call.

    print(fastfm_torch.convert(model))                    # swapped 2 of 2 embeddings ...
    optimizer = fastfm_torch.optim.Adam(model.parameters())

The modules stay the objects they are and keep their Parameter, hooks, flags and names; only their class changes, as
torch's own parametrizations and lazy modules do it. So state_dict's keys are those of before, a module that stands in
two places is swapped in both, and whoever holds the module or its weight goes on holding it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from fastfm_core.errors import InputError
from fastfm_torch import arrays
from fastfm_torch.modules import Embedding, EmbeddingBag

_OURS: dict[type[nn.Module], type[nn.Module]] = {nn.Embedding: Embedding, nn.EmbeddingBag: EmbeddingBag}


@dataclass(frozen=True)
class Swap:
    """A module that was swapped, or would be. mode: how bags are pooled, "" for a plain lookup."""

    path: str
    rows: int
    dim: int
    mode: str

    def __str__(self) -> str:
        return f"{self.path}  {self.rows:,} x {self.dim}" + (f"  {self.mode}" if self.mode else "")


@dataclass(frozen=True)
class Conversion:
    """What ``convert`` did; prints as a list.

    swapped  the modules that are, or in a dry run would be, this package's
    left     (path, why) of embeddings that were passed over
    refused  (path, why) of those that cannot be honoured; only a dry run returns any
    """

    swapped: tuple[Swap, ...]
    left: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]
    dry_run: bool = False

    def __str__(self) -> str:
        count = len(self.swapped) + len(self.left) + len(self.refused)
        done = "would swap" if self.dry_run else "swapped"
        lines = [f"{done} {len(self.swapped)} of {count} embeddings", *(f"  {swap}" for swap in self.swapped)]
        for title, found in (("left as they are", self.left), ("would refuse", self.refused)):
            lines += [f"{title}: {len(found)}", *(f"  {path}: {why}" for path, why in found)] if found else []
        return "\n".join(lines)


def convert(module: nn.Module, *, sparse: bool | None = True, min_rows: int = 0, dry_run: bool = False) -> Conversion:
    """Swaps every nn.Embedding and nn.EmbeddingBag within a module, itself included, for this package's, in place.

    sparse    what the swapped modules' ``sparse`` is set to; None: each keeps its own. With True gradients are sparse,
              so make the optimizer of the tables one of this package's, afterwards
    min_rows  tables with fewer rows are left as they are: a call costs more than such a table's dense gradient
    dry_run   change nothing, return what would be done

    padding_idx, mode, include_last_offset, dtype and device are kept. Passed over and named in the report: subclasses
    that are more than their ``__init__``, and weights that are made from other parameters. Refused, and then nothing is
    changed at all: max_norm, scale_grad_by_freq, a weight that another module has too, trained tables of halves, and a
    model that is wrapped for several devices already. InputError names the module.
    """
    swaps: dict[str, Any] = {}
    left: list[tuple[str, str]] = []
    refused: list[tuple[str, str]] = []
    homes = _homes(module)
    for path, found in _embeddings(module):
        if why := _passed_over(found, min_rows):
            left.append((path, why))
        elif why := _refused(found, homes):
            refused.append((path, why))
        else:
            swaps[path] = found
    if not dry_run:
        _refuse(module, refused)
        for found in swaps.values():
            found.__class__ = _OURS[_kind(found)]
            found.sparse = found.sparse if sparse is None else sparse
    swapped = tuple(_described(path, found) for path, found in swaps.items())
    return Conversion(swapped, tuple(left), tuple(refused), dry_run)


def _described(path: str, module: Any) -> Swap:
    rows, dim = module.weight.shape
    return Swap(path, rows, dim, getattr(module, "mode", ""))


def _embeddings(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Path and module of each embedding, those of this package included; "(itself)" is the module given."""
    for path, found in module.named_modules():
        if isinstance(found, (nn.Embedding, nn.EmbeddingBag)):
            yield path or "(itself)", found


def _kind(module: nn.Module) -> type[nn.Module]:
    return nn.EmbeddingBag if isinstance(module, nn.EmbeddingBag) else nn.Embedding


def _homes(module: nn.Module) -> dict[int, list[str]]:
    """Where each Parameter is registered, by its identity."""
    homes = defaultdict(list)
    for path, found in module.named_modules():
        for name, parameter in found._parameters.items():
            homes[id(parameter)].append(f"{path}.{name}" if path else name)
    return homes


def _passed_over(module: Any, min_rows: int) -> str | None:
    """Why an embedding is left as it is."""
    kind = type(module)
    if isinstance(module, tuple(_OURS.values())):
        return "it is fastfm_torch's already"
    if module._parameters.get("weight") is None:
        return "its weight is made from other parameters"
    if kind not in _OURS and (own := _own_names(kind)):
        return f"{kind.__name__} has {', '.join(own)} of its own"
    if len(module.weight) < min_rows:
        return f"it has {len(module.weight)} rows, fewer than min_rows={min_rows}"
    return None


def _own_names(kind: type[nn.Module]) -> list[str]:
    """What a subclass of the embeddings defines besides ``__init__``."""
    subclasses = kind.__mro__[: next(place for place, base in enumerate(kind.__mro__) if base in _OURS)]
    names = {name for each in subclasses for name, value in vars(each).items() if name[:2] != "__" or callable(value)}
    return sorted(names - {"__init__", "__annotate__", "__annotate_func__"})


def _refused(module: Any, homes: dict[int, list[str]]) -> str | None:
    """Why an embedding cannot be swapped."""
    weight = module.weight
    if module.max_norm is not None:
        return f"max_norm={module.max_norm} changes rows in forward, which is not offered"
    if module.scale_grad_by_freq:
        return "scale_grad_by_freq=True is not offered"
    if len(where := homes[id(weight)]) > 1:
        return f"its weight is tied, it stands in {' and '.join(where)}"
    if weight.dtype in arrays.HALVES and weight.requires_grad:
        return f"it trains a table of {weight.dtype}; keep it in float32, and autocast what comes after"
    if weight.dtype not in (*arrays.FLOATS, *arrays.HALVES):
        return f"its weight is {weight.dtype}; there are float32, float64, and for reading float16 and bfloat16"
    if weight.layout != torch.strided or not weight.is_contiguous():
        return "its weight is not contiguous"
    return None


def _refuse(module: nn.Module, refused: list[tuple[str, str]]) -> None:
    for path, found in module.named_modules():
        if isinstance(found, (DistributedDataParallel, DataParallel)):
            where = f"{path} is" if path else "the model is"
            raise InputError(f"{where} wrapped in {type(found).__name__} already; convert first, then wrap")
    if refused:
        path, why = refused[0]
        others = f" (and {len(refused) - 1} more: see dry_run=True)" if len(refused) > 1 else ""
        raise InputError(f"{path}: {why}; nothing was changed{others}")
