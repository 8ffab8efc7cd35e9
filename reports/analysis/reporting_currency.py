"""One reporting currency: the amounts of each run at the rate of its billing month. Plain values,
no database.

A run has one currency and one month, so it has one factor. Products and sums are exact; a run
without a rate is not converted and not added to anything, and pages say so. A rate is used in the
direction in which it was told: its inverse would have to be rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from allocation.values.money import EXACT
from allocation.values.periods import Period
from reports.queries.costs.calls import UsageCell
from reports.queries.costs.trust import EvidenceShare
from reports.queries.exchange_rates import MonthRate
from reports.queries.spend_cells import SpendCell
from reports.queries.spend_coverage import MonthRun
from reports.queries.spend_days import Named, SpendDays
from reports.queries.spend_parts import SpendPart

ONE = Decimal(1)


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

    def rates_of(self, months: Iterable[date]) -> list[MonthRate]:
        """The rates used for these billing months, newest first."""
        wanted = set(months)
        used = {group.rate for group in self.groups if group.rate and group.rate.month in wanted}
        return sorted(used, key=lambda rate: (-rate.month.toordinal(), rate.base))

    def covers(self, period: Period) -> bool:
        """Some run is billed in a month of the period, and every such run has a rate."""
        months = set(period.months())
        lacking = any(run.month in months for run in self.unconverted)
        return not lacking and any(
            run.month in months for group in self.groups for run in group.runs
        )


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


def at_rate(amount: Decimal, factor: Decimal) -> Decimal:
    """The exact product; raises decimal.Inexact rather than round."""
    return EXACT.multiply(amount, factor)


def converted_cells(parts: Sequence[tuple[list[SpendCell], Decimal]]) -> list[SpendCell]:
    """One list of all; the same target can be there once per factor, since readers of cells add up."""
    return [
        replace(cell, now=at_rate(cell.now, factor), before=at_rate(cell.before, factor))
        for cells, factor in parts
        for cell in cells
    ]


def converted_days(parts: Sequence[tuple[SpendDays, Decimal]]) -> SpendDays:
    whole = SpendDays()
    for days, factor in parts:
        for target, found in (
            (whole.by_team, days.by_team),
            (whole.by_feature, days.by_feature),
            (whole.by_model, days.by_model),
        ):
            add_days(target, found, factor)
    return whole


def add_days(target: Named, found: Named, factor: Decimal) -> None:
    for name, costs in found.items():
        sums = target.setdefault(name, {})
        for day, cost in costs.items():
            sums[day] = EXACT.add(sums.get(day, Decimal(0)), at_rate(cost, factor))


def counting_runs(converted: Conversion) -> list[MonthRun]:
    """The newest run of each month: runs of a month know the same calls, whatever is billed in
    their currency.
    """
    newest: dict[date, MonthRun] = {}
    for run in sorted(
        (run for group in converted.groups for run in group.runs), key=lambda run: run.id
    ):
        newest[run.month] = run
    return list(newest.values())


def converted_usage(
    counted: Iterable[UsageCell], parts: Sequence[tuple[list[UsageCell], Decimal]]
) -> list[UsageCell]:
    """Calls and tokens of `counted` alone, as they are; the variance is of each part's cost: the
    factor, twice.
    """
    zero = Decimal(0)
    calls = [replace(cell, cost_variance=0.0) for cell in counted]
    variances = [
        replace(
            cell,
            calls=zero,
            tokens=zero,
            calls_before=zero,
            tokens_before=zero,
            cost_variance=cell.cost_variance * float(factor) ** 2,
        )
        for cells, factor in parts
        for cell in cells
        if cell.cost_variance
    ]
    return calls + variances


def converted_parts(parts: Sequence[tuple[list[SpendPart], Decimal]]) -> list[SpendPart]:
    """One line per kind, rule and reason, largest first."""
    sums: dict[tuple[str, str, str | None], Decimal] = {}
    for found, factor in parts:
        for part in found:
            key = (part.kind, part.rule, part.reason)
            sums[key] = EXACT.add(sums.get(key, Decimal(0)), at_rate(part.cost, factor))
    ordered = sorted(sums.items(), key=lambda each: (-each[1], str(each[0])))
    return [SpendPart(*key, cost) for key, cost in ordered]


def converted_evidence(parts: Sequence[tuple[list[EvidenceShare], Decimal]]) -> list[EvidenceShare]:
    return [
        replace(share, cost=at_rate(share.cost, factor))
        for shares, factor in parts
        for share in shares
    ]
