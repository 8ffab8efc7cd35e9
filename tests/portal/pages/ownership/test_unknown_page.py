"""/ownership/unknown/: what nobody understands, taught by a preview that says exactly what moves;
and the command.
"""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from allocation.catalogue.entries import Entry
from allocation.catalogue.own_entries import apply_catalogue, own_catalogue
from allocation.models import AllocationRun, RulePreview, UsageHourly
from allocation.preview.preview import carry_out_preview
from portal.accounts.models import AuditEntry, Role
from portal.jobs.models import Job
from tests.allocation.bills import OPENAI, Bill, allocate, shares, usage
from tests.portal.pages.words import text_of
from tests.portal.two_teams import person

pytestmark = pytest.mark.django_db(databases=["default", "owner"])
PERIOD = {"period": "2026-10"}


@pytest.fixture
def month() -> None:
    """40 for a model that nobody knows, 20 for units that nobody knows, 100 that all know."""
    bill = Bill()
    bill.charge("30", quantity="1000", **OPENAI, sku_meter="zeta 9 input tokens")
    bill.charge("10", quantity="200", **OPENAI, sku_meter="zeta 9 output tokens")
    blocks = OPENAI | {"consumed_unit": "Blocks"}
    bill.charge("20", quantity="2", **blocks, sku_meter="gpt-4o-mini, input")
    bill.charge("100", quantity="1000", **OPENAI, sku_meter="gpt-4o, input")
    usage("search", input_uncached=1000)
    usage("ads", model="zeta-9-preview", input_uncached=1000, output_text=200)
    usage("ads", model="gpt-4o-mini", input_uncached=1000)
    allocate()


@pytest.fixture
def admin(client: Client, month: None) -> Client:
    client.force_login(person("root", Role.FINOPS_ADMIN))
    return client


def listed(**options: Any) -> list[dict[str, Any]]:
    out = StringIO()
    call_command("catalogue", "unknown", "--month", "2026-10", "--json", stdout=out, **options)
    found: list[dict[str, Any]] = json.loads(out.getvalue())["unknown"]
    return found


def shown(answer: Any) -> str:
    return text_of(answer.content.decode())


def by_team() -> dict[str | None, Decimal]:
    sums: dict[str | None, Decimal] = {}
    for share in shares():
        sums[share.team] = sums.get(share.team, Decimal(0)) + share.billed
    return sums


def test_unknown_wordings_and_units_stand_by_money(admin: Client) -> None:
    page = admin.get("/ownership/unknown/", PERIOD)

    words = shown(page)
    assert "60.00 USD of model usage has a wording or a unit that nobody knows" in words
    assert [(one["kind"], one["wording"], one["effective_cost"]) for one in listed()] == [
        ("wording", "zeta 9", "40"),
        ("unit", "Blocks", "20"),
    ]
    csv = admin.get("/ownership/unknown/", PERIOD | {"download": "unknown"}).content.decode()
    assert "zeta 9,40" in csv


def test_teaching_a_wording_moves_exactly_what_its_preview_said(admin: Client) -> None:
    wording = listed()[0]
    before = by_team()

    answer = admin.post(
        "/ownership/unknown/teach/",
        {"what": wording["id"], "means": "zeta-9-preview", "month": "2026-10", "currency": "USD"},
    )
    preview = RulePreview.objects.get()
    assert answer["Location"] == f"/rules/previews/{preview.pk}/"
    carry_out_preview(preview, now=preview.created_at)
    assert by_team() == before  # a preview moves nothing
    page = admin.get(answer["Location"])
    assert "Apply this catalogue" in shown(page)
    sha = preview.content_sha256
    done = admin.post(f"/rules/previews/{preview.pk}/apply/", {"sha256": sha}, follow=True)
    allocate()

    assert "Catalogue 1 is in force" in shown(done)
    assert before == {"search": Decimal(100), "ads": Decimal(20), None: Decimal(40)}
    assert by_team() == {"search": Decimal(100), "ads": Decimal(60)}
    (said,) = [each for each in preview_of(preview)["runs"] if each["currency"] == "USD"]
    assert AllocationRun.objects.get(is_current=True).sha256 == said["sha256"]
    assert AuditEntry.objects.filter(action="apply catalogue").count() == 1
    assert Job.objects.filter(kind="allocate").exists()
    assert [one["kind"] for one in listed()] == ["unit"]


def preview_of(preview: RulePreview) -> dict[str, Any]:
    preview.refresh_from_db()
    outcome: dict[str, Any] = preview.outcome or {}
    return outcome


def test_a_unit_is_taught_by_command(month: None, capsys: pytest.CaptureFixture[str]) -> None:
    unit = listed()[1]

    call_command(
        "catalogue", "teach", "--month", "2026-10", "--what", unit["id"], "--means", "500", "--json"
    )
    told = json.loads(capsys.readouterr().out)
    assert told["new_entries"] == [Entry("unit", "openai", "^blocks$", tokens="500")._asdict()]
    call_command("catalogue", "apply", "--preview", str(told["preview"]), "--json")

    assert json.loads(capsys.readouterr().out)["status"] == "applied"
    allocate()
    assert [one["kind"] for one in listed()] == ["wording"]


def test_what_changed_since_the_preview_keeps_it_from_being_applied(
    month: None, capsys: pytest.CaptureFixture[str]
) -> None:
    what = listed()[1]["id"]
    call_command("catalogue", "teach", "--month", "2026-10", "--what", what, "--means", "500",
                 "--json")  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    apply_catalogue(entries=(Entry("bill", None, "x", model="y"),), acting_user=None)

    with pytest.raises((CommandError, SystemExit)):
        call_command("catalogue", "apply", "--preview", str(told["preview"]))
    assert own_catalogue().number == 1


@pytest.mark.parametrize(
    ("what", "means"), [("0" * 24, "gpt-4o"), (None, "-1"), (None, "many"), ("x", "gpt-4o")]
)
def test_what_cannot_be_taught_changes_nothing(admin: Client, what: str | None, means: str) -> None:
    sent = {"what": what or listed()[1]["id"], "means": means}

    answer = admin.post(
        "/ownership/unknown/teach/", sent | {"month": "2026-10", "currency": "USD"}, follow=True
    )

    assert "Nothing has changed" in shown(answer) or "Say which model" in shown(answer)
    assert not RulePreview.objects.exists()


def test_calls_without_tokens_are_listed_by_emitter_with_an_estimate(client: Client) -> None:
    usage("search", input_uncached=1000, calls=4, list_cost="2", about={"scope": "good.emitter"})
    usage("search", calls=6, about={"scope": "silent.emitter"})
    UsageHourly.objects.filter(calls=6).update(calls_without_usage=6)
    Bill().charge("5", quantity="1000", **OPENAI, sku_meter="gpt-4o, input")
    allocate()
    client.force_login(person("root", Role.FINOPS_ADMIN))

    words = shown(client.get("/ownership/unknown/", PERIOD))
    csv = client.get("/ownership/unknown/", PERIOD | {"download": "unknown"}).content.decode()

    assert "silent.emitter" in words
    assert "good.emitter" not in words
    (line,) = [each for each in csv.splitlines() if "silent.emitter" in each]
    assert ",3," in line  # six calls at 0.50
    assert "Every wording and unit of the bills is known" in words


def test_only_an_admin_teaches(client: Client, month: None) -> None:
    client.force_login(person("fin", Role.FINANCE))

    page = client.get("/ownership/unknown/", PERIOD)
    answer = client.post("/ownership/unknown/teach/", {"what": "0" * 24})

    assert page.status_code == 200
    assert "ownership_teach" not in page.content.decode()
    assert "What do they mean?" not in shown(page)
    assert answer.status_code in (403, 404)
