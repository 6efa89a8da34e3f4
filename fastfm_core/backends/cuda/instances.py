"""Every kernel instance that the backend may launch, by its file: what tests compile for each architecture."""

from __future__ import annotations

from fastfm_core.backends.cuda import columns, dense, interaction, lookup, loss, norm, pair, plan, rows, updates

FAMILIES = (columns, dense, interaction, lookup, loss, norm, pair, plan, rows, updates)
INSTANCES: dict[str, list[str]] = {file: names for family in FAMILIES for file, names in family.INSTANCES.items()}
