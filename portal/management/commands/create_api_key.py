"""Makes an API key and prints its secret, this once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from allocation.models import Team
from allocation.values.names import quoted
from portal.accounts.keys import create_key
from portal.accounts.models import KeyScope
from portal.commands import PortalCommand, Refused


class Command(PortalCommand):
    help = (
        "Make an API key and print its secret, once. It goes into the header Authorization: Bearer "
        "SECRET"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", help="what the key is for, shown in lists")
        parser.add_argument("--scope", required=True, choices=KeyScope.values)
        parser.add_argument(
            "--team", metavar="SLUG", help="bind the key to one team; without it, it speaks for all"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        slug = options["team"]
        team = Team.objects.filter(slug=slug).first() if slug else None
        if slug and team is None:
            known = (
                ", ".join(Team.objects.order_by("slug").values_list("slug", flat=True))
                or "none yet"
            )
            raise Refused(f"--team: there is no team {quoted(slug)}. Teams: {known}.")
        key, secret = create_key(options["name"], options["scope"], team, None)
        return {"id": key.pk, "name": key.name, "scope": key.scope, "team": slug, "key": secret}

    def show(self, outcome: dict[str, Any]) -> str:
        whom = f"team {outcome['team']}" if outcome["team"] else "every team"
        return (
            f"{outcome['key']}\n"
            f"Key {quoted(outcome['name'])} for {whom}, shown this once: Authorization: Bearer KEY"
        )
