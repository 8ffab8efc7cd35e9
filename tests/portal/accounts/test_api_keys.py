"""API keys: shape, scope, expiry, revocation, and that the secret is kept nowhere."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.utils import ProgrammingError
from django.http import HttpRequest
from django.test import RequestFactory

from allocation.models import Team
from portal.accounts.keys import create_key, key_from_request, revoke_key
from portal.accounts.models import ApiKey, AuditEntry

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def presenting(secret: str, **extra: str) -> HttpRequest:
    return RequestFactory().get(
        "/", headers={"authorization": f"Bearer {secret}"}, query_params=extra
    )


@pytest.mark.django_db
def test_key_is_found_by_its_secret_and_scope_only() -> None:
    team = Team.objects.create(slug="search", name="Search")

    key, secret = create_key("collector", "ingest", team, "ada")

    assert re.fullmatch(r"apn_ingest_[A-Za-z0-9_-]{43}", secret)
    assert key_from_request(presenting(secret), ["ingest"]) == key
    assert key_from_request(presenting(secret), ["read", "admin"]) is None
    assert (
        key_from_request(presenting(secret[:-1] + ("a" if secret[-1] != "a" else "b")), ["ingest"])
        is None
    )
    assert key_from_request(presenting(secret + " "), ["ingest"]) is None


@pytest.mark.django_db
def test_key_is_read_from_the_header_only() -> None:
    _, secret = create_key("collector", "ingest", None, None)
    factory = RequestFactory()

    assert (
        key_from_request(factory.get("/", {"key": secret, "access_token": secret}), ["ingest"])
        is None
    )
    assert key_from_request(factory.post("/", {"key": secret}), ["ingest"]) is None
    assert (
        key_from_request(factory.get("/", headers={"cookie": f"key={secret}"}), ["ingest"]) is None
    )
    assert (
        key_from_request(factory.get("/", headers={"authorization": f"Basic {secret}"}), ["ingest"])
        is None
    )
    assert (
        key_from_request(
            factory.get("/", headers={"authorization": f"bearer {secret}"}), ["ingest"]
        )
        is not None
    )


@pytest.mark.django_db
def test_expired_and_revoked_keys_stop_with_the_next_request() -> None:
    with time_machine.travel(NOW, tick=False):
        dated, dated_secret = create_key("dated", "read", None, "ada", NOW + timedelta(hours=1))
        revoked, revoked_secret = create_key("revoked", "read", None, "ada")
        assert key_from_request(presenting(dated_secret), ["read"]) == dated
        assert key_from_request(presenting(revoked_secret), ["read"]) == revoked

        assert revoke_key(revoked, "ada") is True
        assert revoke_key(revoked, "ada") is False

        assert key_from_request(presenting(revoked_secret), ["read"]) is None
    with time_machine.travel(NOW + timedelta(hours=1), tick=False):
        assert key_from_request(presenting(dated_secret), ["read"]) is None


@pytest.mark.django_db
def test_last_use_is_noted_once_a_minute(django_assert_num_queries: object) -> None:
    key, secret = create_key("collector", "ingest", None, None)

    for seconds, queries in ((0, 2), (59, 1), (61, 2)):
        with (
            time_machine.travel(NOW + timedelta(seconds=seconds), tick=False),
            django_assert_num_queries(queries),  # type: ignore[operator]
        ):
            key_from_request(presenting(secret), ["ingest"])

    key.refresh_from_db()
    assert key.last_used_at == NOW + timedelta(seconds=61)


@pytest.mark.django_db
def test_the_secret_is_stored_nowhere_and_the_change_is_audited() -> None:
    key, secret = create_key("collector", "gate", None, "ada")
    revoke_key(key, "grace")

    stored = ApiKey.objects.values().get(pk=key.pk)
    assert secret not in repr(stored)
    assert secret[len(key.prefix) :] not in repr(stored)
    assert list(
        AuditEntry.objects.filter(subject=key.prefix).order_by("id").values_list("actor", "action")
    ) == [
        ("ada", "api key created"),
        ("grace", "api key revoked"),
    ]
    assert secret not in repr(list(AuditEntry.objects.values()))


@pytest.mark.django_db
def test_audit_entries_are_append_only() -> None:
    create_key("collector", "gate", None, "ada")

    for statement in (
        "UPDATE accounts_auditentry SET actor = 'eve'",
        "DELETE FROM accounts_auditentry",
    ):
        with (
            pytest.raises((IntegrityError, ProgrammingError), match="never changed"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


@pytest.mark.django_db(databases=["default", "owner"])
def test_the_command_prints_the_secret_once(capsys: pytest.CaptureFixture[str]) -> None:
    Team.objects.create(slug="search", name="Search")

    call_command("create_api_key", "collector", scope="ingest", team="search", json=True)
    made = json.loads(capsys.readouterr().out)
    with pytest.raises(SystemExit) as refused:
        call_command("create_api_key", "collector", scope="ingest", team="sorch")

    key = key_from_request(presenting(made["key"]), ["ingest"])
    assert key is not None
    assert (key.pk, key.team and key.team.slug) == (made["id"], "search")
    assert refused.value.code == 1
    assert "no team 'sorch'. Teams: search" in capsys.readouterr().err
