"""Compares a month's published charges with what the ledger made of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.management.base import CommandParser

from allocation.values.money import plain
from portal.commands import PortalCommand, month_argument
from reports.asking import TeamScope
from reports.cost_question.question import LEDGER_PARTS
from reports.queries.reconcile.bridge import (
    AMORTISED,
    OTHER,
    PURCHASES,
    STEPS,
    UNUSED,
    USED,
    bridges,
)
from reports.queries.reconcile.ledger import reconcile_period
from reports.queries.reconcile.other_months import EarlierCost

WORDS = {
    PURCHASES: "purchases",
    USED: "commitment used",
    UNUSED: "commitment unused",
    AMORTISED: "amortised",
    OTHER: "other",
}


class Command(PortalCommand):
    help = "Check that allocated and unallocated cost add up to the charges of a month, exactly."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("period", type=month_argument, metavar="YYYY-MM")
        parser.add_argument(
            "--bridge", action="store_true", help="also say how billed and effective cost differ"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        found = reconcile_period(period=options["period"])
        outcome: dict[str, Any] = {
            "period": str(found.period),
            "balanced": found.is_balanced,
            "rows": [
                {
                    "source": row.source,
                    "currency": row.currency,
                    "metric": row.metric,
                    "run": row.run,
                    "charges": plain(row.charges),
                    "allocated": plain(row.allocated),
                    **{part: plain(getattr(row, part)) for part in LEDGER_PARTS},
                    "difference": plain(row.difference),
                    "rejected": {
                        "rows": row.rejected.rows,
                        "billed_cost": plain(row.rejected.billed_cost),
                        "unreadable": row.rejected.unreadable,
                    },
                }
                for row in found.rows
            ],
        }
        if found.troubles:
            outcome["troubles"] = found.troubles
        if found.earlier:
            outcome["earlier_months"] = [
                {
                    "source": cost.source,
                    "currency": cost.currency,
                    "month": cost.month,
                    "billed_cost": plain(cost.billed_cost),
                    "effective_cost": plain(cost.effective_cost),
                    "shown": cost.is_shown,
                }
                for cost in found.earlier
            ]
        if options["bridge"]:
            outcome["bridges"] = [
                {
                    "source": bridge.source,
                    "currency": bridge.currency,
                    "effective_cost": plain(bridge.effective),
                    **{step: plain(amount) for step, amount in bridge.steps.items()},
                    "billed_cost": plain(bridge.billed),
                }
                for bridge in bridges(period=options["period"], scope=TeamScope.everything())
            ]
        return outcome

    def show(self, outcome: dict[str, Any]) -> str:
        lines = [
            f"{row['source']} {row['currency']} {row['metric']}: charges {row['charges']}, "
            f"allocated {row['allocated']} ({row['attributed']} of it attributed), unallocated "
            f"{row['unallocated']}, difference {row['difference']}"
            for row in outcome["rows"]
        ]
        lines += [
            f"{bridge['source']} {bridge['currency']}: billed {bridge['billed_cost']} = effective "
            f"{bridge['effective_cost']} + "
            + " + ".join(f"{WORDS[step]} {bridge[step]}" for step in STEPS)
            for bridge in outcome.get("bridges", [])
        ]
        lines += [
            EarlierCost(
                cost["source"],
                cost["currency"],
                cost["month"],
                Decimal(cost["billed_cost"]),
                Decimal(cost["effective_cost"]),
                cost["shown"],
            ).words
            for cost in outcome.get("earlier_months", [])
            if not cost["shown"]
        ]
        troubles = "; ".join(outcome.get("troubles", []))
        verdict = "balanced" if outcome["balanced"] else f"NOT balanced: {troubles}"
        return "\n".join([*lines, f"{outcome['period']}: {verdict}"])
