"""What a draft of the rules changes: who gains and who loses, exactly and by every level."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from allocation.ledger.slices import NotBalanced
from allocation.values.money import EXACT, exact_sum, plain

METRICS = ("billed_cost", "effective_cost")
LEVELS = ("team", "product", "model", "feature", "month")
# Billed before, billed after, effective before, effective after.
Amounts = tuple[Decimal, Decimal, Decimal, Decimal]
AMOUNT_NAMES = ("billed_before", "billed_after", "effective_before", "effective_after")
ZEROS: Amounts = (Decimal(0),) * 4


def plain_amounts(line: dict[str, Any]) -> dict[str, Any]:
    """The values of a line, amounts as exact text."""
    return {
        name: plain(value) if isinstance(value, Decimal) else value for name, value in line.items()
    }


CELLS_SQL = """
-- One row per source and everything a difference is told by: money of one run and of the other.
SELECT source_id, team, product, model, feature, reason,
    coalesce(sum(billed_cost) FILTER (WHERE run_id = %(before)s), 0),
    coalesce(sum(billed_cost) FILTER (WHERE run_id = %(after)s), 0),
    coalesce(sum(effective_cost) FILTER (WHERE run_id = %(before)s), 0),
    coalesce(sum(effective_cost) FILTER (WHERE run_id = %(after)s), 0)
FROM cost_daily WHERE run_id IN (%(before)s, %(after)s)
GROUP BY 1, 2, 3, 4, 5, 6
"""


class CostOwner(NamedTuple):
    """Whose money: `owner` is the feature's team; unallocated cost has a reason and no name."""

    currency: str
    name: str | None
    owner: str | None = None
    reason: str | None = None


class Differences:
    """Sums of both outcomes by every level; exact, and of one currency each."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[CostOwner, Amounts]] = {level: {} for level in LEVELS}
        self.moved: dict[tuple[str, str], dict[str, Decimal]] = {}

    def add(self, month: str, currency: str, *, before: int, after: int) -> None:
        """Compare two runs of a month. Raises NotBalanced where a source's differences miss zero,
        which would be a fault of the program.
        """
        by_source: dict[int, Amounts] = {}
        by_team: dict[CostOwner, Amounts] = {}
        with connection.cursor() as cursor:
            cursor.execute(CELLS_SQL, {"before": before, "after": after})
            rows = cursor.fetchall()
        for source, team, product, model, feature, reason, *money in rows:
            amounts: Amounts = tuple(money)
            owner = CostOwner(currency, team, reason=reason)
            _plus(by_source, source, amounts)
            _plus(by_team, owner, amounts)
            _plus(self.parts["team"], owner, amounts)
            _plus(self.parts["product"], CostOwner(currency, product), amounts)
            _plus(self.parts["model"], CostOwner(currency, model), amounts)
            _plus(
                self.parts["feature"],
                CostOwner(currency, feature, owner=team, reason=reason),
                amounts,
            )
            _plus(self.parts["month"], CostOwner(currency, month), amounts)
        for source, amounts in by_source.items():
            if any(_differences(amounts)):
                raise NotBalanced(
                    f"source {source}, {month} {currency}: the draft's cost differs by {amounts}"
                )
        gains = [_differences(amounts) for amounts in by_team.values()]
        self.moved[month, currency] = {
            metric: exact_sum(max(gain[n], Decimal(0)) for gain in gains)
            for n, metric in enumerate(METRICS)
        }

    def as_json(self) -> dict[str, Any]:
        """Lines that differ, biggest gain first within a currency; of months all, with the money
        that changes hands.
        """
        found: dict[str, Any] = {}
        for level, parts in self.parts.items():
            lines = [
                {**part._asdict(), **dict(zip(AMOUNT_NAMES, map(plain, amounts), strict=True))}
                for part, amounts in sorted(parts.items(), key=_order)
                if level == "month" or any(_differences(amounts))
            ]
            found[level] = lines
        for line in found["month"]:
            line["moved"] = plain_amounts(self.moved[line["name"], line["currency"]])
        return {"differences": found}


def _order(item: tuple[CostOwner, Amounts]) -> tuple[Any, ...]:
    part, amounts = item
    return (
        part.currency,
        -_differences(amounts)[1],
        part.name or "",
        part.owner or "",
        part.reason or "",
    )


def _differences(amounts: Amounts) -> tuple[Decimal, Decimal]:
    """Billed and effective, after minus before."""
    return EXACT.subtract(amounts[1], amounts[0]), EXACT.subtract(amounts[3], amounts[2])


def _plus(sums: dict[Any, Amounts], key: Any, amounts: Amounts) -> None:
    known = sums.get(key, ZEROS)
    sums[key] = tuple(EXACT.add(one, other) for one, other in zip(known, amounts, strict=True))  # type: ignore[assignment]
