"""The REST API: what it answers, to whom, and how it refuses."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from allocation.models import AllocationRun, Team
from portal.accounts.keys import create_key, revoke_key
from portal.accounts.models import Role
from portal.jobs.models import Job
from tests.ledger_rows import add_cost
from tests.portal.canaries import ALPHA, BRAVO, DAY, MONTH, gives_away
from tests.portal.two_teams import Company, person, seed_company

TOTAL = "102030.769615345"  # ALPHA + BRAVO, added by hand

pytestmark = pytest.mark.django_db


@pytest.fixture
def company() -> Company:
    return seed_company()


def bearer(scope: str, team: str | None = None) -> dict[str, str]:
    bound = Team.objects.get(slug=team) if team else None
    return {"authorization": f"Bearer {create_key('test', scope, bound, None)[1]}"}


def signed_in(client: Client, role: Role, *teams: str) -> Client:
    client.force_login(person("somebody", role, *teams))
    return client


def get(client: Client, path: str, headers: dict[str, str] | None = None, **query: Any) -> Any:
    response = client.get(f"/api/v1/{path}", query, headers=headers)
    return response.status_code, json.loads(response.content)


def test_costs_are_exact_strings_with_their_currency(client: Client, company: Company) -> None:
    status, body = get(
        client, "costs/", bearer("read"), period="2026-10", group_by="team,model,day"
    )

    assert status == 200
    assert body == {
        "period": "2026-10",
        "metric": "effective_cost",
        "group_by": ["team", "model", "day"],
        "runs": [company.run],
        "totals": [{"currency": "USD", "cost": TOTAL}],
        "rows": [
            {
                "key": {"team": "alpha", "model": ALPHA.word, "day": "2026-10-14"},
                "currency": "USD",
                "cost": str(ALPHA.amount),
            },
            {
                "key": {"team": "bravo", "model": BRAVO.word, "day": "2026-10-14"},
                "currency": "USD",
                "cost": str(BRAVO.amount),
            },
        ],
        "next_offset": None,
    }


def test_pages_of_costs_keep_the_total_of_everything_asked_for(
    client: Client, company: Company
) -> None:
    key = bearer("read")

    _, first = get(client, "costs/", key, group_by="team", limit=1)
    _, second = get(client, "costs/", key, group_by="team", limit=1, offset=first["next_offset"])

    assert [row["key"]["team"] for row in first["rows"] + second["rows"]] == ["alpha", "bravo"]
    assert first["totals"] == second["totals"] == [{"currency": "USD", "cost": TOTAL}]
    assert (first["next_offset"], second["next_offset"]) == (1, None)


def test_two_currencies_are_never_added_up(client: Client, company: Company) -> None:
    run = AllocationRun.objects.create(
        billing_month=MONTH,
        currency="EUR",
        rule_set_id=company.rule_set,
        status="succeeded",
        is_current=True,
    )
    amounts = {"billed_cost": ALPHA.amount, "effective_cost": ALPHA.amount}
    add_cost(run, MONTH, evidence=1, names={}, **amounts)

    _, body = get(client, "costs/", bearer("read"), group_by="charge_kind")

    assert body["totals"] == [
        {"currency": "EUR", "cost": str(ALPHA.amount)},
        {"currency": "USD", "cost": TOTAL},
    ]
    assert [(row["currency"], row["cost"]) for row in body["rows"]] == [
        ("EUR", str(ALPHA.amount)),
        ("USD", TOTAL),
    ]


@pytest.mark.parametrize("who", ["lead", "key"])
def test_a_team_sees_its_own_costs_only(client: Client, company: Company, who: str) -> None:
    headers = bearer("read", "alpha") if who == "key" else None
    if who == "lead":
        signed_in(client, Role.TEAM_LEAD, "alpha")

    for group_by in ("team", "model", "feature", "provider", "rule", "day", "reason"):
        status, body = get(client, "costs/", headers, group_by=group_by)

        assert status == 200
        assert body["totals"] == [{"currency": "USD", "cost": str(ALPHA.amount)}]
        assert not gives_away(json.dumps(body), BRAVO)
    assert get(client, "costs/", headers, team="alpha")[0] == 200
    assert get(client, "costs/", headers, team="bravo")[0] == 404
    assert get(client, "costs/", headers, team="no-such-team")[0] == 404
    assert get(client, "costs/", headers, feature=BRAVO.word)[1]["rows"] == []
    assert [team["slug"] for team in get(client, "teams/", headers)[1]] == ["alpha"]
    assert get(client, "teams/bravo/", headers)[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "imports/",
        "imports/{bill_import}/",
        "imports/{bill_import}/rejected/",
        "jobs/",
        "jobs/{job}/",
        "runs/",
    ],
)
def test_what_speaks_of_everybody_is_closed_to_a_team(
    client: Client, company: Company, path: str
) -> None:
    address = path.format(**vars(company))

    assert get(client, address, bearer("read"))[0] == 200
    assert get(client, address, bearer("read", "alpha"))[0] == 403
    assert get(client, address, bearer("ingest"))[0] == 403
    assert get(client, address, bearer("gate"))[0] == 403
    assert get(client, address)[0] == 401


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"grup_by": "team"}, "grup_by"),
        ({"group_by": "team;drop table span"}, "group_by"),
        ({"group_by": "run__rule_set__text"}, "group_by"),
        ({"group_by": "team,team"}, "group_by"),
        ({"group_by": "_connector"}, "group_by"),
        ({"_connector": "OR 1=1"}, "_connector"),
        ({"ordering": "created_by__password"}, "ordering"),
        ({"metric": "list_cost); --"}, "metric"),
        ({"period": "2026-13"}, "period"),
        ({"period": "٢٠٢٦-10"}, "period"),
        ({"limit": "501"}, "limit"),
        ({"limit": "0"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "99999999999999999999"}, "offset"),
        ({"team": "a' OR 'a'='a"}, "team"),
        ({"feature": "\x00"}, "feature"),
        ({"group_by": ["team", "model"]}, "group_by"),
    ],
)
def test_fault_120_only_declared_names_reach_the_query(
    client: Client, company: Company, query: dict[str, Any], named: str
) -> None:
    key = bearer("read")

    status, body = get(client, "costs/", key, **query)

    assert status == 400
    assert list(body) == [named]
    assert get(client, "costs/", key, feature="' OR 1=1 --")[1]["rows"] == []


def test_unknown_group_by_is_answered_with_what_is_allowed(
    client: Client, company: Company
) -> None:
    _, body = get(client, "costs/", bearer("read"), group_by="team,colour")

    assert body == {
        "group_by": [
            "'colour' is no dimension; choose from team, feature, model, product, provider, "
            "service, environment, phase, charge_kind, attribution, rule, reason, day."
        ]
    }


def test_keys_stop_with_the_request_after_their_revocation(
    client: Client, company: Company
) -> None:
    key, secret = create_key("test", "read", None, None)
    headers = {"authorization": f"Bearer {secret}"}

    before = get(client, "teams/", headers)[0]
    revoke_key(key, None)
    response = client.get("/api/v1/teams/", headers=headers)

    assert before == 200
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="apportion"'
    assert secret not in response.content.decode()


def test_a_wrong_key_is_not_passed_over_to_the_session(client: Client, company: Company) -> None:
    signed_in(client, Role.FINANCE)

    assert get(client, "teams/")[0] == 200
    assert get(client, "teams/", {"authorization": "Bearer apn_read_wrong"})[0] == 401


def test_the_description_needs_a_caller_and_names_every_address(client: Client) -> None:
    assert client.get("/api/v1/schema/").status_code == 401

    body = client.get("/api/v1/schema/", {"format": "json"}, headers=bearer("read")).json()

    assert "/api/v1/costs/" in body["paths"]
    assert {"apiKey": []} in body["paths"]["/api/v1/costs/"]["get"]["security"]


def test_rows_of_an_import_and_jobs_can_be_read(client: Client, company: Company) -> None:
    key = bearer("read")

    assert (
        get(client, f"imports/{company.bill_import}/", key)[1]["totals"][0]["billed_cost"] == TOTAL
    )
    assert get(client, f"imports/{company.bill_import}/rejected/", key)[1] == [
        {"line": 4, "column": "BilledCost", "value": BRAVO.word, "reason": "not a number"}
    ]
    assert get(client, f"jobs/{company.job}/", key)[1]["status"] == "succeeded"
    assert get(client, "runs/", key, period=f"{DAY:%Y-%m}")[1][0]["rule_set"] == 1
    assert get(client, "imports/99999999999999999999999/", key)[0] == 404


HOSTILE = [
    "",
    "0",
    "-1",
    "9" * 40,
    "1e400",
    "NaN",
    "2026-02-30",
    "' OR 1=1; --",
    '{"$gt": ""}',
    "\x00",
    "\udc80",
    "１２",
    "../../etc/passwd",
    "x" * 5000,
    "%",
    "null",
    "true",
]


def test_fault_120_no_value_of_any_parameter_breaks_the_api(company: Company) -> None:
    client = Client(raise_request_exception=False)
    key = bearer("admin")
    paths = client.get("/api/v1/schema/", {"format": "json"}, headers=key).json()["paths"]
    asked = 0

    for path, methods in paths.items():
        for parameter in methods.get("get", {}).get("parameters", []):
            for value in HOSTILE:
                quoted = quote(value, safe="", errors="surrogatepass")
                if parameter["in"] == "path":
                    address = path.replace(f"{{{parameter['name']}}}", quoted)
                else:
                    filled = path.replace("{import_id}", str(company.bill_import)).replace(
                        "{job_id}", str(company.job)
                    )
                    address = f"{filled}?{parameter['name']}={quoted}"
                status = client.get(address, headers=key).status_code
                assert status < 500, f"{address[:200]} -> {status}"
                asked += 1

    assert asked > 500


def test_fault_112_only_declared_names_are_written(client: Client, company: Company) -> None:
    key = bearer("ingest")
    bill = SimpleUploadedFile("bill.csv", b"BilledCost\n1\n")

    refused = client.post(
        "/api/v1/bills/",
        {"file": bill, "source": "cloud", "created_by": "eve", "status": "loaded"},
        headers=key,
    )
    as_json = client.post(
        "/api/v1/bills/", {"source": "cloud"}, content_type="application/json", headers=key
    )

    assert refused.status_code == 400
    assert sorted(refused.json()) == ["created_by", "status"]
    assert as_json.status_code == 415


def test_an_uploaded_bill_becomes_a_job(client: Client, company: Company) -> None:
    bill = SimpleUploadedFile("bill.csv", b"BilledCost\n1\n")

    answer = client.post(
        "/api/v1/bills/", {"file": bill, "source": "cloud"}, headers=bearer("ingest")
    )

    assert answer.status_code == 202
    job = get(client, f"jobs/{answer.json()['id']}/", bearer("read"))[1]
    assert (job["kind"], job["status"]) == ("import_bill", "queued")
    assert Job.objects.get(pk=job["id"]).created_by.startswith("key apn_ingest_")  # type: ignore[union-attr]


def test_explain_and_reconcile_tell_what_the_pages_tell(client: Client, company: Company) -> None:
    _, explained = get(client, "explain/", bearer("read", "alpha"), period="2026-10", whole="1")
    _, balance = get(client, "reconcile/", bearer("read"), period="2026-10")
    csv = client.get("/api/v1/chargeback/", {"period": "2026-10"}, headers=bearer("read", "alpha"))
    lines = b"".join(csv.streaming_content).decode().splitlines()  # type: ignore[attr-defined]

    assert (explained["amount"], explained["currency"]) == (str(ALPHA.amount), "USD")
    assert not gives_away(json.dumps(explained), BRAVO)
    assert {row["allocated"] for row in balance["rows"]} == {TOTAL}
    assert [line.split(",")[2] for line in lines[1:]] == ["alpha", ""]
    assert str(ALPHA.amount) in lines[-1]
    assert get(client, "chargeback/", bearer("read"), period="2020-01")[0] == 404
