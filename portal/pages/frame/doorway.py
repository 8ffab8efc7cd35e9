"""What an address names, or 404."""

from __future__ import annotations

from typing import TypeVar

from django.http import Http404

Named = TypeVar("Named")


def found(named: Named | None) -> Named:
    """What was looked up, which the reader may see; raises Http404 where there is nothing."""
    if named is None:
        raise Http404
    return named
