"""manage.py import_bill PATH... --source NAME: load one bill and publish it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from allocation.models import Delivery
from portal.commands import PortalCommand
from portal.ingest.bills.delivery import load_bill
from portal.ingest.bills.files.gathering import files_at
from portal.ingest.bills.formats import AUTO, format_choices
from portal.ingest.problems import Problem, ProblemCount

NO_BILL = "that month has no bill of its own"


class Command(PortalCommand):
    help = "Load the files of one bill and publish it."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "paths",
            type=Path,
            nargs="+",
            metavar="PATH",
            help="a file, a folder or a ZIP archive; all of them are one delivery",
        )
        parser.add_argument(
            "--source", required=True, help="where the bill comes from, for example aws-main"
        )
        parser.add_argument(
            "--format",
            default=AUTO,
            choices=format_choices(),
            help="of the file (default: the one that recognises it)",
        )
        parser.add_argument(
            "--delivery",
            choices=Delivery.values,
            help="how a new source delivers (default: overwrite)",
        )
        parser.add_argument(
            "--month", help="YYYY-MM: refuse the file if it is the bill of another month"
        )
        parser.add_argument(
            "--confirm-shrink",
            action="store_true",
            help="load it although it holds less than half of what is published",
        )

    def run(self, **options: Any) -> dict[str, Any]:
        outcome = load_bill(
            files=files_at(options["paths"]),
            source_name=options["source"],
            delivery=options["delivery"],
            format=options["format"],
            confirm_shrink=options["confirm_shrink"],
            month=options["month"],
            created_by="import_bill",
        )
        return outcome.to_json()

    def show(self, outcome: dict[str, Any]) -> str:
        lines = [f"import {outcome['import']}: {outcome['status']}"]
        if outcome.get("reason"):
            lines.append(outcome["reason"])
        lines.append(
            f"{outcome['rows_read']:,} rows read, {outcome['rows_loaded']:,} loaded, "
            f"{outcome['rows_rejected']:,} rejected, in {outcome['seconds']:.1f} s"
        )
        lines += [
            f"{total['currency']}: billed {total['billed_cost']}, effective "
            f"{total['effective_cost']}"
            for total in outcome["totals"]
        ]
        lines += [
            f"replaced {each['account']}, {each['period']}: {each['rows_before']:,} rows and "
            f"{each['billed_before']} {each['currency']} billed before, {each['rows_after']:,} "
            f"rows and {each['billed_after']} now"
            for each in outcome["replaced"]
        ]
        lines += [
            f"rejected: rows ({each['rows']:,}) of {each['month']} with {each['billed_cost']} "
            f"{each['currency']} billed, {each['unreadable']:,} of them without a readable amount"
            for each in outcome.get("rejected_money", [])
            if each["month"]
        ]
        if len(outcome["files"]) > 1:
            lines += [
                f"{each['name']}: {each['rows_read']:,} rows read, {each['rows_loaded']:,} loaded, "
                f"{each['rows_rejected']:,} rejected"
                for each in outcome["files"]
            ]
        lines += [f"repaired: {rule} {count:,} times" for rule, count in outcome["repairs"].items()]
        lines += [
            f"charged for {each['month']}: rows ({each['rows']:,}) with {each['billed_cost']} "
            f"{each['currency']} billed, shown "
            + ("on the pages of that month" if each["has_bill"] else f"on no page: {NO_BILL}")
            for each in outcome.get("earlier_months", [])
        ]
        lines += [
            f"loaded without the value: {ProblemCount(Problem(**each['first']), each['count'])}"
            for each in outcome.get("unread", [])
        ]
        lines += [str(Problem(**each)) for each in outcome["rejected"]]
        return "\n".join(lines)
