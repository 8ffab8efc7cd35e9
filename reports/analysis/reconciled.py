"""Do bills and runs agree? What was loaded against what the runs allocated and left unallocated."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from allocation.values.money import EXACT, exact_sum
from reports.queries.balances import SourceBalance
from reports.queries.reconcile.sources import LoadedSource

ZERO = Decimal(0)


def difference(loaded: LoadedSource | None, balance: SourceBalance | None) -> Decimal:
    """Loaded minus allocated minus unallocated; nothing on either side counts as zero."""
    made = exact_sum([balance.allocated, balance.unallocated]) if balance else ZERO
    return EXACT.subtract(loaded.cost if loaded else ZERO, made)


def differences(
    loaded: Iterable[LoadedSource], balances: Iterable[SourceBalance]
) -> dict[str, Decimal]:
    """Per source of either side, by name. Anything but zero: a bill changed after the run, or was
    never allocated.
    """
    bills = {source.source: source for source in loaded}
    made = {balance.source: balance for balance in balances}
    return {name: difference(bills.get(name), made.get(name)) for name in sorted({*bills, *made})}
