"""Shows, tries and applies the allocation rules."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction
from django.utils import timezone

from allocation.money import plain
from allocation.periods import Period
from allocation.rule_sets import apply_rules, preview_rules, rule_set_for
from allocation.rules import RuleError
from portal.accounts import audit
from portal.commands import PortalCommand, Refused
from portal.management.periods import month_argument


class Command(PortalCommand):
    help = "export: write the rules in force; preview: what a file's rules would take; apply: put them in force."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("action", choices=("export", "preview", "apply"))
        parser.add_argument(
            "file", metavar="FILE", nargs="?", default="-", help="- or nothing: standard input or output"
        )
        parser.add_argument(
            "--month",
            type=month_argument,
            metavar="YYYY-MM",
            help="export: in force when; preview: whose charges; apply: in force from (default: the running month)",
        )
        parser.add_argument("--note", default="", help="apply: why")

    def run(self, **options: Any) -> dict[str, Any]:
        month = (options["month"] or Period.month(timezone.now().date())).start
        if options["action"] == "export":
            return self.export(month, options["file"])
        text = read(options["file"])
        try:
            if options["action"] == "preview":
                return self.preview(text, month)
            return self.apply(text, month, options["note"])
        except RuleError as error:
            raise Refused(
                f"{options['file']}: the rules can't be used; put this right and try again:\n"
                + "\n".join(f"- {problem}" for problem in error.problems)
            ) from error

    def export(self, month: date, file: str) -> dict[str, Any]:
        found = rule_set_for(month)
        if file != "-":
            try:
                Path(file).write_text(found.text, encoding="utf-8")
            except OSError as error:
                raise Refused(f"{file} can't be written: {error.strerror}") from error
        return {
            "rule_set": found.number,
            "effective_from": f"{found.effective_from:%Y-%m}",
            "sha256": found.content_sha256,
            "text" if file == "-" else "file": found.text if file == "-" else file,
        }

    def preview(self, text: str, month: date) -> dict[str, Any]:
        return {
            "period": f"{month:%Y-%m}",
            "rules": [
                {
                    "rule": reach.rule,
                    "currency": reach.currency,
                    "charges": reach.charges,
                    "billed_cost": plain(reach.billed_cost),
                    "effective_cost": plain(reach.effective_cost),
                }
                for reach in preview_rules(text=text, month=month)
            ],
        }

    def apply(self, text: str, month: date, note: str) -> dict[str, Any]:
        with transaction.atomic():
            made, is_new = apply_rules(text=text, effective_from=month, acting_user=None, note=note)
            if is_new:
                audit.record(None, "apply rules", f"rule set {made.number}", {"sha256": made.content_sha256})
        return {
            "rule_set": made.number,
            "status": "applied" if is_new else "unchanged",
            "effective_from": f"{made.effective_from:%Y-%m}",
            "sha256": made.content_sha256,
        }

    def show(self, outcome: dict[str, Any]) -> str:
        if "text" in outcome:
            return str(outcome["text"])
        if "rules" in outcome:
            lines = [
                f"{row['rule']}: {row['charges']} charges, {row['billed_cost']} {row['currency']} billed,"
                f" {row['effective_cost']} effective"
                for row in outcome["rules"]
            ]
            return "\n".join(lines) or f"no bill has a charge in {outcome['period']}"
        return "\n".join(f"{name}: {value}" for name, value in outcome.items())


def read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{file} can't be read: {error}") from error
