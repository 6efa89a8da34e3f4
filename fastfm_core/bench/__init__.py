"""``fastfm-core bench``: ceilings of the machine, a case for every kernel, a training step, and what they are timed on.

``register`` adds a kernel of the user's own; docs/benchmarks.md says how to read the figures.
"""

from fastfm_core.bench.registry import register as register
