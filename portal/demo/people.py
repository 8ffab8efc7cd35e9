"""One person for each role, with a new random password at every start of the demo."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.db import transaction

from allocation.models import Team
from portal.accounts import audit
from portal.accounts.models import Membership, Role, User


@dataclass(frozen=True)
class Login:
    """What a reader types to come in."""

    username: str
    password: str
    role: str


# username: (full name, role, teams they lead)
PEOPLE: dict[str, tuple[str, Role, tuple[str, ...]]] = {
    "executive": ("Erin Calloway", Role.EXECUTIVE, ()),
    "teamlead": ("Tomas Okafor", Role.TEAM_LEAD, ("support", "conversations")),
    "finance": ("Fiona Brandt", Role.FINANCE, ()),
    "oncall": ("Omar Lindqvist", Role.ON_CALL, ()),
    "admin": ("Ada Moreau", Role.FINOPS_ADMIN, ()),
}


@transaction.atomic
def ensure_people() -> list[Login]:
    """The five logins; earlier passwords and sessions end."""
    logins = []
    for username, (name, role, teams) in PEOPLE.items():
        first, _, last = name.partition(" ")
        user, _ = User.objects.get_or_create(
            username=username,
            defaults={
                "first_name": first,
                "last_name": last,
                "email": f"{username}@larkspur.example",
            },
        )
        password = secrets.token_urlsafe(12)
        user.set_password(password)
        user.save(update_fields=["password"])
        for slug in teams or (None,):
            team = Team.objects.get(slug=slug) if slug else None
            Membership.objects.get_or_create(user=user, role=role, team=team)
        audit.record("demo", "password replaced", username)
        label = role.label + (f" of {' and '.join(teams)}" if teams else "")
        logins.append(Login(username, password, label))
    return logins
