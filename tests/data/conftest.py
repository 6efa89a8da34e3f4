"""Every test of this folder runs on each text engine."""

from engines import text_engine

__all__ = ["text_engine"]
