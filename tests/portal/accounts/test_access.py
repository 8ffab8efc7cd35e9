"""The doorway: roles, teams and pages of a user, asked anew each time."""

from __future__ import annotations

import pytest
from django.http import Http404

from allocation.models import Team
from portal.accounts.access import roles_of, team_for_user, team_scope
from portal.accounts.models import Membership, Role
from portal.pages.registry import rights_of
from reports.asking import TeamScope
from tests.portal.two_teams import person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _teams() -> None:
    for slug in ("ads", "chat", "search"):
        Team.objects.create(slug=slug, name=slug.title())


def test_a_lead_of_two_teams_reads_these_two() -> None:
    lead = person("lead", Role.TEAM_LEAD, "ads", "chat")

    assert team_scope(lead) == TeamScope(teams=frozenset({"ads", "chat"}))
    assert [team_for_user(lead, slug).slug for slug in ("ads", "chat")] == ["ads", "chat"]
    assert set(rights_of(lead)) == {
        "showback",
        "showback-review",
        "explore",
        "explain",
        "find",
        "help",
    }
    for slug in ("search", "no-such-team", "", "ADS"):
        with pytest.raises(Http404):
            team_for_user(lead, slug)


def test_another_role_adds_what_it_reads() -> None:
    lead = person("lead", Role.TEAM_LEAD, "ads")
    Membership.objects.create(user=lead, role=Role.FINANCE)

    assert team_scope(lead).is_everything
    assert "chargeback" in rights_of(lead)
    assert "admin" not in rights_of(lead)


def test_a_deactivated_or_roleless_user_reads_nothing_and_a_superuser_is_nobody_special() -> None:
    gone = person("gone", Role.FINOPS_ADMIN)
    gone.is_active = False
    superuser = person("superuser")
    superuser.is_superuser = superuser.is_staff = True

    for user in (gone, superuser, person("nobody")):
        assert roles_of(user) == frozenset()
        assert team_scope(user) == TeamScope(teams=frozenset())
        assert rights_of(user) == []


def test_a_role_that_this_version_does_not_know_opens_nothing() -> None:
    user = person("user")
    Membership.objects.create(user=user, role="auditor")

    assert roles_of(user) == frozenset()
    assert team_scope(user) == TeamScope(teams=frozenset())
