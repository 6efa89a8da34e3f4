"""Models that nobody here wrote, with and without ``convert``: DeepFM of the packages torchfm and deepctr-torch.

Each trains 22 steps on the bundled data from the same weights, and the losses are those of the model as it came, within
1e-5 of the loss. They are not those to the last bit: an update kernel rounds a square root, a product and a sum in
another place than torch's chain of operations, and a row that is looked up repeatedly may be summed in another order.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat
from deepctr_torch.models import DeepFM
from torch import Tensor, nn
from torchfm.model.dfm import DeepFactorizationMachineModel

import fastfm_torch
from fastfm_core.data import Batches, Categorical, Encoder, Schema, read_table
from fastfm_core.data.bundled import COUPON_LABEL, coupon_path
from fastfm_core.data.labels import label_values
from fastfm_core.errors import InputError

STEPS, BATCH, DIM, TOLERANCE = 22, 256, 8, 1e-5


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Batches are small, and a second thread would wait for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def clicks() -> tuple[list[int], list[tuple[Tensor, Tensor]]]:
    """The fields' sizes, and batches of ids [B, F] that start at 0 in each field, with labels [B]."""
    table = read_table(coupon_path())
    schema = Schema([Categorical(column) for column in table if column != COUPON_LABEL])
    labels = label_values(table, COUPON_LABEL)
    encoder = Encoder.fit(table, schema, np.arange(len(labels)), min_count=1)
    starts = np.concatenate([[0], np.cumsum(encoder.sizes)[:-1]])
    batches = []
    for batch in Batches(encoder.transform(table, labels), batch_size=BATCH).epoch(0):
        ids = batch.entries.ids.reshape(-1, encoder.fields).astype(np.int64) - starts
        batches.append((torch.from_numpy(ids), torch.tensor(batch.labels, dtype=torch.float32)))
    return encoder.sizes.tolist(), batches[:STEPS]


def of_torchfm() -> nn.Module:
    """One table for all fields and one for the first order; batch norm in the layers."""
    torch.manual_seed(1)
    return DeepFactorizationMachineModel(clicks()[0], DIM, (32,), 0.0)


def of_deepctr(l2: float = 0.0) -> nn.Module:
    """A table and a first order for each field."""
    columns = [SparseFeat(f"field {n}", size, DIM) for n, size in enumerate(clicks()[0])]
    return DeepFM(columns, columns, dnn_hidden_units=(32,), l2_reg_linear=l2, l2_reg_embedding=l2, init_std=0.1, seed=1)


MODELS: dict[str, Callable[[], nn.Module]] = {"torchfm": of_torchfm, "deepctr-torch": of_deepctr}


Batch = tuple[Tensor, Tensor]
Groups = Callable[[nn.Module], Any]


def losses(
    model: Any, rule: type[torch.optim.Optimizer], groups: Groups = nn.Module.parameters,
    batches: list[Batch] | None = None, **options: Any,
) -> list[float]:  # fmt: skip
    """Before each step; deepctr-torch's penalties, if there are any, are part of its loss."""
    optimizer, found = rule(groups(model), **options), []
    for ids, labels in batches or clicks()[1]:
        optimizer.zero_grad()
        predictions = model(ids.float() if isinstance(model, DeepFM) else ids).view(-1)
        loss = nn.functional.binary_cross_entropy(predictions, labels)
        if isinstance(model, DeepFM):
            loss = loss + model.get_regularization_loss()[0] / BATCH
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


RULES: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1},
    "Adagrad": {"lr": 0.05, "initial_accumulator_value": 0.1},
    "Adam": {"lr": 0.01},
}


@cache
def expected(name: str, rule: str) -> list[float]:
    """The losses of the model as it came, by torch's optimizer."""
    return losses(MODELS[name](), getattr(torch.optim, rule), **RULES[rule])


def assert_same(found: list[float], wanted: list[float]) -> None:
    assert len(found) == STEPS and found[-1] < found[0] - 0.01
    np.testing.assert_allclose(found, wanted, rtol=TOLERANCE, atol=0)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", MODELS)
def test_losses_with_and_without_convert(name: str, rule: str) -> None:
    model = MODELS[name]()
    report = fastfm_torch.convert(model)
    assert len(report.swapped) == (2 if name == "torchfm" else 2 * len(clicks()[0]))
    assert not report.left and set(model.state_dict()) == set(MODELS[name]().state_dict())
    found = losses(model, getattr(fastfm_torch.optim, rule), **RULES[rule])
    assert_same(found, expected(name, rule))


@pytest.mark.parametrize("rule", ["Adagrad", "Adam"])
@pytest.mark.parametrize("name", MODELS)
def test_losses_with_updates_in_the_backward_pass(name: str, rule: str) -> None:
    model = MODELS[name]()
    fastfm_torch.convert(model)
    found = losses(model, getattr(fastfm_torch.optim, rule), **RULES[rule], in_backward=True)
    assert_same(found, expected(name, rule))


@pytest.mark.parametrize("name", MODELS)
def test_losses_with_the_optimizer_as_it_was(name: str) -> None:
    """``sparse=False`` leaves torch's dense optimizers as they are."""
    model = MODELS[name]()
    fastfm_torch.convert(model, sparse=False)
    assert_same(losses(model, torch.optim.Adam, **RULES["Adam"]), expected(name, "Adam"))


L2 = 5.0


@cache
def expected_with_penalty(rule: str) -> list[float]:
    return losses(of_deepctr(L2), getattr(torch.optim, rule), **RULES[rule])


@pytest.mark.parametrize("rule", ["Adagrad", "Adam"])
def test_deepctrs_penalty_makes_gradients_dense(rule: str) -> None:
    """The penalty reads whole tables, so the sum of its gradient and of the rows' is dense, and the losses agree."""
    model = of_deepctr(L2)
    fastfm_torch.convert(model)
    assert_same(losses(model, getattr(fastfm_torch.optim, rule), **RULES[rule]), expected_with_penalty(rule))
    assert not model.embedding_dict["field 0"].weight.grad.is_sparse

    model = of_deepctr(L2)
    fastfm_torch.convert(model)
    with pytest.raises(InputError, match=r"in_backward=True .* gradient"):
        losses(model, getattr(fastfm_torch.optim, rule), **RULES[rule], in_backward=True)


@pytest.mark.parametrize("in_backward", [False, True])
@pytest.mark.parametrize("rule", ["Adagrad", "Adam"])
def test_weight_decay_is_deepctrs_penalty(rule: str, in_backward: bool) -> None:
    """Twice its l2, on the tables: the same weights, with row gradients; only the penalty is not in the loss shown."""

    def groups(model: nn.Module) -> list[dict[str, Any]]:
        tables = {n for n, _ in model.named_parameters() if "embedding_dict" in n}
        split = [[p for n, p in model.named_parameters() if (n in tables) == wanted] for wanted in (True, False)]
        return [{"params": split[0], "weight_decay": 2 * L2 / BATCH}, {"params": split[1]}]

    with_penalty, model = of_deepctr(L2), of_deepctr()
    fastfm_torch.convert(model)
    losses(with_penalty, getattr(torch.optim, rule), **RULES[rule])
    losses(model, getattr(fastfm_torch.optim, rule), groups, **RULES[rule], in_backward=in_backward)
    found, wanted = model.state_dict(), with_penalty.state_dict()  # all rows are brought to the present
    for name in wanted:
        np.testing.assert_allclose(found[name].numpy(), wanted[name].numpy(), rtol=0, atol=1e-5, err_msg=name)

    unpenalised = of_deepctr()
    losses(unpenalised, getattr(torch.optim, rule), **RULES[rule])
    name = "embedding_dict.field 0.weight"
    assert (unpenalised.state_dict()[name] - wanted[name]).abs().max() > 1e-2


def test_tables_that_several_features_share() -> None:
    """Two fields and a history of deepctr-torch read one table, so its rows have three gradients a step."""
    columns = [
        SparseFeat("seen", 40, DIM, embedding_name="item"), SparseFeat("item", 40, DIM),
        VarLenSparseFeat(SparseFeat("history", 40, DIM, embedding_name="item"), maxlen=5, combiner="mean"),
    ]  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 40, (STEPS, BATCH, 7), generator=generator)
    batches = [(each, (each[:, 0] % 3 == each[:, 1] % 3).float()) for each in ids]
    plain = DeepFM(columns, columns, dnn_hidden_units=(32,), l2_reg_linear=0, l2_reg_embedding=0, seed=1)
    for in_backward in (False, True):
        model = copy.deepcopy(plain)
        fastfm_torch.convert(model)
        found = losses(model, fastfm_torch.optim.Adam, batches=batches, lr=0.02, in_backward=in_backward)
        wanted = losses(copy.deepcopy(plain), torch.optim.Adam, batches=batches, lr=0.02)
        assert_same(found, wanted)
