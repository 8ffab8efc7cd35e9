"""Sign-in, sessions, headers, secrets and cells: attacks on the web app, over the real stack."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Iterator

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.views.debug import SafeExceptionReporterFilter

from allocation.models import Team
from portal.accounts.keys import create_key
from portal.accounts.models import Role, User
from tests.portal.canaries import MONTH
from tests.portal.two_teams import PASSWORD, one_person_per_role, person, seed_company

pytestmark = pytest.mark.django_db

LOGIN = "/accounts/login/"
PAGES = [
    "/executive/",
    "/showback/alpha/",
    "/chargeback/",
    "/reconciliation/",
    "/on-call/",
    "/debug/",
    "/imports/",
    "/rules/",
    "/admin/",
]


@pytest.fixture(autouse=True)
def _fresh_limits() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def sign_in(client: Client, username: str, password: str = PASSWORD, **more: str) -> int:
    return client.post(LOGIN, {"login": username, "password": password}, headers=more).status_code


def is_signed_in(client: Client) -> bool:
    return client.get("/api/v1/schema/").status_code == 200


# ---------------------------------------------------------------- sign-in


def test_a_new_installation_has_no_account_and_offers_none(client: Client) -> None:
    assert not User.objects.exists()
    for address in (
        "/accounts/signup/",
        "/accounts/password/reset/",
        "/accounts/social/signup/",
        "/admin/login/",
    ):
        assert client.post(address, {"username": "eve"}).status_code == 404


def test_fault_117_signing_in_changes_the_session_and_signing_out_ends_it(client: Client) -> None:
    person("ada", Role.FINANCE)
    client.get(LOGIN)
    planted = client.session
    planted["planted"] = "by somebody else"
    planted.save()
    client.cookies["sessionid"] = planted.session_key or ""

    assert sign_in(client, "ada") == 302
    own = client.cookies["sessionid"].value
    assert own != planted.session_key
    assert is_signed_in(client)

    client.post("/accounts/logout/")
    stolen = Client()
    stolen.cookies["sessionid"] = own
    assert not is_signed_in(stolen)
    assert not Session.objects.filter(session_key=own).exists()


def test_fault_115_login_needs_its_own_token(client: Client) -> None:
    person("ada", Role.FINANCE)
    strict = Client(enforce_csrf_checks=True)

    assert strict.post(LOGIN, {"login": "ada", "password": PASSWORD}).status_code == 403
    assert not is_signed_in(strict)


def test_fault_115_an_upload_is_read_only_for_whom_may_upload_and_with_its_token(
    client: Client,
) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies["csrftoken"] = "a" * 32  # a stranger can send any cookie
    file = {"file": io.BytesIO(b"BilledCost\n"), "source": "x"}

    stranger = strict.post("/imports/upload/", file)
    strict.force_login(person("ada", Role.FINANCE))
    without_token = strict.post("/imports/upload/", file)

    assert stranger.status_code == 302  # to the sign-in, before a byte of the body is read
    assert not stranger.wsgi_request._read_started  # type: ignore[attr-defined]
    assert without_token.status_code == 403


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "\\\\evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "http:evil",
    ],
)
def test_fault_116_next_leads_nowhere_else(client: Client, target: str) -> None:
    person("ada", Role.FINANCE)

    answer = client.post(
        f"{LOGIN}?next={target}", {"login": "ada", "password": PASSWORD, "next": target}
    )

    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_fault_119_guessing_is_stopped_whatever_address_is_claimed(client: Client) -> None:
    person("ada", Role.FINANCE)

    for attempt in range(6):
        sign_in(client, "ada", "wrong", **{"X-Forwarded-For": f"203.0.113.{attempt}"})
    sign_in(client, "ada", PASSWORD, **{"X-Forwarded-For": "198.51.100.1"})

    assert not is_signed_in(client)


def test_a_second_factor_is_asked_once_it_is_set_up(client: Client) -> None:
    ada = person("ada", Role.FINANCE)
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(ada, secret)

    sign_in(client, "ada")
    assert not is_signed_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert not is_signed_in(client)
    code = totp.format_hotp_value(
        totp.hotp_value(secret, next(totp.yield_hotp_counters_from_time()))
    )
    client.post("/accounts/2fa/authenticate/", {"code": code})
    assert is_signed_in(client)


# ---------------------------------------------------------------- headers and errors


def test_every_page_carries_the_strict_headers(client: Client) -> None:
    seed_company()
    client.force_login(one_person_per_role()["finops_admin"])

    for address in [LOGIN, "/no-such-page/", "/api/v1/costs/", *PAGES]:
        answer = client.get(address)
        policy = dict(
            part.strip().partition(" ")[::2]
            for part in answer["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'", address
        assert policy["script-src"].startswith("'self'")
        assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in answer["Content-Security-Policy"]
        assert "http" not in answer["Content-Security-Policy"]
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in answer["Permissions-Policy"]
        assert "no-store" in answer["Cache-Control"]


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(client: Client) -> None:
    person("ada", Role.FINANCE)
    sign_in(client, "ada")

    session, token = client.cookies["sessionid"], client.cookies["csrftoken"]

    assert session["httponly"]
    assert session["samesite"] == token["samesite"] == "Lax"


def test_fault_130_another_host_name_is_refused(client: Client) -> None:
    assert client.get(LOGIN, headers={"host": "evil.example"}).status_code == 400
    assert (
        client.get(
            LOGIN, headers={"host": "localhost", "x-forwarded-host": "evil.example"}
        ).status_code
        == 200
    )


def test_fault_131_errors_tell_nothing_of_the_inside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(person("ada", Role.FINOPS_ADMIN))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("password of the database is swordfish")

    monkeypatch.setattr("portal.pages.admin.views.PageState.from_request", fail)
    broken, missing = client.get("/admin/"), client.get("/no/such/page/")

    assert broken.status_code == 500
    assert missing.status_code == 404
    for answer in (broken, missing):
        for inside in (
            "swordfish",
            "Traceback",
            "RuntimeError",
            "portal/pages",
            "urlpatterns",
            "DEBUG",
        ):
            assert inside not in answer.content.decode()
    told = re.search("<code>([0-9a-f]{8})</code>", broken.content.decode())
    assert told
    assert f"error {told[1]} at GET /admin/: RuntimeError" in caplog.text


# ---------------------------------------------------------------- secrets


def test_fault_118_a_key_is_in_no_log_no_table_and_no_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    seed_company()
    client = Client(raise_request_exception=False)
    answers = []
    secrets = []

    for scope in ("read", "ingest", "admin", "gate"):
        for team in (None, Team.objects.get(slug="alpha")):
            _, secret = create_key("canary", scope, team, None)
            secrets.append(secret)
            headers = {"authorization": f"Bearer {secret}"}
            for address in (
                "/api/v1/costs/?group_by=team",
                "/api/v1/imports/",
                "/api/v1/nothing/",
                "/executive/",
            ):
                answers.append(client.get(address, headers=headers))
            answers.append(client.get("/api/v1/costs/", {"limit": "x"}, headers=headers))
            for body, kind in (
                (b"\xff\xfe", "application/x-protobuf"),
                (b"{", "application/json"),
                (b'{"resourceSpans": []}', "application/json"),
            ):
                answers.append(client.post("/v1/traces", body, content_type=kind, headers=headers))
    client.force_login(person("root", Role.FINOPS_ADMIN))
    answers.append(client.get("/admin/"))

    said = [str(answer.headers) + answer.content.decode(errors="replace") for answer in answers]
    kept = everything_in_the_database()
    logged = caplog.text
    for secret in secrets:
        random_part = secret[-30:]
        assert not [text for text in [*said, kept, logged] if random_part in text]
    report = SafeExceptionReporterFilter().cleanse_setting(
        "HTTP_AUTHORIZATION", f"Bearer {secrets[0]}"
    )
    assert secrets[0] not in str(report)


def everything_in_the_database() -> str:
    """Every row of every table as text."""
    rows = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            rows += [row[0] for row in cursor.fetchall()]
    assert any("apn_read_" in row for row in rows)  # the prefix that lists show
    return "\n".join(rows)


# ---------------------------------------------------------------- files that spreadsheets open

FORMULAS = [
    '=HYPERLINK("http://evil.example","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "\t=1+1",
    "\n=1+1",
    "\u3000=1+1",
    "\uff1d1+1",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_fault_110_no_cell_of_any_download_is_a_formula(client: Client, formula: str) -> None:
    company = seed_company(text=formula)
    client.force_login(one_person_per_role()["finops_admin"])
    month = f"period={MONTH:%Y-%m}"
    addresses = [
        f"/chargeback/lines.csv?{month}",
        f"/reconciliation/gap.csv?{month}",
        f"/api/v1/chargeback/?{month}",
        f"/imports/{company.bill_import}/rejected.csv",
        *table_downloads(
            client,
            [
                "/executive/",
                "/showback/",
                "/showback/alpha/",
                "/chargeback/",
                "/reconciliation/",
                "/imports/",
            ],
        ),
    ]

    seen = 0
    for address in addresses:
        answer = client.get(address)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
        rows = list(csv.reader(io.StringIO(body.decode(), newline="")))
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/csv"), address
        assert answer["Content-Disposition"].startswith("attachment"), address
        seen += sum(formula in cell for row in rows for cell in row)
        for cell in (cell for row in rows for cell in row):
            assert (
                is_number(cell)
                or cell.lstrip(" \u3000\ufeff")[:1] not in "=+-@\t\r\n\uff1d"
                or not cell
            ), (
                address,
                cell,
            )
    assert seen > 20  # it did stand in the downloads, made harmless


def table_downloads(client: Client, pages: list[str]) -> list[str]:
    """Addresses of every table's CSV on the pages."""
    found = []
    for page in pages:
        body = client.get(page).content.decode().replace("&amp;", "&")
        found += [
            part.split('"')[0] for part in body.split('href="') if "download=" in part.split('"')[0]
        ]
    assert found
    return found


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
