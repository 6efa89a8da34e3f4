"""``python -m fastfm_core``: the command line."""

from __future__ import annotations

import sys

from fastfm_core.cli import main

sys.exit(main())
