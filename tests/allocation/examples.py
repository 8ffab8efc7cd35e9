"""How many examples a property is tried on."""

from __future__ import annotations

from hypothesis import settings


def times(number: int) -> settings:
    """So many times as many as the profile in force says; see conftest.py."""
    return settings(max_examples=number * settings().max_examples)
