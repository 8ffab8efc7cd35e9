"""Charge groups: amounts of several charges and days, added up and spread exactly."""

from __future__ import annotations

from decimal import Decimal

from allocation.charges.groups import Amount


def test_amounts_meet_at_the_finer_scale() -> None:
    amount = Amount.of("1.5")
    amount.plus(1, 15)

    assert (amount.quanta, amount.places) == (1_500_000_000_000_001, 15)
    assert Amount.of(str(Decimal("0.25"))) == Amount(250_000_000_000, 12)
