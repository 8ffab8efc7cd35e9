"""Shows, teaches and applies the organisation's own catalogue of bill and trace wording."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction
from django.utils import timezone

from allocation.catalogue.entries import Entries
from allocation.catalogue.own_entries import (
    CatalogueError,
    apply_catalogue,
    catalogue_csv,
    own_catalogue,
    read_catalogue,
)
from allocation.catalogue.teaching import CannotTeach
from allocation.preview.apply import NotPreviewed
from allocation.preview.preview import carry_out_preview, preview_months, record_preview
from allocation.rules.rule_sets import rule_set_for
from allocation.runs.month import AllocationBusy
from allocation.values.money import plain
from allocation.values.periods import Period
from portal.accounts import audit
from portal.commands import PortalCommand, Refused, month_argument
from portal.decisions.teaching import apply_taught, entries_with, identified, unknown_of
from portal.ingest.otlp.rollup.merge import merge_deltas
from portal.management.commands.rules import moved_lines, read
from reports.queries.explain.rule_sets import rule_preview
from reports.queries.ownership.unknown import UnknownList


class Command(PortalCommand):
    help = (
        "export: write the entries in force as CSV; apply: put a file's entries, or with --preview"
        " those of a preview, in force instead; unknown: list what nobody understands of a month's"
        " bills; teach: preview what one of that list means; preview: what a file's entries would"
        " change."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("action", choices=("export", "apply", "unknown", "teach", "preview"))
        parser.add_argument(
            "file",
            metavar="FILE",
            nargs="?",
            default="-",
            help="- or nothing: standard input or output",
        )
        parser.add_argument("--note", default="", help="apply: why")
        parser.add_argument("--month", type=month_argument, metavar="YYYY-MM")
        parser.add_argument("--currency", default="USD", help="unknown, teach: of the bills")
        parser.add_argument("--what", metavar="ID", help="teach: the id that unknown tells")
        parser.add_argument("--means", default="", help="teach: a model, or tokens in one unit")
        parser.add_argument("--preview", type=int, metavar="N", help="apply: of this preview")

    def run(self, **options: Any) -> dict[str, Any]:
        action, month = options["action"], options["month"]
        if action == "export":
            return self.export(options["file"])
        start = (month or Period.month(timezone.now().date())).start
        try:
            if action in ("unknown", "teach"):
                found = unknown_of(start, options["currency"])
                if action == "unknown":
                    return unknown_json(found, start, options["currency"])
                one = identified(found, options["what"] or "")
                return self.preview(entries_with(found, one, options["means"]), start)
            if action == "apply" and options["preview"]:
                return self.apply_preview(options["preview"], options["note"])
            entries = read_catalogue(read(options["file"]))
            if action == "preview":
                return self.preview(entries, start)
        except CatalogueError as error:
            raise Refused(
                f"{options['file']}: the entries can't be used; put this right and try again:\n"
                + "\n".join(f"- {problem}" for problem in error.problems)
            ) from error
        except CannotTeach as error:
            raise Refused(f"{error} (manage.py catalogue unknown)") from error
        return self.apply(entries, options["note"])

    def apply(self, entries: Entries, note: str) -> dict[str, Any]:
        with transaction.atomic():
            made, is_new = apply_catalogue(entries=entries, acting_user=None, note=note)
            if made and is_new:
                audit.record(
                    None,
                    "apply catalogue",
                    f"catalogue {made.number}",
                    {"sha256": made.content_sha256},
                )
        return {
            "catalogue": made.number if made else 0,
            "status": "applied" if is_new else "unchanged",
            "entries": len(entries),
        }

    def apply_preview(self, number: int, note: str) -> dict[str, Any]:
        preview = rule_preview(number)
        if preview is None:
            raise Refused(f"there is no preview {number}; they are kept for a day")
        try:
            made, is_new = apply_taught(preview, acting_user=None, note=note)
        except NotPreviewed as missing:
            raise Refused(f"{missing}; preview it again") from missing
        return {
            "catalogue": made.number if made else 0,
            "status": "applied" if is_new else "unchanged",
            "entries": len(own_catalogue().entries),
        }

    def preview(self, entries: Entries, month: date) -> dict[str, Any]:
        merge_deltas()  # as before an allocation, so that both see the same usage
        now = timezone.now()
        preview = record_preview(
            text=rule_set_for(month).text,
            effective_from=month,
            months=preview_months(month),
            created_by=None,
            now=now,
            catalogue=catalogue_csv(entries),
        )
        try:
            outcome = carry_out_preview(preview, now=now).outcome or {}
        except AllocationBusy as busy:
            raise Refused(str(busy)) from busy
        known = own_catalogue().entries
        return {
            "preview": preview.pk,
            "months": preview.months,
            "expires_at": preview.expires_at.isoformat(),
            "new_entries": [each._asdict() for each in entries if each not in known],
            "runs": outcome["runs"],
            "differences": outcome["differences"],
        }

    def export(self, file: str) -> dict[str, Any]:
        found = own_catalogue()
        text = catalogue_csv(found.entries)
        if file != "-":
            try:
                Path(file).write_text(text, encoding="utf-8")
            except OSError as error:
                raise Refused(f"{file} can't be written: {error.strerror}") from error
        return {
            "catalogue": found.number,
            "sha256": found.sha256,
            "text" if file == "-" else "file": text if file == "-" else file,
        }

    def show(self, outcome: dict[str, Any]) -> str:
        if "text" in outcome:
            return str(outcome["text"])
        if "unknown" in outcome:
            return shown_unknown(outcome)
        if "differences" in outcome:
            return shown_preview(outcome)
        return "\n".join(f"{name}: {value}" for name, value in outcome.items())


def unknown_json(found: UnknownList, month: date, currency: str) -> dict[str, Any]:
    return {
        "period": f"{month:%Y-%m}",
        "currency": currency,
        "unknown": [
            {
                "id": one.identity,
                "kind": one.kind,
                "wording": one.name,
                "source": one.source,
                "provider": one.provider,
                "effective_cost": plain(one.cost),
                "charges": one.charges,
                "example": one.example,
            }
            for one in found.found
        ],
    }


def shown_unknown(outcome: dict[str, Any]) -> str:
    lines = [
        f"{each['effective_cost']} {outcome['currency']}: {each['kind']} {each['wording']!r}"
        f" at {each['source']}, {each['charges']} bill lines, such as {each['example']!r};"
        f" teach --what {each['id']} --means ..."
        for each in outcome["unknown"]
    ]
    return "\n".join(lines) or f"nothing is unknown of {outcome['period']}"


def shown_preview(outcome: dict[str, Any]) -> str:
    lines = [f"new: {each['side']} {each['pattern']}" for each in outcome["new_entries"]]
    lines += moved_lines(outcome["differences"])
    lines.append(
        f"preview {outcome['preview']} of {', '.join(outcome['months']) or 'no month'}, good until"
        f" {outcome['expires_at'][:16]} UTC for: catalogue apply --preview {outcome['preview']}"
    )
    return "\n".join(lines)
