"""Several processes: ``DistributedDataParallel`` for the dense parameters, an exchange of row gradients for the tables.

    model = fastfm_torch.ddp(model, optimizer)      # on every rank, after init_process_group

DDP would average a table's gradient in full, V rows at every step. Here each rank sends the rows that its batch has
touched, [U] row numbers and [U, D] sums; every rank adds those of all ranks, rank by rank and in the order of the rows,
and divides by the number of ranks as DDP does. All ranks add the same numbers in the same order, so replicas that start
equal stay equal to the last bit. Two collectives a step: the counts, and one block of bytes padded to the longest.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.optimizer import Optimizer

from fastfm_core.contract import RowSource
from fastfm_core.errors import InputError
from fastfm_torch import arrays, follow, gradients
from fastfm_torch.modules import Embedding, EmbeddingBag, EmbeddingFM

_ALIGNMENT = 8  # bytes at which each part of a block starts
_NOTHING = -1  # the count of a table without a gradient


def ddp(model: nn.Module, *optimizers: Optimizer, process_group: Any = None, **options: Any) -> DistributedDataParallel:
    """The model as DistributedDataParallel, its row-wise tables kept out of it and exchanged by ``step()`` instead.

    optimizers     in step form; together they have every trained table of a module with ``sparse=True``
    process_group  of the ranks; None: all
    options        DistributedDataParallel's own

    The tables of rank 0 are sent to all. Optimizer states are not: make the optimizers alike on every rank, or load
    the same state. InputError for what would leave replicas unequal.
    """
    if not dist.is_initialized():
        raise InputError("call torch.distributed.init_process_group before fastfm_torch.ddp")
    if any(isinstance(module, DistributedDataParallel) for module in model.modules()):
        raise InputError("the model is in DistributedDataParallel already; give fastfm_torch.ddp the model itself")
    tables = _tables(model)
    _refuse_other_optimizers(tables, optimizers)
    _refuse_other_models(tables, process_group)
    source = 0 if process_group is None else dist.get_global_rank(process_group, 0)
    for table in tables.values():
        dist.broadcast(table.detach(), source, process_group)
    ignored = {*getattr(model, "_ddp_params_and_buffers_to_ignore", ()), *tables}
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, sorted(ignored))
    wrapped = DistributedDataParallel(model, process_group=process_group, **options)
    trained = {name: table for name, table in tables.items() if table.requires_grad}
    for optimizer in optimizers:
        own = _parameters(optimizer)
        _RowExchange([table for table in trained.values() if id(table) in own], process_group).attach(optimizer)
    return wrapped


def exchange(optimizer: Optimizer) -> None:
    """Makes the row gradients those of all ranks now, for what reads them before ``step()``: clipping, GradScaler.

    Every rank calls it, after backward. ``step()`` does not repeat it.
    """
    attached = getattr(optimizer, "_fastfm_exchange", None)
    if attached is None:
        raise InputError("this optimizer exchanges no rows; give it to fastfm_torch.ddp first")
    attached.run()


class _RowExchange:
    """The exchange of one optimizer's tables."""

    def __init__(self, tables: list[Tensor], group: Any) -> None:
        self.tables, self.group, self.done = tables, group, False

    def attach(self, optimizer: Any) -> None:
        optimizer._fastfm_exchange = self
        optimizer.register_step_pre_hook(self._before_step)

    def run(self) -> None:
        grads = exchanged([table.grad for table in self.tables], self.tables, self.group)
        for table, grad in zip(self.tables, grads, strict=True):
            table.grad = grad
            if grad is not None and (follower := follow.of(table)):
                follower.bring(grad.indices()[0], False, None)  # rows that another rank's lookups have read
        self.done = True

    def _before_step(self, _optimizer: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        if any(callable(each) for each in (*positional[1:], *named.values())):
            raise InputError("step(closure) makes gradients that no rank exchanges; call backward(), then step()")
        if not self.done:
            self.run()
        self.done = False


class _Rows(NamedTuple):
    """A table's gradient on one rank: row numbers [N] int64 and their values [N, D], or [N] of a first order."""

    rows: Tensor
    values: Tensor


def exchanged(grads: list[Tensor | None], tables: list[Tensor], group: Any = None) -> list[Tensor | None]:
    """The mean over all ranks of each table's gradient, a coalesced COO tensor; None where no rank has one.

    A dense gradient is sent as the rows of it that are not 0.
    """
    if not tables:
        return []
    own = [None if grad is None else _rows_of(grad) for grad in grads]
    counts = torch.tensor([_NOTHING if part is None else len(part.rows) for part in own], device=tables[0].device)
    shared = [torch.empty_like(counts) for _ in range(dist.get_world_size(group))]
    dist.all_gather(shared, counts, group)
    counts_of = torch.stack(shared).tolist()
    layouts = [_layout(tables, counts) for counts in counts_of]
    block = _packed([each for part in own for each in part or ()], max(map(_length, layouts)), counts.device)
    blocks = [torch.empty_like(block) for _ in layouts]
    if len(block):
        dist.all_gather(blocks, block, group)
    ranks = [_unpacked(block, layout) for block, layout in zip(blocks, layouts, strict=True)]
    found = [max(counts[place] for counts in counts_of) != _NOTHING for place in range(len(tables))]
    return [
        _mean([_Rows(*parts[2 * place : 2 * place + 2]) for parts in ranks], table) if found[place] else None
        for place, table in enumerate(tables)
    ]


def _rows_of(grad: Tensor) -> _Rows:
    grad = grad.detach()
    grad = grad if grad.is_sparse else grad.to_sparse(1)
    return _Rows(grad._indices()[0], grad._values())


def _mean(parts: list[_Rows], table: Tensor) -> Tensor:
    """The sum over ranks divided by their number: every row's values are added rank by rank, in the order sent."""
    rows, values = torch.cat([part.rows for part in parts]), torch.cat([part.values for part in parts])
    values = values.to(arrays.computed(table.dtype)).view(len(rows), 1, -1)
    shares = values.new_full((len(rows),), 1 / len(parts))
    with arrays.queued(table):
        kernels = arrays.kernels_for(table)
        plan = kernels.plan_rows(arrays.array_of(rows), len(table))
        source = RowSource(1, coefficients=arrays.array_of(shares), slot_grad=arrays.array_of(values))
        stand_in = values.new_zeros((1, values.shape[2])).expand(len(table), -1)  # nobody reads it
        summed = arrays.tensor_of(kernels.materialize_rows(arrays.array_of(stand_in), plan, source))
        touched = arrays.tensor_of(plan.rows.astype("int64", copy=False))
    summed = summed.to(table.dtype).view(-1, *table.shape[1:])
    return gradients.coo(touched, summed, table.shape)


# ---- a rank's rows as one block of bytes ---------------------------------------------------------------------------

_Layout = list[tuple[torch.dtype, tuple[int, ...]]]


def _layout(tables: list[Tensor], counts: list[int]) -> _Layout:
    """Dtype and shape of each part of a block: row numbers and values of one table after another."""
    sizes = [(table, max(count, 0)) for table, count in zip(tables, counts, strict=True)]
    return [
        part for table, count in sizes for part in ((torch.int64, (count,)), (table.dtype, (count, *table.shape[1:])))
    ]


def _bytes_of(dtype: torch.dtype, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * dtype.itemsize


def _spaced(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _length(layout: _Layout) -> int:
    return sum(_spaced(_bytes_of(*part)) for part in layout)


def _packed(parts: list[Tensor], length: int, device: torch.device) -> Tensor:
    block, start = torch.zeros(length, dtype=torch.uint8, device=device), 0
    for part in parts:
        numbers = part.contiguous().view(-1).view(torch.uint8)
        block[start : start + len(numbers)] = numbers
        start += _spaced(len(numbers))
    return block


def _unpacked(block: Tensor, layout: _Layout) -> list[Tensor]:
    parts, start = [], 0
    for dtype, shape in layout:
        size = _bytes_of(dtype, shape)
        parts.append(block[start : start + size].view(dtype).view(shape))
        start += _spaced(size)
    return parts


# ---- what would leave replicas unequal -----------------------------------------------------------------------------


def _tables(model: nn.Module) -> dict[str, Tensor]:
    """The parameters whose gradients are rows: those that modules of this package with ``sparse=True`` look up."""
    looked_up = {
        id(getattr(module, name))
        for module in model.modules()
        if isinstance(module, (Embedding, EmbeddingBag, EmbeddingFM)) and module.sparse
        for name in module._tables
    }
    return {name: parameter for name, parameter in model.named_parameters() if id(parameter) in looked_up}


def _parameters(optimizer: Optimizer) -> set[int]:
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}


def _refuse_other_optimizers(tables: dict[str, Tensor], optimizers: tuple[Optimizer, ...]) -> None:
    moved = set().union(*map(_parameters, optimizers))
    for name, table in tables.items():
        if (follower := follow.of(table)) and follower.in_backward:
            raise InputError(
                "in_backward=True moves rows before their gradients can be exchanged; use in_backward=False"
            )
        if table.requires_grad and id(table) not in moved:
            raise InputError(f"no optimizer given to fastfm_torch.ddp has {name}, so nobody would exchange its rows")


def _refuse_other_models(tables: dict[str, Tensor], group: Any) -> None:
    own = [(name, str(table.dtype), *table.shape) for name, table in tables.items()]
    of_ranks: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(of_ranks, own, group)
    for rank, other in enumerate(of_ranks):
        if other != of_ranks[0]:
            raise InputError(f"the tables of ranks 0 and {rank} differ: {of_ranks[0]} and {other}")
