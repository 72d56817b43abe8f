"""What holds for every test: property tests draw the same examples each time, and no test is timed."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("guardian", derandomize=True, deadline=None)
settings.load_profile("guardian")
