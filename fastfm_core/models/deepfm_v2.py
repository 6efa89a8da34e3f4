"""The SparrowRecSys lesson's second DeepFM: z = head([first order, (sum_s q_s)^2 - sum_s q_s^2, tower([q_1, ...])]).

q_s = e_s A_s + a_s [P] projects each field's embedding to P = ``projection`` numbers; all raw numbers x [I] together
are one more field, q_0 = x A_0 + a_0. First order: sum_s w_s + x . w_0 + c, one number. The FM's output stays a vector
[P], and nothing halves it: every pair counts twice. The tower reads the projected fields side by side. In the lesson
D = 10, P = 64, hidden = 32, 16. Source: github.com/wzhe06/SparrowRecSys, DeepFM_v2.py.
Parameters: V (D + 1), (F D + I + F + 1) P of the projections, I + 1, the tower's, and the head's 1 + P + H + 1, H being
the last hidden width; without numbers neither P (I + 1) nor I + 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.models.base import Model, Shape, Terms
from fastfm_core.nn import FieldLinear, Linear, Tower


class DeepFMv2(Model):
    """First order, FM vector and deep part on projected fields, weighed by one head."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, hidden: Sequence[int] = (400, 400),
        dropout: float = 0.5, batch_norm: bool = False, init_std: float = 0.01, projection: int = 64, seed: int = 0,
    ) -> None:  # fmt: skip
        shape.require("deepfm_v2", "pairs")
        super().__init__(shape, backend)
        self.projection = projection
        self.embedding = shape.embedding(dim, backend, seed=seed, init_std=init_std)
        fields, stream = shape.fields_of("pairs"), 1 << 16
        self.project = FieldLinear(fields, dim, projection, backend, seed=seed, layer=stream)
        if shape.dense:
            self.numbers = Linear(shape.dense, projection, backend, seed=seed, layer=stream + 1)
            self.numbers_first = Linear(shape.dense, 1, backend, seed=seed, layer=stream + 2)
        self.fields = fields + bool(shape.dense)
        self.tower = Tower(self.fields * projection, hidden, backend, seed=seed, dropout=dropout, batch_norm=batch_norm)
        self.head = Linear(1 + projection + self.tower.width, 1, backend, seed=seed, layer=len(hidden))
        self.head.bias.data[:] = shape.bias

    def terms(self) -> Terms:
        """First order with the head's weight; the pairs are of projected vectors, with raw numbers among them."""
        return Terms(self.embedding, float(self.head.weight.data[0, 0]))

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]. InputError for samples without fields (pooling "none")."""
        first, vectors = self.embedding(batch, "first", "vectors")
        side_by_side = ops.flatten(self.project(vectors))
        if batch.dense is not None:
            numbers = Tensor(batch.dense, self.backend)
            first = ops.add(first, ops.squeeze(self.numbers_first(numbers)))
            side_by_side = ops.concatenate(side_by_side, self.numbers(numbers))
        projected = ops.as_vectors(side_by_side, self.projection, self.fields)
        twice_all_pairs = ops.scale(ops.bi_interaction(projected), 2.0)
        return ops.squeeze(self.head(ops.concatenate(first, twice_all_pairs, self.tower(side_by_side))))
