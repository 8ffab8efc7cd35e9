"""Allocates the charges billed in a month and publishes the result."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from allocation.rules.rules import RuleError
from allocation.runs.month import AllocationBusy, allocate_period
from portal.commands import PortalCommand, Refused, month_argument
from portal.ingest.otlp.rollup.merge import merge_deltas


class Command(PortalCommand):
    help = "Allocate the charges billed in a month to teams, models and features."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("period", type=month_argument, metavar="YYYY-MM")

    def run(self, **options: Any) -> dict[str, Any]:
        began = time.monotonic()
        merge_deltas()  # list prices weigh what no token class does; only merged usage is priced
        try:
            outcome = allocate_period(
                period=options["period"], now=timezone.now(), progress=self.progress
            )
        except AllocationBusy as error:
            raise Refused(str(error)) from error
        except RuleError as error:
            raise Refused(f"the rules in force can't be used: {error}") from error
        return {
            "period": str(outcome.period),
            "runs": [
                {
                    "run": run.run,
                    "currency": run.currency,
                    "rule_set": run.rule_set,
                    "rows": run.rows,
                    "sha256": run.sha256,
                }
                for run in outcome.runs
            ],
            "seconds": round(time.monotonic() - began, 3),
        }

    said = ""

    def progress(self, _done: int, _total: int, note: str) -> None:
        if note != self.said:
            self.said = note
            self.note(note)

    def show(self, outcome: dict[str, Any]) -> str:
        lines = [
            f"run {run['run']}: {run['rows']} rows in {run['currency']}, rule set "
            f"{run['rule_set']}, sha256 {run['sha256']}"
            for run in outcome["runs"]
        ]
        return "\n".join(lines) or f"no bill has a charge in {outcome['period']}"
