"""Changes to who may do what. Every change is audited in its own transaction, and nobody changes
their own roles.
"""

from __future__ import annotations

import secrets

from allauth.mfa.models import Authenticator
from django.db import IntegrityError, transaction

from allocation.models import Team
from portal.accounts import audit
from portal.accounts.models import Membership, Role, User


class OwnAccess(Exception):
    """The acting user tried to change their own access."""

    def __str__(self) -> str:
        return "Nobody changes their own access. Ask another FinOps admin."


class NameTaken(Exception):
    def __init__(self, username: str) -> None:
        super().__init__(username)
        self.username = username

    def __str__(self) -> str:
        return f"There is already a user named {self.username}. Choose another name."


COMMAND_LINE = "command line"  # who acts where the operator of the machine does


def add_person(*, username: str, full_name: str, email: str, acting_user: User) -> tuple[User, str]:
    """The new user and a random password, which is shown this once. They hold no role yet."""
    return _add(username, full_name, email, actor=acting_user.username)


@transaction.atomic
def add_admin(*, username: str) -> tuple[User, str]:
    """A FinOps admin and a random password. The first admin of a portal is made in no other way."""
    user, password = _add(username, "", "", actor=COMMAND_LINE)
    Membership.objects.create(user=user, role=Role.FINOPS_ADMIN)
    audit.record(COMMAND_LINE, "role granted", username, role_detail(Role.FINOPS_ADMIN, None))
    return user, password


@transaction.atomic
def _add(username: str, full_name: str, email: str, *, actor: str) -> tuple[User, str]:
    password = secrets.token_urlsafe(15)
    first, _, last = full_name.partition(" ")
    try:
        with transaction.atomic():
            user = User.objects.create_user(
                username, email, password, first_name=first, last_name=last
            )
    except IntegrityError:
        raise NameTaken(username) from None
    audit.record(actor, "user added", username)
    return user, password


@transaction.atomic
def grant(*, user: User, role: Role, team: Team | None, acting_user: User) -> bool:
    """Whether the user did not hold the role before."""
    refuse_own_access(user, acting_user)
    _, created = Membership.objects.get_or_create(user=user, role=role, team=team)
    if created:
        audit.record(acting_user.username, "role granted", user.username, role_detail(role, team))
    return created


@transaction.atomic
def withdraw(*, membership: Membership, acting_user: User) -> None:
    refuse_own_access(membership.user, acting_user)
    detail = role_detail(Role(membership.role), membership.team)
    membership.delete()
    audit.record(acting_user.username, "role withdrawn", membership.user.username, detail)


@transaction.atomic
def set_active(*, user: User, active: bool, acting_user: User) -> None:
    """A deactivated user is signed out with their next request: a session of an inactive user
    counts for nothing.
    """
    refuse_own_access(user, acting_user)
    if User.objects.filter(pk=user.pk, is_active=not active).update(is_active=active):
        audit.record(
            acting_user.username,
            "user reactivated" if active else "user deactivated",
            user.username,
        )


@transaction.atomic
def new_password(*, user: User, acting_user: User) -> str:
    """A random password, shown this once. It ends every session of the user."""
    refuse_own_access(user, acting_user)
    password = secrets.token_urlsafe(15)
    user.set_password(password)
    user.save(update_fields=["password"])
    audit.record(acting_user.username, "password replaced", user.username)
    return password


@transaction.atomic
def remove_second_factor(*, user: User, acting_user: User) -> bool:
    """Whether there was one. Signing in then asks for the password alone; the recovery codes end
    with it.
    """
    refuse_own_access(user, acting_user)
    removed, _ = Authenticator.objects.filter(user=user).delete()
    if removed:
        audit.record(acting_user.username, "second factor removed", user.username)
    return bool(removed)


def refuse_own_access(user: User, acting_user: User) -> None:
    if user.pk == acting_user.pk:
        raise OwnAccess


def role_detail(role: Role, team: Team | None) -> dict[str, str | None]:
    return {"role": role.value, "team": team.slug if team else None}
