"""One file per peer. Each gives ``build(problem, kind, settings)`` and runs in the peer's own interpreter."""
