"""Exchange rates of closed months: frozen once, by closing."""

from __future__ import annotations

from datetime import date, datetime

from allocation.models import ExchangeRate


def freeze_rates(*, month: date, now: datetime) -> int:
    """Freezes the rates of a month, so that what it reads in another currency never moves; how many
    were not yet.

    Call it in the transaction that closes the month. A pair without a rate can still get one later;
    it freezes then.
    """
    return ExchangeRate.objects.filter(month=month.replace(day=1), frozen_at=None).update(
        frozen_at=now
    )
