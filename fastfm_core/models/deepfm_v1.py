"""The SparrowRecSys lesson's first DeepFM: z = head([one-hot, <e_s, e_t> for picked pairs, tower([e'_s, numbers])]).

A one-hot input of a linear head is a weight a value, so the head's part for it is the first order: z = sum_s w_s +
a . [products] + h . tower + bias. Every pair has a weight of its own in the head, and the deep part has embeddings of
its own, e' (that code makes a table for each of the two uses). Fields of first order, pairs and deep part are those of
the columns' ``use``; the lesson picks user x item pairs, the ids' embeddings and the raw numbers for the deep part, and
hidden = 64, 64. Source: github.com/wzhe06/SparrowRecSys, DeepFM.py.
Parameters: V (2 D + 1), the tower's, and the head's P + H + 1, H being the last hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.models.base import Model, Shape, Terms
from fastfm_core.nn import Linear, Tower


class DeepFMv1(Model):
    """Picked pairs, first order and a deep part, weighed by one head."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, hidden: Sequence[int] = (400, 400),
        dropout: float = 0.5, batch_norm: bool = False, init_std: float = 0.01, pairs: str = "all", seed: int = 0,
    ) -> None:  # fmt: skip
        shape.require("deepfm_v1", "pairs")
        super().__init__(shape, backend)
        self._pairs = backend.to_device(shape.pairs("deepfm_v1", pairs))
        self.embedding = shape.embedding(dim, backend, seed=seed, init_std=init_std)
        self.deep = shape.embedding(dim, backend, seed=seed, init_std=init_std, first_order="none", stream=1)
        width = shape.fields_of("deep") * dim + shape.dense
        self.tower = Tower(width, hidden, backend, seed=seed, dropout=dropout, batch_norm=batch_norm)
        self.head = Linear(len(self._pairs) + self.tower.width, 1, backend, seed=seed, layer=len(hidden))
        self.head.bias.data[:] = shape.bias

    def terms(self) -> Terms:
        """First order, and the pairs with the head's weights."""
        pairs, weights = map(self.backend.to_host, (self._pairs, self.head.weight.data[: len(self._pairs), 0]))
        return Terms(self.embedding, 1.0, pairs, weights)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]. InputError for samples without fields (pooling "none")."""
        first, vectors = self.embedding(batch, "first", "vectors")
        (deep,) = self.deep(batch, "deep")
        products = ops.flatten(ops.pair_products(vectors, self._pairs, "inner"))
        return ops.add(first, ops.squeeze(self.head(ops.concatenate(products, self.tower(deep)))))
