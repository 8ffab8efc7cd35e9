"""What a spend page reads of the rollup: in the billing currency, or every one of them in the
reporting currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from portal.pages.frame.state import PageState
from reports.analysis.reporting_currency import (
    converted_cells,
    converted_days,
    converted_evidence,
    converted_parts,
    converted_usage,
    counting_runs,
)
from reports.analysis.spend_totals import ai_cells, total_of
from reports.queries.costs.calls import UsageCell, spend_usage
from reports.queries.costs.trust import EvidenceShare, evidence_shares
from reports.queries.spend_cells import SpendCell, spend_cells
from reports.queries.spend_days import SpendDays, spend_days
from reports.queries.spend_filter import Spend
from reports.queries.spend_parts import SpendPart, spend_parts


def read_cells(state: PageState) -> list[SpendCell]:
    def of(spend: Spend) -> list[SpendCell]:
        return spend_cells(spend=spend, period=state.elapsed, compare=state.compare)

    if state.conversion is None:
        return of(state.spend())
    return converted_cells([(of(spend), factor) for spend, factor in state.spends()])


def read_days(state: PageState) -> SpendDays:
    if state.conversion is None:
        return spend_days(spend=state.spend(), period=state.elapsed)
    return converted_days(
        [
            (spend_days(spend=spend, period=state.elapsed), factor)
            for spend, factor in state.spends()
        ]
    )


def read_usage(state: PageState) -> list[UsageCell]:
    def of(spend: Spend) -> list[UsageCell]:
        return spend_usage(spend=spend, period=state.elapsed, compare=state.compare)

    if state.conversion is None:
        return of(state.spend())
    counted = of(state.spend_of_runs(counting_runs(state.conversion)))
    return converted_usage(counted, [(of(spend), factor) for spend, factor in state.spends()])


def read_parts(state: PageState) -> list[SpendPart]:
    if state.conversion is None:
        return spend_parts(spend=state.spend(), period=state.elapsed)
    return converted_parts(
        [
            (spend_parts(spend=spend, period=state.elapsed), factor)
            for spend, factor in state.spends()
        ]
    )


def read_evidence(state: PageState) -> list[EvidenceShare]:
    """Of a state with a conversion."""
    return converted_evidence(
        [
            (evidence_shares(spend=spend, period=state.elapsed), factor)
            for spend, factor in state.spends()
        ]
    )


@dataclass(frozen=True)
class Unconverted:
    """AI cost that no figure of the page holds, in its own currency."""

    month: date
    currency: str
    now: Decimal
    before: Decimal


def read_unconverted(state: PageState) -> list[Unconverted]:
    """One line per month and currency without a rate that has cost in the period or the compared
    one.
    """
    if state.conversion is None:
        return []
    lines = []
    for run in state.conversion.unconverted:
        cells = spend_cells(
            spend=state.spend_of_runs([run]), period=state.elapsed, compare=state.compare
        )
        total = total_of(ai_cells(cells))
        if total.now or total.before:
            lines.append(Unconverted(run.month, run.currency, total.now, total.before))
    return sorted(lines, key=lambda line: (line.month, line.currency), reverse=True)
