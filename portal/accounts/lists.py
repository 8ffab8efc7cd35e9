"""People, keys and changes of access, as the admin page lists them."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.db.models import Exists, OuterRef, Prefetch, QuerySet

from allocation.models import Team
from portal.accounts.models import ApiKey, AuditEntry, Membership, User


def everybody() -> list[User]:
    """Active people first, each with `has_second_factor` and their memberships."""
    held = Membership.objects.select_related("team").order_by("role", "team__slug")
    found = _people().prefetch_related(Prefetch("memberships", held))
    return list(found.order_by("-is_active", "username"))


def person(user_id: int) -> User | None:
    """With `has_second_factor`."""
    return _people().filter(pk=user_id).first()


def _people() -> QuerySet[User]:
    second_factors = Authenticator.objects.filter(user=OuterRef("pk"))
    return User.objects.annotate(has_second_factor=Exists(second_factors))


def membership_of(user: User, membership_id: int) -> Membership | None:
    return Membership.objects.filter(user=user, pk=membership_id).first()


def api_keys() -> list[ApiKey]:
    """Newest first."""
    return list(ApiKey.objects.select_related("team").order_by("-id"))


def api_key(key_id: int) -> ApiKey | None:
    return ApiKey.objects.filter(pk=key_id).first()


def newest_changes(*, limit: int) -> list[AuditEntry]:
    return list(AuditEntry.objects.order_by("-id")[:limit])


def teams_by_name() -> QuerySet[Team]:
    """For a form's choices, which are read when it is shown."""
    return Team.objects.order_by("name")
