"""Several models on one embedding: z = bias + sum over branches of a_k z_k, the weights a_k learned, each from 1.

Branches, and what each puts out: ``wide`` sum_s w_s; ``fm`` sum_{s<t} <e_s, e_t>; ``nfm`` MLP(sum_{s<t} e_s * e_t);
``ncf`` MLP([p_u, q_i]); ``mlp`` MLP([e_1, ..., e_F, numbers]). With wide, fm and mlp, all weights 1, it is DeepFM;
with wide and mlp Wide & Deep; with wide and nfm NFM. Parameters: V (D + 1), a weight for each branch, the bias and the
MLPs'.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.errors import InputError
from fastfm_core.models.base import Model, Shape, Terms
from fastfm_core.nn import MLP, PairPool, parameter
from fastfm_core.nn.crosses import weighted_pairs

READS = {"wide": "first", "fm": "pairs", "nfm": "vectors", "ncf": "vectors", "mlp": "deep"}


class Fusion(Model):
    """Branches on the same vectors, weighted by training."""

    def __init__(
        self, shape: Shape, backend: Backend, *, branches: Sequence[str] = ("wide", "fm", "mlp"), dim: int = 16,
        hidden: Sequence[int] = (400, 400), dropout: float = 0.5, batch_norm: bool = False, init_std: float = 0.01,
        pairs: str = "all", seed: int = 0,
    ) -> None:  # fmt: skip
        if not branches or len(set(branches)) < len(branches) or set(branches) - READS.keys():
            raise InputError(f"fusion: branches are {', '.join(branches)}, choose of {', '.join(READS)}, each once")
        super().__init__(shape, backend)
        self.branches = tuple(branches)
        self.embedding = shape.embedding(
            dim, backend, seed=seed, init_std=init_std, crosses=shape.crosses("fusion", pairs, backend)
        )
        towers = partial(MLP, hidden=hidden, backend=backend, seed=seed, dropout=dropout, batch_norm=batch_norm)
        if "nfm" in branches:
            self.pool = PairPool(shape.pairs("fusion", pairs), dim, backend, batch_norm=batch_norm)
            self.nfm = towers(dim, stream=0)
        if "ncf" in branches:
            user, item = shape.side("fusion")
            self._both = backend.to_device(np.flatnonzero((user | item)[shape.takes_part("pairs")]))
            self.ncf = towers(len(self._both) * dim, stream=1)
        if "mlp" in branches:
            self.mlp = towers(shape.fields_of("deep") * dim + shape.dense, stream=2)
        self.weight = parameter(np.ones((len(branches), 1)), backend)
        self.bias = parameter(np.array([shape.bias]), backend)
        self.crossing = shape.fields_of("pairs")

    def terms(self) -> Terms:
        """First order and pairs with the weights of their branches."""
        weights = dict(zip(self.branches, self.weight.data[:, 0].tolist(), strict=True))
        pairs, ones = weighted_pairs(self.embedding.crosses, self.crossing) if "fm" in weights else (None, None)
        scaled = None if ones is None else ones * weights["fm"]
        return Terms(self.embedding, weights.get("wide"), pairs, scaled, weights)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]. InputError for samples without fields (pooling "none")."""
        parts = list(dict.fromkeys(READS[name] for name in self.branches))
        read = dict(zip(parts, self.embedding(batch, *parts), strict=True))
        outputs = [self._output(name, read[READS[name]]) for name in self.branches]
        return ops.squeeze(ops.linear(ops.concatenate(*outputs), self.weight, self.bias))

    def _output(self, branch: str, part: Tensor) -> Tensor:
        """A branch's logits [B], from the part of the embedding that it reads."""
        if branch == "nfm":
            return self.nfm(self.pool(part))
        if branch == "ncf":
            return self.ncf(ops.flatten(ops.take_fields(part, self._both)))
        return self.mlp(part) if branch == "mlp" else part
