"""Property tests are short by default; `--hypothesis-profile longer` runs a hundred times as many examples."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("longer", max_examples=20_000, deadline=None)
settings.register_profile("modest", max_examples=200, deadline=None, database=None)
settings.load_profile("modest")
