"""What a question is about: the current allocation runs, and how their amounts become amounts of
one currency.

A run has one currency and one month, so it is converted by one factor: the rate of its billing
month. Products and sums are exact; a run without a rate is not converted and not added to anything,
and pages say so. A rate is used in the direction in which it was uploaded: its inverse would have
to be rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import connection

from allocation.values.periods import Period
from reports.asking import fetch

SHA256_LENGTH = 64

# One row per current run. The last day is that of its slices, the cost comes from its balances.
CURRENT_RUNS = """
SELECT run.id, run.billing_month, run.currency,
    (SELECT max(s.day) FROM run_slice s WHERE s.run_id = run.id AND s.part >= 0
        AND EXISTS (SELECT FROM slice_cost c WHERE c.slice_id = s.slice_id)) AS last_day,
    coalesce((SELECT sum(charges) FROM allocation_runsource AS balance
        WHERE balance.run_id = run.id AND metric = 'effective_cost'), 0) AS cost,
    run.sha256, run.finished_at
FROM allocation_allocationrun AS run
WHERE run.is_current
ORDER BY run.billing_month, run.currency
"""


@dataclass(frozen=True)
class MonthRun:
    """The run that readers of a month and currency use. `sha256` is of its content."""

    id: int
    month: date
    currency: str
    last_day: date | None
    cost: Decimal
    sha256: str | None
    finished_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """The run is published with a hash of its content, so its rows never change."""
        return self.sha256 is not None and len(self.sha256) == SHA256_LENGTH


def current_runs() -> list[MonthRun]:
    """Every current run, oldest month first. It tells which months exist, not what anybody spent:
    no scope needed.
    """
    return fetch(MonthRun, CURRENT_RUNS, {})


def runs_of_months(runs: Iterable[MonthRun], months: Iterable[date]) -> tuple[MonthRun, ...]:
    """Those of the runs that are billed in one of the months (their first days)."""
    wanted = set(months)
    return tuple(run for run in runs if run.month in wanted)


# ---------------------------------------------------------------- currencies

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
