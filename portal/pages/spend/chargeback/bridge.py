"""From billed to effective cost, in named parts: one row per source, whose parts add up exactly."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.http import HttpRequest

from allocation.values.money import exact_sum
from allocation.values.periods import Period
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged
from reports.queries.reconcile.bridge import (
    AMORTISED,
    OTHER,
    PURCHASES,
    STEPS,
    UNUSED,
    USED,
    Bridge,
    bridges,
)
from reports.readable import COSTS

LABELS = {
    PURCHASES: "Purchases",
    USED: "Commitment used",
    UNUSED: "Commitment unused",
    AMORTISED: "Paid earlier",
    OTHER: "Other",
}
REASONS = {
    PURCHASES: (
        "bought in this month and used up in this or later ones: invoiced now, amortised as it"
        " is used"
    ),
    USED: "usage of this month that a commitment paid for, invoiced as a purchase or a fee",
    UNUSED: "what commitments offered this month and nobody used",
    AMORTISED: "other cost of this month that was paid for earlier",
    OTHER: (
        "bill lines whose two costs differ without being prepaid, such as discounts that only one"
        " of them has"
    ),
}


@dataclass(frozen=True)
class BridgeBlock:
    """`difference` is effective less billed cost; `reasons` are label and meaning of the parts that
    are not zero.
    """

    table: Table
    difference: Decimal
    reasons: list[tuple[str, str]]

    @property
    def amount(self) -> Decimal:
        return abs(self.difference)

    @property
    def is_equal(self) -> bool:
        """No source has a part: the two costs are the same, charge for charge."""
        return not self.reasons


def bridge_block(request: HttpRequest, state: PageState, *, month: Period) -> BridgeBlock:
    """Of the bills loaded now, in the page's currency; without rows where the reader sees only some
    teams.
    """
    found = bridges(period=month, scope=state.reader_scope, currency=state.currency)
    shown = [step for step in STEPS if any(bridge.steps[step] for bridge in found)]
    columns = [
        Column("source", "Source"),
        Column("billed", f"{COSTS['billed_cost']}, {state.currency}", "money", state.places),
        *(Column(step, LABELS[step], "money", state.places) for step in shown),
        Column("effective", COSTS["effective_cost"], "money", state.places),
    ]
    rows = [_row(bridge, shown) for bridge in found]
    total: Row = {"source": Cell(value="Total")}
    for column in columns[1:]:
        total[column.key] = Cell(
            value=exact_sum(Decimal(row[column.key].value or 0) for row in rows)
        )
    table = Table(
        "bridge",
        "From invoiced to amortised cost",
        columns,
        rows,
        total=total,
        sort="source",
        sums=True,
    )
    difference = exact_sum(
        part for bridge in found for part in (bridge.effective, bridge.billed.copy_negate())
    )
    return BridgeBlock(
        arranged(table, request), difference, [(LABELS[step], REASONS[step]) for step in shown]
    )


def _row(bridge: Bridge, shown: list[str]) -> Row:
    """Parts with the sign that leads from billed to effective."""
    parts = {step: Cell(value=bridge.steps[step].copy_negate()) for step in shown}
    ends = {"billed": Cell(value=bridge.billed), "effective": Cell(value=bridge.effective)}
    return {"source": Cell(value=bridge.source), **ends, **parts}
