"""/admin/: roles, passwords and keys change by a FinOps admin's hand, never their own, and leave a
trace.
"""

from __future__ import annotations

import json
import re

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.core.management import call_command
from django.test import Client

from allocation.models import Team
from portal.accounts.models import ApiKey, AuditEntry, Membership, Role, User
from tests.portal.pages.words import text_of
from tests.portal.two_teams import PASSWORD, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(person("root", Role.FINOPS_ADMIN))
    return client


def audit() -> list[tuple[str | None, str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("actor", "action", "subject"))


def test_person_added_signs_in_with_the_password_shown_once(admin: Client, client: Client) -> None:
    answer = admin.post(
        "/admin/users/", {"username": "ada", "full_name": "Ada Lovelace", "email": ""}
    )
    password = re.search(r"<code>([\w-]{20})</code>", answer.content.decode())

    assert password
    assert password[1] not in admin.get("/admin/").content.decode()
    newcomer = Client()
    assert newcomer.login(username="ada", password=password[1])
    refused = newcomer.get("/admin/")
    assert refused.status_code == 403
    assert "root" in refused.content.decode()  # whom to ask
    assert audit() == [("root", "user added", "ada")]
    assert admin.post("/admin/users/", {"username": "ada"}).status_code == 400


def test_roles_are_given_and_withdrawn(admin: Client) -> None:
    ada = person("ada")
    Team.objects.create(slug="search", name="Search")

    admin.post(f"/admin/users/{ada.pk}/grant/", {"role": "team_lead", "team": "search"})
    admin.post(f"/admin/users/{ada.pk}/grant/", {"role": "team_lead", "team": "search"})
    admin.post(f"/admin/users/{ada.pk}/grant/", {"role": "team_lead", "team": ""})
    admin.post(f"/admin/users/{ada.pk}/grant/", {"role": "executive", "team": "search"})
    admin.post(f"/admin/users/{ada.pk}/grant/", {"role": "superuser"})

    held = Membership.objects.get(user=ada)
    assert (held.role, held.team and held.team.slug) == ("team_lead", "search")
    admin.post(f"/admin/users/{ada.pk}/withdraw/", {"membership": held.pk})
    assert not Membership.objects.filter(user=ada).exists()
    assert audit() == [("root", "role granted", "ada"), ("root", "role withdrawn", "ada")]


def test_fault_125_nobody_changes_their_own_access(admin: Client) -> None:
    root = User.objects.get(username="root")
    membership = Membership.objects.get(user=root)

    for action, data in (
        ("grant", {"role": "finance"}),
        ("withdraw", {"membership": membership.pk}),
        ("deactivate", {}),
        ("password", {}),
        ("remove-second-factor", {"username": "root"}),
    ):
        answer = admin.post(f"/admin/users/{root.pk}/{action}/", data, follow=True)
        assert "Nobody changes their own access" in answer.content.decode()

    assert list(Membership.objects.filter(user=root)) == [membership]
    assert User.objects.get(pk=root.pk).is_active
    assert audit() == []


def test_fault_124_a_change_of_access_counts_from_the_next_request(admin: Client) -> None:
    grace = person("grace", Role.FINOPS_ADMIN)
    session = Client()
    session.force_login(grace)
    assert session.get("/admin/").status_code == 200

    admin.post(
        f"/admin/users/{grace.pk}/withdraw/", {"membership": Membership.objects.get(user=grace).pk}
    )
    assert session.get("/admin/").status_code == 403

    admin.post(f"/admin/users/{grace.pk}/grant/", {"role": "finops_admin"})
    admin.post(f"/admin/users/{grace.pk}/deactivate/")
    assert session.get("/admin/").status_code == 302
    assert not session.login(username="grace", password=PASSWORD)
    assert session.get("/api/v1/teams/").status_code == 401


def test_a_lost_second_factor_is_removed_by_an_admin_who_types_the_name(admin: Client) -> None:
    grace = person("grace", Role.FINANCE)
    TOTP.activate(grace, "JBSWY3DPEHPK3PXP")
    RecoveryCodes.activate(grace)
    page = admin.get(f"/admin/users/{grace.pk}/second-factor/").content.decode()
    sign_in = {"login": "grace", "password": PASSWORD}

    admin.post(f"/admin/users/{grace.pk}/remove-second-factor/", {"username": "grac"})
    asked_for_code = Client().post("/accounts/login/", sign_in)
    answer = admin.post(
        f"/admin/users/{grace.pk}/remove-second-factor/", {"username": "grace"}, follow=True
    )
    signed_in = Client().post("/accounts/login/", sign_in)
    again = admin.post(
        f"/admin/users/{grace.pk}/remove-second-factor/", {"username": "grace"}, follow=True
    )

    assert "to confirm: grace" in text_of(page)
    assert asked_for_code["Location"] == "/accounts/2fa/authenticate/"
    assert "grace signs in with the password alone" in answer.content.decode()
    assert signed_in["Location"] == "/"
    assert "grace has no second factor" in again.content.decode()
    assert not Authenticator.objects.exists()
    assert audit() == [("root", "second factor removed", "grace")]


def test_the_second_factor_is_offered_for_removal_to_other_admins_alone(admin: Client) -> None:
    root, ada = User.objects.get(username="root"), person("ada")
    TOTP.activate(root, "JBSWY3DPEHPK3PXP")

    page = admin.get("/admin/").content.decode()

    assert "remove second factor" not in page  # not one's own, and ada has none
    assert admin.get(f"/admin/users/{root.pk}/second-factor/").status_code == 302
    assert admin.get(f"/admin/users/{ada.pk}/second-factor/").status_code == 302
    other = Client()
    other.force_login(person("grace", Role.FINOPS_ADMIN))
    assert f"/admin/users/{root.pk}/second-factor/" in other.get("/admin/").content.decode()


def test_what_changed_is_told_in_words(admin: Client) -> None:
    detail = {
        "rows": 4,
        "note": "",
        "scopes": ["a, 1", "b, 2", "c, 3", "d, 4"],
        "sha256": "0123456789abcdef" * 4,
    }
    AuditEntry.objects.create(
        actor="root", action="driver series loaded", subject="import 7", detail=detail
    )

    body = admin.get("/admin/").content.decode()

    assert "rows 4; scopes a, 1 / b, 2 / c, 3 and 1 more; sha256 0123456789abcdef\u2026<" in body


def test_fault_117_a_new_password_ends_every_session(admin: Client) -> None:
    grace = person("grace", Role.FINANCE)
    session = Client()
    session.login(username="grace", password=PASSWORD)
    assert session.get("/api/v1/teams/").status_code == 200

    admin.post(f"/admin/users/{grace.pk}/password/")

    assert session.get("/api/v1/teams/").status_code == 401


def test_a_key_is_shown_once_and_can_be_revoked(admin: Client) -> None:
    answer = admin.post(
        "/admin/keys/", {"name": "collector", "scope": "ingest", "team": "", "expires": "90"}
    )
    shown = re.search(r"<code>(apn_ingest_[\w-]{43})</code>", answer.content.decode())
    key = ApiKey.objects.get()

    assert shown
    assert answer["Cache-Control"] == "private, no-store"
    assert shown[1] not in admin.get("/admin/").content.decode()
    assert key.prefix in admin.get("/admin/").content.decode()
    assert key.created_by == "root"
    admin.post(f"/admin/keys/{key.pk}/revoke/")
    assert ApiKey.objects.get().revoked_at is not None


@pytest.mark.parametrize(
    "role", [role for role in Role if role not in (Role.FINOPS_ADMIN, Role.TEAM_LEAD)]
)
def test_other_roles_find_no_such_page(client: Client, role: Role) -> None:
    client.force_login(person("somebody", role))

    assert client.get("/admin/").status_code == 404
    assert client.post("/admin/users/", {"username": "eve"}).status_code == 404
    assert client.post("/admin/keys/", {"name": "x", "scope": "admin"}).status_code == 404
    assert not ApiKey.objects.exists()


@pytest.mark.django_db(databases=["default", "owner"])
def test_the_first_admin_is_made_at_the_machine_and_opens_the_admin_page(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("create_admin", "ada", json=True)
    made = json.loads(capsys.readouterr().out)
    with pytest.raises(SystemExit) as refused:
        call_command("create_admin", "ada")

    assert client.login(username="ada", password=made["password"])
    assert client.get("/admin/").status_code == 200
    assert audit()[:2] == [
        ("command line", "user added", "ada"),
        ("command line", "role granted", "ada"),
    ]
    assert refused.value.code == 1
    assert "already a user named ada" in capsys.readouterr().err
