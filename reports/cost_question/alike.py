"""Like for like: which part of an open period, and of the one it is compared with, can be compared.

Bills of a running month reach some day, another one for each source, and what comes with the
invoice (tax, support, credits, fees) is not on them yet. So a comparison counts the same days of
each source on both sides, and on neither what comes with the invoice. Closed months are compared
whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from allocation.values.periods import DAY, Period
from reports.asking import TeamScope, cached_by_run, fetch
from reports.cost_question.answers import costs
from reports.cost_question.question import Alike, CostQuestion, SourceDays
from reports.cost_question.runs import MonthRun, runs_of_months

# An invoice that has not come so long after its month is not waited for.
INVOICE_WITHIN = timedelta(days=10)

# One row per source and billing month: the last day that it charges for by the day, and whether
# anything came with an invoice. Charges of several days reach ahead, so they say nothing of it.
BILLED = """
SELECT source.id, source.name, slice.billing_month,
    max(slice.day) FILTER (WHERE line.with_invoice IS NULL AND NOT slice.is_spread),
    bool_or(line.with_invoice IS NOT NULL)
FROM run_slice AS slice
JOIN slice_cost AS cost ON cost.slice_id = slice.slice_id
JOIN cost_line AS line ON line.id = cost.line_id
JOIN allocation_source AS source ON source.id = line.source_id
WHERE slice.run_id = ANY(%(runs)s) AND slice.day <= %(today)s
GROUP BY source.id, source.name, slice.billing_month
ORDER BY source.name, slice.billing_month
"""


class BilledMonth(NamedTuple):
    """What bills of one source and month hold; `through` is None where nothing is charged by the
    day.
    """

    source_id: int
    source: str
    month: date
    through: date | None
    has_invoice: bool


@cached_by_run
def billed_months(*, question: CostQuestion, today: date) -> Sequence[BilledMonth]:
    """Of the whole organisation: it tells no amount."""
    return fetch(BilledMonth, BILLED, {"runs": question.run_ids, "today": today})


@dataclass(frozen=True)
class Compared:
    """The periods of a comparison, and the runs that know them; `elapsed` is what bills cover."""

    runs: tuple[MonthRun, ...]
    period: Period
    elapsed: Period
    before: Period

    @property
    def last_month(self) -> Period:
        return Period.month(self.period.last_day)


def alike(compared: Compared, *, today: date) -> Alike | None:
    """What of the two periods is like for like; None where both are closed, so compared whole."""
    month = compared.last_month
    if today >= month.end + INVOICE_WITHIN and compared.elapsed == compared.period:
        return None
    months = {*compared.elapsed.months(), month.before().start}
    asked = CostQuestion(runs_of_months(compared.runs, months), TeamScope.everything())
    billed = billed_months(question=asked, today=today)
    if not is_open(compared, billed, today=today):
        return None
    return Alike(tuple(_days_of_sources(compared, billed)))


def is_open(compared: Compared, billed: Iterable[BilledMonth], *, today: date) -> bool:
    """The period's last month runs, its bills do not reach its end, or lack an invoice that the
    month before had.
    """
    month = compared.last_month
    if compared.elapsed != compared.period or today < month.end:
        return True
    if today >= month.end + INVOICE_WITHIN:
        return False
    before = {
        one.source_id for one in billed if one.month == month.before().start and one.has_invoice
    }
    return any(
        (one.through is not None and one.through < month.last_day)
        or (one.source_id in before and not one.has_invoice)
        for one in billed
        if one.month == month.start
    )


INVOICED_MONTHS = 3  # what is usual is told of so many


def usual_invoice(question: CostQuestion, *, before: date) -> dict[str, Decimal]:
    """What came with the invoices of the question's newest months before `before`: the average of a
    month, exactly as asked for but in whole billing months, largest first. Rounded: it is for
    reading.
    """
    earlier = {run.month for run in question.runs if run.month < before}
    months = sorted(earlier, reverse=True)[:INVOICED_MONTHS]
    asked = replace(
        question,
        runs=runs_of_months(question.runs, months),
        period=None,
        compare=None,
        alike=None,
    )
    found = {
        row.key[0]: row.now / len(months)
        for row in (costs(asked.by("with_invoice")) if months else [])
        if row.key[0] is not None and row.now
    }
    return dict(sorted(found.items(), key=lambda one: (-abs(one[1]), one[0])))


def _days_of_sources(compared: Compared, billed: Iterable[BilledMonth]) -> Iterable[SourceDays]:
    """One per source that is billed in the period, by its last day in it."""
    elapsed, before = compared.elapsed, compared.before
    ends: dict[int, date] = {}
    for one in billed:
        if one.month in elapsed.months():
            end = elapsed.end if one.through is None else min(one.through + DAY, elapsed.end)
            ends[one.source_id] = max(end, ends.get(one.source_id, end))
    for source, end in sorted(ends.items()):
        same = before.end if end == elapsed.end else before.start + (end - elapsed.start)
        yield SourceDays(source, end, min(same, before.end))
