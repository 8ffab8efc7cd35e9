"""Makes a FinOps admin and prints a random password, this once: how the first person gets into a
new portal.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from allocation.values.names import quoted
from portal.accounts.people import NameTaken, add_admin
from portal.commands import PortalCommand, Refused


class Command(PortalCommand):
    help = (
        "Make a FinOps admin, who gives everyone else access at /admin/, and print a random "
        "password, once"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("username", help="the name to sign in with")

    def run(self, **options: Any) -> dict[str, Any]:
        username = options["username"]
        try:
            UnicodeUsernameValidator()(username)
            _, password = add_admin(username=username)
        except ValidationError as error:
            raise Refused(f"{quoted(username)}: {error.messages[0]}") from error
        except NameTaken as taken:
            raise Refused(str(taken)) from taken
        return {"username": username, "role": "finops_admin", "password": password}

    def show(self, outcome: dict[str, Any]) -> str:
        return (
            f"{outcome['username']} may sign in as FinOps admin. Password, shown this once: "
            f"{outcome['password']}"
        )
