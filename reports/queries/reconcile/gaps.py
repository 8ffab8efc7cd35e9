"""Billed against traced, by cause: every source and currency of a billing month, with what no bill
has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from reports.analysis.gap import Gap, gap_of
from reports.analysis.gap_causes import NamedCause, causes_of
from reports.asking import TeamScope
from reports.cost_question.runs import MonthRun, exchange_rates
from reports.queries.reconcile.gap_inputs import OffTheBill, gap_inputs


@dataclass(frozen=True)
class SourceGap:
    """One source's gap in its own currency. `through` is the last billed day; traces after it are
    left out.
    """

    gap: Gap
    causes: tuple[NamedCause, ...]
    through: date | None


@dataclass(frozen=True)
class MonthGaps:
    sources: tuple[SourceGap, ...]
    off_the_bill: tuple[OffTheBill, ...]


def month_gaps(*, month: date, runs: Sequence[MonthRun], scope: TeamScope) -> MonthGaps:
    """Of the month's current runs among `runs`. A bill in another currency is compared where the
    month has a rate from USD; bills in USD come first.
    """
    own = [run for run in runs if run.month == month]
    inputs = gap_inputs(month=month, runs=own, scope=scope)
    bills = sorted(
        inputs.bills,
        key=lambda bill: (bill.currency != "USD", bill.currency, -bill.billed, bill.source),
    )
    rates = {
        rate.quote: rate.rate
        for rate in exchange_rates()
        if (rate.month, rate.base) == (month, "USD")
    }
    gaps = [gap_of(bill, rate=rates.get(bill.currency)) for bill in bills]
    return MonthGaps(
        tuple(
            SourceGap(gap, causes_of(gap), inputs.through.get((gap.bill.source, gap.bill.currency)))
            for gap in gaps
        ),
        inputs.off_the_bill,
    )
