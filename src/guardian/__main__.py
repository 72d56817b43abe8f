"""`python -m guardian`: the same as the command `guardian`."""

from __future__ import annotations

import sys

from guardian.entrypoints.cli import main

sys.exit(main())
