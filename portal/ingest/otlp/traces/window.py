"""The time window: spans that start outside of it are kept, and not counted."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Window:
    """Start times that count, in microseconds since 1970; both ends included."""

    first_us: int
    last_us: int


def window(now: float) -> Window:
    """Start times that count, as of now."""
    return Window(
        first_us=int((now - settings.SPAN_WINDOW_PAST_DAYS * DAY_SECONDS) * 1_000_000),
        last_us=int((now + settings.SPAN_WINDOW_FUTURE_HOURS * 3600) * 1_000_000),
    )
