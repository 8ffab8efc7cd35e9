"""The one checked doorway: which roles a user has and which teams they may read. Asked on every
request, never cached.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from allocation.models import Team
from portal.accounts.models import Role, User
from reports.asking import TeamScope

# Roles that read every team's numbers.
ORGANISATION_WIDE = {Role.EXECUTIVE, Role.FINANCE, Role.ON_CALL, Role.FINOPS_ADMIN}

View = Callable[..., HttpResponseBase]


def roles_of(user: User) -> frozenset[Role]:
    """The roles the user holds now; none for someone who is signed out or deactivated."""
    if not user.is_active:
        return frozenset()
    return frozenset(Role(role) for role, _ in user.held if role in Role.values)


def team_scope(user: User) -> TeamScope:
    """The teams whose numbers the user may read; nothing for a user without a role."""
    if not user.is_active:
        return TeamScope(teams=frozenset())
    if any(role in ORGANISATION_WIDE for role, _ in user.held):
        return TeamScope.everything()
    return TeamScope(
        teams=frozenset(team for role, team in user.held if role == Role.TEAM_LEAD and team)
    )


def team_for_user(user: User, slug: str) -> Team:
    """The team, or 404 both where it does not exist and where the user may not see it."""
    if not team_scope(user).allows(slug):
        raise Http404
    try:
        return Team.objects.get(slug=slug)
    except Team.DoesNotExist:
        raise Http404 from None


def opened_to(allowed: frozenset[Role]) -> Callable[[View], View]:
    """Guards a view: sign-in first, then 404 unless one of the user's roles is among these."""

    def decorate(view: View) -> View:
        @wraps(view)
        @login_required
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            roles = roles_of(cast(User, request.user))
            if not roles:
                return without_role(request)
            if not roles & allowed:
                raise Http404
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def without_role(request: HttpRequest) -> HttpResponse:
    """A plain page for somebody who is signed in and may see nothing yet: whom to ask."""
    admins = (
        User.objects.filter(is_active=True, memberships__role=Role.FINOPS_ADMIN)
        .order_by("username")
        .distinct()
    )
    names = [admin.get_full_name() or admin.username for admin in admins]
    return render(request, "account/without_role.html", {"admins": names}, status=403)
