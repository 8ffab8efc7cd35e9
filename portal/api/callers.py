"""Who calls the API and what they may read: the doorway of portal/accounts/access.py, for people
and for keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from django.http import Http404
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from allocation.models import Team
from portal.accounts.access import team_scope
from portal.accounts.models import ApiKey, KeyScope, Role, User
from portal.api.authentication import KeyHolder
from portal.pages.registry import held_by, rights, rights_of
from reports.asking import TeamScope

READING_SCOPES = {KeyScope.READ, KeyScope.ADMIN}
UPLOADING_SCOPES = {KeyScope.INGEST, KeyScope.ADMIN}


@dataclass(frozen=True)
class Caller:
    """`pages` names the pages whose content the caller may read here; an upload of bills has a
    right of its own.
    """

    name: str
    scope: TeamScope
    pages: frozenset[str]
    may_upload: bool


def caller_of(request: Request) -> Caller:
    if isinstance(request.user, KeyHolder):
        return caller_of_key(request.user.key)
    user = cast(User, request.user)
    pages = frozenset(rights_of(user))
    return Caller(
        name=user.username, scope=team_scope(user), pages=pages, may_upload="imports" in pages
    )


def caller_of_key(key: ApiKey) -> Caller:
    pages: frozenset[str] = frozenset()
    scope = TeamScope(teams=frozenset())
    if key.scope in READING_SCOPES:
        # A key that is bound to a team reads what the lead of that team reads.
        pages = frozenset(held_by(frozenset({Role.TEAM_LEAD})) if key.team else rights())
        teams = frozenset({key.team.slug}) if key.team else None
        scope = TeamScope(teams=teams)
    uploads = key.scope in UPLOADING_SCOPES and key.team is None  # a bill speaks of every team
    return Caller(name=f"key {key.prefix}", scope=scope, pages=pages, may_upload=uploads)


def readable_team(request: Request, slug: str) -> Team:
    """The team, or 404 both where it does not exist and where the caller may not see it."""
    if not caller_of(request).scope.allows(slug):
        raise Http404
    try:
        return Team.objects.get(slug=slug)
    except Team.DoesNotExist:
        raise Http404 from None


def reads(page: str) -> type[BasePermission]:
    """A permission: the caller may read what this page shows, for the teams of their scope."""

    class Reads(BasePermission):
        message = f"Your role or key does not open {page}."

        def has_permission(self, request: Request, view: APIView) -> bool:
            return page in caller_of(request).pages

    return Reads


def reads_everything_of(page: str) -> type[BasePermission]:
    """As `reads`, for content that speaks of the whole organisation and can't be narrowed to some
    teams.
    """

    class ReadsEverything(BasePermission):
        message = f"Your role or key does not open {page} of the whole organisation."

        def has_permission(self, request: Request, view: APIView) -> bool:
            caller = caller_of(request)
            return page in caller.pages and caller.scope.is_everything

    return ReadsEverything


class MayUpload(BasePermission):
    message = (
        "Uploading needs the finance or FinOps admin role, or a key of scope ingest or admin "
        "without a team."
    )

    def has_permission(self, request: Request, view: APIView) -> bool:
        return caller_of(request).may_upload


class MayChangeDrivers(BasePermission):
    """Driver data moves what every team pays: for those who may grant access, and for keys that may
    upload.
    """

    message = (
        "Driver files need the FinOps admin role, or a key of scope ingest or admin without a team."
    )

    def has_permission(self, request: Request, view: APIView) -> bool:
        caller = caller_of(request)
        is_key = isinstance(request.user, KeyHolder)
        return caller.may_upload and (is_key or "drivers-change" in caller.pages)
