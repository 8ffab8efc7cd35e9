"""manage.py usage FROM TO --by ...: the model calls of some days, as traces tell them."""

from __future__ import annotations

import argparse
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from portal.commands import PortalCommand, day_argument
from portal.ingest.otlp.job_kinds import refresh_prices
from portal.ingest.otlp.rollup.merge import merge_deltas
from reports.asking import TeamScope
from reports.queries.usage.by import BY, usage_by
from reports.queries.usage.rows import usage_row

ALL_OF_IT = 3600.0  # seconds that merging may take


class Command(PortalCommand):
    help = "Model calls, tokens and list cost of UTC days; FROM is included, TO is not."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("first", type=day_argument, metavar="FROM")
        parser.add_argument("last", type=day_argument, metavar="TO")
        parser.add_argument(
            "--by",
            type=names_argument,
            default=["provider", "model"],
            metavar="NAME,...",
            help=f"any of {', '.join(BY)}",
        )

    def run(self, **options: Any) -> dict[str, Any]:
        refresh_prices(created_by="usage")
        merge_deltas(ALL_OF_IT)
        names: list[str] = options["by"]
        rows = usage_by(
            names=names,
            first=options["first"],
            last=options["last"],
            teams=TeamScope.everything(),
            shows_names=settings.PERSON_NAMES,
        )
        return {
            "from": options["first"].isoformat(),
            "to": options["last"].isoformat(),
            "rows": [usage_row(names, row) for row in rows],
        }

    def show(self, outcome: dict[str, Any]) -> str:
        lines = []
        for row in outcome["rows"]:
            named = [str(value) for value in row.values() if isinstance(value, str | None)]
            tokens = sum(Decimal(str(count)) for count in row["tokens"].values())
            cost = row["list_cost"] or "without a price"
            told = [value for value in named if value not in (cost, row["client_cost"])]
            general = row["calls_at_general_price"]
            note = f", {general} at the general price for want of one of their tier"
            lines.append(
                f"{' '.join(told)}: {row['calls']} calls, {tokens} tokens, {cost}"
                f"{note if general else ''}"
            )
        return "\n".join(lines) or "no calls in these days"


def names_argument(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in BY]
    if unknown or not names or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r}: name any of {', '.join(BY)}, each once")
    return names
