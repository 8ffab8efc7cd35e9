"""Writes the organisation as a file, shows what a changed file would do, and does exactly that."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from allocation.organisation.store import OrganisationError, preview_organisation, read_tree
from allocation.organisation.tree_changes import ACTIONS, TreePlan
from portal.commands import PortalCommand, Refused
from portal.decisions.organisation import apply_file


class Command(PortalCommand):
    help = (
        "export: write the organisation as CSV; preview: what a file would change; apply: do what "
        "was previewed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("action", choices=("export", "preview", "apply"))
        parser.add_argument(
            "file",
            metavar="FILE",
            nargs="?",
            default="-",
            help="- or nothing: standard in or output",
        )
        parser.add_argument(
            "--previewed",
            default="",
            metavar="ID",
            help="apply: the preview that is meant, as it says",
        )
        parser.add_argument(
            "--rewrite", action="store_true", help="apply: also what changes the recorded past"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        if options["action"] == "export":
            return export(options["file"])
        text, today = read(options["file"]), timezone.now().date()
        if options["action"] == "preview":
            plan = preview_organisation(text=text, today=today)
            return {"status": "refused" if plan.problems else "previewed", **told(plan)}
        try:
            plan = apply_file(
                text=text,
                previewed=options["previewed"],
                rewrite=options["rewrite"],
                acting_user=None,
                today=today,
            )
        except OrganisationError as error:
            raise Refused(
                "\n".join([error.text, *(f"- {problem}" for problem in error.problems)])
            ) from error
        return {"status": "applied" if plan.changes else "unchanged", **told(plan)}

    def show(self, outcome: dict[str, Any]) -> str:
        if "changes" not in outcome:
            return str(
                outcome.get("text")
                or "\n".join(f"{name}: {value}" for name, value in outcome.items())
            )
        lines = [
            f"line {row['line']}: {row['kind']} {row['id']} {row['action']}: {row['words']}"
            for row in outcome["changes"]
        ]
        lines += [f"line {row['line']}: PROBLEM: {row['text']}" for row in outcome["problems"]]
        counts = ", ".join(f"{outcome['counts'][action]} {action}" for action in ACTIONS)
        lines.append(f"{outcome['status']}: {counts}, {outcome['unchanged']} rows unchanged")
        if outcome["status"] == "previewed":
            lines.append(
                f"To do this: manage.py organisation apply FILE --previewed {outcome['previewed']}"
            )
        return "\n".join(lines)


def export(file: str) -> dict[str, Any]:
    tree = read_tree()
    if file != "-":
        try:
            Path(file).write_text(tree.csv_text(), encoding="utf-8")
        except OSError as error:
            raise Refused(f"{file} can't be written: {error.strerror}") from error
    return {
        "sha256": tree.sha256(),
        "text" if file == "-" else "file": tree.csv_text() if file == "-" else file,
    }


def told(plan: TreePlan) -> dict[str, Any]:
    """A plan as JSON has it."""
    return {
        "previewed": plan.token,
        "content_sha256": plan.content_sha256,
        "state_sha256": plan.state_sha256,
        "counts": {action: plan.count(action) for action in ACTIONS},
        "unchanged": plan.unchanged,
        "changes": [
            {
                "line": change.line,
                "kind": change.kind,
                "id": change.own,
                "action": change.action,
                "words": change.words,
                "valid_from": change.valid_from.isoformat() if change.valid_from else None,
                "changes_the_past": change.is_past,
            }
            for change in plan.changes
        ],
        "problems": [{"line": problem.line, "text": problem.text} for problem in plan.problems],
    }


def read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{file} can't be read: {error}") from error
