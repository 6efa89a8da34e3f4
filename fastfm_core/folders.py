"""Where this package keeps what can be made again: compiled kernels and encoded tables."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_cache() -> Path:
    """fastfm_core's folder in the user's cache folder (XDG_CACHE_HOME and LOCALAPPDATA are honoured); may not exist."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "fastfm_core"
