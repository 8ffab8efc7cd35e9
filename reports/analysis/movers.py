"""What moved a cost, by name: which model or service of which feature, and why. Plain values, no
database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from statistics import median
from typing import NamedTuple

from allocation.values.money import EXACT
from allocation.values.periods import DAY, Period
from reports.analysis.spend import APART
from reports.cost_question.answers import UsageCell
from reports.cost_question.question import INFRASTRUCTURE
from reports.queries.costs.spend_items import SpendItem
from reports.readable import grouped

ZERO = Decimal(0)
LONGEST_PEAK = 10  # days, of what was done once
TIMES_USUAL = 2
LEAST_OF_CHANGE = Decimal("0.5")  # that a peak must explain


class MoverKey(NamedTuple):
    """`apart` is a kind of cost that stands for itself; else a feature's model, or where none is
    named what its cost is of, with the service where that says more.
    """

    team: str | None
    feature: str | None
    model: str | None
    group: str
    service: str | None
    apart: str | None


@dataclass(frozen=True)
class Mover:
    key: MoverKey
    now: Decimal
    before: Decimal

    @property
    def amount(self) -> Decimal:
        return EXACT.subtract(self.now, self.before)


def movers(items: Iterable[SpendItem]) -> list[Mover]:
    """All that moved, the largest change first; the changes add up to that of the items."""
    now: dict[MoverKey, Decimal] = {}
    before: dict[MoverKey, Decimal] = {}
    with localcontext(EXACT):
        for item in items:
            key = _key(item)
            now[key] = now.get(key, ZERO) + item.compared
            before[key] = before.get(key, ZERO) + item.before
    found = [Mover(key, now[key], before[key]) for key in now if now[key] != before[key]]
    return sorted(found, key=lambda mover: (-abs(mover.amount), str(mover.key)))


def _key(item: SpendItem) -> MoverKey:
    if item.kind in APART:
        return MoverKey(None, None, None, "", None, item.kind)
    service = item.service if item.group == INFRASTRUCTURE else None
    return MoverKey(item.team, item.feature, item.model, item.group, service, None)


# ---------------------------------------------------------------- why


def reason_of(
    mover: Mover,
    usage: Sequence[UsageCell],
    days: Mapping[date, Decimal],
    periods: Sequence[Period],
) -> str:
    """Why it moved, in a few words: new, gone, done once, or quantity times rate. `days` is its
    cost by day in both `periods`, now and before.
    """
    now, before = periods
    if mover.key.apart:
        return "up" if mover.amount > 0 else "down"
    peak = peak_of(days, now if mover.amount > 0 else before, abs(mover.amount))
    if peak is not None:
        return f"a one-off of {_span(peak)}" + ("" if mover.amount > 0 else " is over")
    if mover.before == 0:
        first = min((day for day in now.days() if days.get(day)), default=None)
        return f"new since {_day(first)}" if first else "new"
    if mover.now == 0:
        last = max((day for day in before.days() if days.get(day)), default=None)
        return f"gone since {_day(last)}" if last else "gone"
    return _quantity_and_rate(mover, usage) or _per_day(mover, periods)


def peak_of(days: Mapping[date, Decimal], period: Period, amount: Decimal) -> Period | None:
    """The days on which something was done once: few, together, far above the others, and most of
    the amount.
    """
    costs = {day: days.get(day, ZERO) for day in period.days()}
    usual = median(costs.values())
    level = max(usual * TIMES_USUAL, sum(costs.values(), ZERO) / len(costs))
    high = [day for day, cost in costs.items() if cost > level]
    if not high or len(costs) <= 2 * LONGEST_PEAK:
        return None
    peak = Period(high[0], high[-1] + DAY)
    excess = sum((costs[day] - usual for day in peak.days()), ZERO)
    is_short = peak.length <= LONGEST_PEAK and peak.length == len(high)
    return peak if is_short and excess >= amount * LEAST_OF_CHANGE else None


def _quantity_and_rate(mover: Mover, usage: Sequence[UsageCell]) -> str:
    """What moved the cost most, of calls, tokens per call and cost per token; "" without calls."""
    key = mover.key
    own = [u for u in usage if (u.team, u.feature, u.model) == (key.team, key.feature, key.model)]
    with localcontext(prec=60):
        calls, calls_before = _sum(own, "calls"), _sum(own, "calls_before")
        tokens, tokens_before = _sum(own, "tokens"), _sum(own, "tokens_before")
        if not key.model or min(calls, calls_before, tokens, tokens_before) <= 0:
            return ""
        rates = mover.now * 1_000_000 / tokens, mover.before * 1_000_000 / tokens_before
        lengths = tokens / calls, tokens_before / calls_before
        factors = [
            ("more calls", "fewer calls", calls, calls_before, "", 0),
            ("longer calls", "shorter calls", *lengths, " tokens each", 0),
            ("a higher rate", "a lower rate", *rates, " per million tokens", 2),
        ]
        up, down, after, earlier, unit, places = max(
            (one for one in factors if one[2] > 0 and one[3] > 0),
            key=lambda one: _moves(one[2] / one[3], mover.amount),
        )
    words = up if after > earlier else down
    return f"{words}, {grouped(earlier, places)} \u2192 {grouped(after, places)}{unit}"


def _moves(ratio: Decimal, amount: Decimal) -> Decimal:
    """How far a factor moves the cost in the direction in which it went."""
    return ratio.ln() if amount > 0 else -ratio.ln()


def _sum(cells: Iterable[UsageCell], name: str) -> Decimal:
    return sum((getattr(cell, name) for cell in cells), ZERO)


def _per_day(mover: Mover, periods: Sequence[Period]) -> str:
    now, before = (
        amount / period.length
        for amount, period in zip((mover.now, mover.before), periods, strict=True)
    )
    shown = grouped(before, 2), grouped(now, 2)
    if shown[0] == shown[1]:
        more = periods[0].length > periods[1].length
        return f"{'more' if more else 'fewer'} days, {shown[0]} a day as before"
    words = "more a day" if now > before else "less a day"
    return f"{words}, {shown[0]} \u2192 {shown[1]}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


def _span(period: Period) -> str:
    first, last = period.start, period.last_day
    if first == last:
        return _day(first)
    start = str(first.day) if first.month == last.month else _day(first)
    return f"{start} to {_day(last)}"
