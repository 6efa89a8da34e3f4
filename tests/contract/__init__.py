"""One suite that every backend passes: the contract's names, shapes, dtypes, formulas, error bounds and determinism."""
