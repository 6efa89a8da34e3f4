"""fastfm_core: sparse embedding lookup and factorization-machine kernels, and a small autograd that trains on them."""

__version__ = "0.1.0"
