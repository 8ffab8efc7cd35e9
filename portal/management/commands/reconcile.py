"""Compares a month's published charges with what the ledger made of them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from allocation.money import plain
from portal.commands import PortalCommand
from portal.management.periods import month_argument
from reports.queries.reconciliation import reconcile_period


class Command(PortalCommand):
    help = "Check that allocated and unallocated cost add up to the charges of a month, exactly."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("period", type=month_argument, metavar="YYYY-MM")

    def run(self, **options: Any) -> dict[str, Any]:
        found = reconcile_period(period=options["period"])
        return {
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
                    "unallocated": plain(row.unallocated),
                    "difference": plain(row.difference),
                }
                for row in found.rows
            ],
        }

    def show(self, outcome: dict[str, Any]) -> str:
        lines = [
            f"{row['source']} {row['currency']} {row['metric']}: charges {row['charges']},"
            f" allocated {row['allocated']}, unallocated {row['unallocated']}, difference {row['difference']}"
            for row in outcome["rows"]
        ]
        verdict = "balanced" if outcome["balanced"] else "NOT balanced: allocate the month again"
        return "\n".join([*lines, f"{outcome['period']}: {verdict}"])
