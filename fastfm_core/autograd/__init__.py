"""The tape: tensors, functions, an iterative backward pass, lazy row gradients; made to be read in one sitting."""

from fastfm_core.autograd.function import Context, Function
from fastfm_core.autograd.gradcheck import gradcheck
from fastfm_core.autograd.row_gradient import RowGradient
from fastfm_core.autograd.tensor import Tensor, no_grad

__all__ = ["Context", "Function", "RowGradient", "Tensor", "gradcheck", "no_grad"]
