"""fastfm_core's kernels in PyTorch: operators, modules, optimizers.

    import fastfm_torch as ft

    model = ft.DeepFM([1000, 50, 365], embedding_dim=16)
    optimizer = ft.optim.Adagrad(model.parameters(), lr=0.05, in_backward=True)

Needs torch >= 2.4. CPU tensors are computed by fastfm_core's native kernels, CUDA tensors by its cuda backend.
"""

from __future__ import annotations

_NEEDS = "fastfm_torch needs torch >= 2.4: pip install 'fastfm-core[torch]'"

try:
    import torch as _torch
except ImportError:
    raise ImportError(_NEEDS) from None
if tuple(int(part) for part in _torch.__version__.split(".")[:2]) < (2, 4):
    raise ImportError(f"{_NEEDS} (found {_torch.__version__})")

from fastfm_torch import ops, optim  # noqa: E402
from fastfm_torch.conversion import Conversion, convert  # noqa: E402
from fastfm_torch.interaction import bi_interaction, fm_interaction  # noqa: E402
from fastfm_torch.models import DeepFM, FMInteraction  # noqa: E402
from fastfm_torch.modules import Embedding, EmbeddingBag, EmbeddingFM  # noqa: E402
from fastfm_torch.ops import EmbeddingFMOutput, embedding_bag, embedding_fm, embedding_gather  # noqa: E402
from fastfm_torch.parallel import ddp, exchange  # noqa: E402

__all__ = [
    "Conversion", "DeepFM", "Embedding", "EmbeddingBag", "EmbeddingFM", "EmbeddingFMOutput", "FMInteraction",
    "bi_interaction", "convert", "ddp", "embedding_bag", "embedding_fm", "embedding_gather", "exchange",
    "fm_interaction", "ops", "optim",
]  # fmt: skip
