"""Exchange rates, and the amounts of runs in one reporting currency: each at the rate of its
billing month.

A run has one currency and one month, so it has one factor. Products and sums are exact; a run
without a rate is not converted and not added to anything, and pages say so. A rate is used in the
direction in which it was uploaded: its inverse would have to be rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import connection

from allocation.values.periods import Period
from reports.cost_question.runs import MonthRun
from reports.rows import fetch

ONE = Decimal(1)

# One row per month and pair of currencies, newest month first.
RATES = """
SELECT month, base, quote, rate, source, uploaded_at, frozen_at
FROM allocation_exchangerate
WHERE %(quote)s::text IS NULL OR quote = %(quote)s
ORDER BY month DESC, base, quote
LIMIT %(limit)s
"""


@dataclass(frozen=True)
class MonthRate:
    """One unit of `base` is `rate` units of `quote`, for amounts billed in the month."""

    month: date
    base: str
    quote: str
    rate: Decimal
    source: str
    uploaded_at: datetime
    frozen_at: datetime | None


def exchange_rates(*, into: str | None = None, limit: int = 10_000) -> list[MonthRate]:
    """Rates tell nobody's amounts, so they need no scope."""
    return fetch(MonthRate, RATES, {"quote": into, "limit": limit})


def reporting_currencies() -> list[str]:
    """Currencies that some rate leads into, by code."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT quote FROM allocation_exchangerate ORDER BY quote")
        return [row[0] for row in cursor.fetchall()]


@dataclass(frozen=True)
class Converted:
    """Runs whose amounts are multiplied by one factor; `rate` is None for those of the reporting
    currency itself.
    """

    runs: tuple[MonthRun, ...]
    factor: Decimal
    rate: MonthRate | None


@dataclass(frozen=True)
class Conversion:
    """How the amounts of every current run become amounts of `currency`, and which can't."""

    currency: str
    groups: tuple[Converted, ...]
    unconverted: tuple[MonthRun, ...]

    @property
    def runs(self) -> Iterator[MonthRun]:
        """Every run that is converted."""
        return (run for group in self.groups for run in group.runs)

    def rates_of(self, months: Iterable[date]) -> list[MonthRate]:
        """The rates used for these billing months, newest first."""
        wanted = set(months)
        used = {group.rate for group in self.groups if group.rate and group.rate.month in wanted}
        return sorted(used, key=lambda rate: (-rate.month.toordinal(), rate.base))

    def covers(self, period: Period) -> bool:
        """Some run is billed in a month of the period, and every such run has a rate."""
        months = set(period.months())
        lacking = any(run.month in months for run in self.unconverted)
        return not lacking and any(run.month in months for run in self.runs)

    def counting_runs(self) -> tuple[MonthRun, ...]:
        """The newest run of each month. Runs of a month know the same calls, whatever is billed in
        their currency, so one of them counts the calls.
        """
        newest = {run.month: run for run in sorted(self.runs, key=lambda run: run.id)}
        return tuple(newest.values())


def conversion(
    *, runs: Iterable[MonthRun], rates: Iterable[MonthRate], currency: str
) -> Conversion:
    """`rates` of other currencies than `currency` are passed over."""
    known = {(rate.month, rate.base): rate for rate in rates if rate.quote == currency}
    own: list[MonthRun] = []
    converted: dict[MonthRate, list[MonthRun]] = {}
    unconverted: list[MonthRun] = []
    for run in runs:
        rate = known.get((run.month, run.currency))
        if run.currency == currency:
            own.append(run)
        elif rate is not None:
            converted.setdefault(rate, []).append(run)
        else:
            unconverted.append(run)
    groups = [Converted(tuple(own), ONE, None)] if own else []
    groups += [Converted(tuple(found), rate.rate, rate) for rate, found in converted.items()]
    return Conversion(currency, tuple(groups), tuple(unconverted))
