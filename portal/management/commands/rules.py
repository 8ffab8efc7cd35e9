"""Shows, tries and applies the allocation rules."""

from __future__ import annotations

import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from allocation.preview.apply import NotPreviewed
from allocation.preview.preview import carry_out_preview, preview_months, record_preview
from allocation.rules.checks import Finding
from allocation.rules.rule_sets import rule_set_for
from allocation.rules.rules import RuleError
from allocation.runs.month import AllocationBusy
from allocation.values.money import EXACT, plain
from allocation.values.periods import Period
from portal.commands import PortalCommand, Refused, month_argument
from portal.decisions.rules import apply_previewed
from portal.ingest.otlp.rollup.merge import merge_deltas
from portal.pages.rules.findings import grouped


class Command(PortalCommand):
    help = (
        "export: write the rules in force; preview: what a file's rules would change; apply: put "
        "them in force."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("action", choices=("export", "preview", "apply"))
        parser.add_argument(
            "file",
            metavar="FILE",
            nargs="?",
            default="-",
            help="- or nothing: standard input or output",
        )
        parser.add_argument(
            "--month",
            type=month_argument,
            metavar="YYYY-MM",
            help="export: in force when; preview, apply: from when (default: the running month)",
        )
        parser.add_argument(
            "--through",
            type=month_argument,
            metavar="YYYY-MM",
            help="preview: the last month whose charges it is tried on",
        )
        parser.add_argument("--note", default="", help="apply: why")

    def run(self, **options: Any) -> dict[str, Any]:
        month = (options["month"] or Period.month(timezone.now().date())).start
        if options["action"] == "export":
            return self.export(month, options["file"])
        text = read(options["file"])
        try:
            if options["action"] == "preview":
                return self.preview(
                    text, month, options["through"].start if options["through"] else None
                )
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

    def preview(self, text: str, month: date, through: date | None) -> dict[str, Any]:
        merge_deltas()  # as before an allocation, so that both see the same usage
        months = preview_months(month, through)
        now = timezone.now()
        preview = record_preview(
            text=text, effective_from=month, months=months, created_by=None, now=now
        )
        try:
            outcome = carry_out_preview(preview, now=now, progress=self.progress).outcome or {}
        except AllocationBusy as busy:
            raise Refused(str(busy)) from busy
        chosen = next(
            (each for each in outcome["rules"] if each["month"] == f"{month:%Y-%m}"), None
        )
        chosen = chosen or (
            outcome["rules"][-1]
            if outcome["rules"]
            else {"reach": [], "unmatched": [], "findings": []}
        )
        return {
            "preview": preview.pk,
            "sha256": preview.content_sha256,
            "effective_from": f"{month:%Y-%m}",
            "base_rule_set": preview.base_number,
            "months": preview.months,
            "expires_at": preview.expires_at.isoformat(),
            "period": chosen.get("month", f"{month:%Y-%m}"),
            "rules": chosen["reach"],
            "unmatched": chosen["unmatched"],
            "findings": chosen["findings"],
            "runs": outcome["runs"],
            "differences": outcome["differences"],
        }

    def apply(self, text: str, month: date, note: str) -> dict[str, Any]:
        try:
            made, is_new = apply_previewed(
                text=text, effective_from=month, acting_user=None, note=note
            )
        except NotPreviewed as missing:
            raise Refused(
                f"{missing}. Preview first: manage.py rules preview FILE --month {month:%Y-%m}"
            ) from missing
        return {
            "rule_set": made.number,
            "status": "applied" if is_new else "unchanged",
            "effective_from": f"{made.effective_from:%Y-%m}",
            "sha256": made.content_sha256,
        }

    said = ""

    def progress(self, _done: int, _total: int, note: str) -> None:
        if note != self.said:
            self.said = note
            self.note(note)

    def show(self, outcome: dict[str, Any]) -> str:
        if "text" in outcome:
            return str(outcome["text"])
        if "rules" in outcome:
            return shown_preview(outcome)
        return "\n".join(f"{name}: {value}" for name, value in outcome.items())


def shown_preview(outcome: dict[str, Any]) -> str:
    lines = [
        f"{row['rule']}: {row['charges']} charges, {row['billed_cost']} {row['currency']} billed,"
        f" {row['effective_cost']} effective"
        for row in outcome["rules"]
    ] or [f"no bill has a charge in {outcome['period']}"]
    lines += [
        f"{group.first.level}: {group}"
        for group in grouped(Finding(**each) for each in outcome["findings"])
    ]
    lines += moved_lines(outcome["differences"])
    lines.append(
        f"preview {outcome['preview']} of {', '.join(outcome['months']) or 'no month'}, sha256 "
        f"{outcome['sha256']}, good until {outcome['expires_at'][:16]} UTC for: rules apply FILE "
        f"--month {outcome['effective_from']}"
    )
    return "\n".join(lines)


def moved_lines(differences: dict[str, Any]) -> list[str]:
    """Who would pay more and who less, a line each."""
    lines = []
    for row in differences["team"]:
        moved = EXACT.subtract(Decimal(row["effective_after"]), Decimal(row["effective_before"]))
        whose = row["name"] or f"unallocated, {row['reason']}"
        words = "pays less by" if moved < 0 else "pays more by"
        lines.append(f"{whose}: {words} {plain(abs(moved))} {row['currency']}")
    return lines


def read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{file} can't be read: {error}") from error
