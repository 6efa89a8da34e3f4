"""What every model has: logits from a batch, with the tape in training and without it in prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastfm_core.autograd import Tensor, no_grad
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.errors import InputError
from fastfm_core.nn import Crosses, FieldEmbedding, MixedEmbedding, Module, Ranges, Uses
from fastfm_core.nn.pairs import pair_list
from fastfm_core.serving.scorer import Scorer


class Shape(NamedTuple):
    """What a model needs to know about the data it is built for.

    rows       V, rows of the arena
    fields     F, slots a sample
    dense      I, raw numbers a sample
    bias       where the output starts: the logit of the base rate, or the mean label in regression
    zero_rows  [k] rows that start at 0 (unknown values), or None
    uses       which fields take part in first order, pairs and deep part, each [F] bool; None: all in all
    names      the fields' names, by which pairs are picked; (): their numbers are
    sides      of each field: "user", "item" or ""; where none is named and there are two fields, the first is the
               user's, the second the item's
    ranges     the fields' rows and dims, where some field has one of its own; None: all have the model's
    """

    rows: int
    fields: int
    dense: int = 0
    bias: float = 0.0
    zero_rows: np.ndarray | None = None
    uses: Uses | None = None
    names: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()
    ranges: Ranges | None = None

    def embedding(self, dim: int, backend: Backend, **options: Any) -> FieldEmbedding | MixedEmbedding:
        """The fields' rows; a ``MixedEmbedding`` where fields have dims of their own. Options as both have them."""
        known = {"zero_rows": self.zero_rows, "uses": self.uses, **options}
        if self.ranges is None or not self.ranges.mixed(dim):
            return FieldEmbedding(self.rows, dim, backend, **known)
        return MixedEmbedding(self.ranges, dim, backend, **known)

    def fields_of(self, part: str) -> int:
        """How many fields take part in "first", "pairs" or "deep"."""
        return int(self.takes_part(part).sum())

    def takes_part(self, part: str) -> np.ndarray:
        """[F] bool: the fields of "first", "pairs" or "deep"."""
        return np.ones(self.fields, bool) if self.uses is None else getattr(self.uses, part)

    def side(self, model: str) -> tuple[np.ndarray, np.ndarray]:
        """The user's and the item's fields, [F] bool each. InputError where either has none."""
        named = any(self.sides)
        sides = np.array(self.sides if named else ("user", "item") if self.fields == 2 else ("",) * self.fields)
        user, item = sides == "user", sides == "item"
        if not user.any() or not item.any():
            raise InputError(
                f"{model}: which columns are the user's, which the item's? Name them: --user COL --item COL"
            )
        return user, item

    def of_sides(self, model: str) -> Shape:
        """This shape, in which the fields of user and item alone take part, in all parts."""
        user, item = self.side(model)
        return self._replace(uses=Uses(*[user | item] * 3), sides=tuple(_sides(user, item)))

    def pairs(self, model: str, chosen: str) -> np.ndarray:
        """[P, 2] int32: the chosen pairs, as positions among the fields of the pairs; see ``nn.pairs``."""
        fields = np.flatnonzero(self.takes_part("pairs"))
        names = self.names or tuple(map(str, range(self.fields)))
        sides: dict[str, np.ndarray] = {}
        if chosen == "user*item":
            sides = dict(zip(("user", "item"), (side[fields] for side in self.side(model)), strict=True))
        return pair_list(chosen, [names[f] for f in fields], sides)

    def crosses(self, model: str, chosen: str, backend: Backend) -> Crosses | None:
        """The chosen pairs, each with weight 1; None for all of them, which the fused lookup sums itself."""
        pairs, count = self.pairs(model, chosen), self.fields_of("pairs")
        return None if len(pairs) == count * (count - 1) // 2 else Crosses(pairs, backend)

    def require(self, model: str, *parts: str) -> None:
        """InputError where no field takes part in any of ``parts``: the model would learn nothing but its bias."""
        if not any(map(self.fields_of, parts)):
            raise InputError(
                f"{model}: no column takes part in {' or '.join(parts)}; add one of them to a column's use"
            )


def _sides(user: np.ndarray, item: np.ndarray) -> list[str]:
    return np.select([user, item], ["user", "item"], "").tolist()


class Terms(NamedTuple):
    """What of a logit is a sum over fields and over pairs of them: a sum_s w_s + sum_p r_p <e_f, e_g>.

    embedding  whose rows hold w and e
    first      a; None: no such sum over fields
    pairs      [P, 2] positions (f, g) among the fields of the pairs; None: no such sum over pairs
    weights    [P] r, with pairs
    branches   the learned weights of a model that is made of several, by name
    """

    embedding: FieldEmbedding | MixedEmbedding
    first: float | None = None
    pairs: np.ndarray | None = None
    weights: np.ndarray | None = None
    branches: Mapping[str, float] | None = None


class Model(Module):
    """A module that maps a Batch to logits [B].

    shape    of the data it is built for
    backend  named so that trainers can ask for its kernels
    """

    forward: Callable[[Batch], Tensor]

    def __init__(self, shape: Shape, backend: Backend) -> None:
        self.shape, self.backend = shape, backend

    def terms(self) -> Terms | None:
        """The parts of the logit that are sums over fields and pairs; None: it has none."""
        return None

    def scorer(self) -> Scorer:
        """What scores batches without tape and Python, made of the model as it is now; see ``fastfm_core.serving``."""
        return Scorer(self)

    def predict(self, batch: Batch) -> np.ndarray:
        """Logits [B] in evaluation mode, nothing recorded; the mode is restored. Not beside a thread that trains it."""
        training = self.training
        self.eval()
        try:
            with no_grad():
                logits = self.forward(self.backend.to_device(batch)).data
                return self.backend.to_host(logits).copy()
        finally:
            if training:
                self.train()
