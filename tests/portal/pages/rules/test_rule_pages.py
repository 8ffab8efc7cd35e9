"""Drafting, previewing and applying rules in the portal: who may, what is shown, and what becomes
of it.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.test import Client

from allocation.models import AllocationRun, RulePreview, RuleSet, Team
from portal.accounts.models import AuditEntry, Role
from portal.jobs.models import Job
from portal.jobs.worker import run as run_job
from tests.allocation.bills import AWS, Bill, allocate, put_in_force
from tests.portal.pages.words import text_of
from tests.portal.two_teams import person

TEXT = "rules:\n- {name: all to ads, method: direct, target: {team: ads}}\n"
DRAFT = {"text": TEXT.replace("\n", "\r\n"), "effective_from": "2026-10", "month": "2026-10"}


def company() -> None:
    for slug in ("search", "ads"):
        Team.objects.create(slug=slug, name=slug.capitalize())
    bill = Bill("aws")
    bill.charge("80", "60.5", tags={"team": "search"}, **AWS)
    bill.charge("20", tags={"team": "ads"}, **AWS)
    bill.charge("7", currency="EUR", tags={"team": "ads"}, **AWS)
    allocate()


def signed_in(role: Role = Role.FINOPS_ADMIN) -> Client:
    client = Client()
    client.force_login(person(role.value, role))
    return client


def previewed(client: Client, **changes: Any) -> RulePreview:
    """Posts the draft as the editor does, and does the job as a worker would."""
    answer = client.post("/rules/edit/preview/", DRAFT | changes)
    preview = RulePreview.objects.latest("pk")
    assert answer.headers["Location"] == f"/rules/previews/{preview.pk}/", answer.content.decode()
    run_job(Job.objects.get(kind="preview_rules", payload__preview=preview.pk).pk)
    preview.refresh_from_db()
    return preview


@pytest.mark.django_db(transaction=True)
def test_a_draft_is_previewed_applied_and_allocated() -> None:
    company()
    client = signed_in()

    preview = previewed(client)
    page = client.get(f"/rules/previews/{preview.pk}/?currency=USD").content.decode()
    applied = client.post(
        f"/rules/previews/{preview.pk}/apply/",
        {"sha256": preview.content_sha256, "note": "simpler"},
        follow=True,
    )
    job = Job.objects.get(kind="allocate", payload__period="2026-10")
    run_job(job.pk)

    assert preview.text == TEXT
    assert preview.content_sha256 in page
    assert "Apply rule set 2 from October 2026" in page
    assert "60.50 USD would move between teams in October 2026" in text_of(page)
    assert "Rule set 2 is in force from October 2026" in applied.content.decode()
    made = RuleSet.objects.get(number=2)
    assert (made.text, made.created_by, made.note) == (TEXT, "finops_admin", "simpler")
    entry = AuditEntry.objects.get(action="apply rules")
    assert (entry.actor, entry.subject, entry.detail["sha256"]) == (
        "finops_admin", "rule set 2", preview.content_sha256,
    )  # fmt: skip
    assert preview.outcome is not None
    assert {(each["currency"], each["sha256"]) for each in preview.outcome["runs"]} == set(
        AllocationRun.objects.filter(is_current=True, rule_set=made).values_list(
            "currency", "sha256"
        )
    )


@pytest.mark.django_db(transaction=True)
def test_a_finished_preview_is_all_done() -> None:
    company()
    previewed(signed_in())

    job = Job.objects.get(kind="preview_rules")

    assert (job.status, job.progress_done, job.progress_total, job.progress_note) == (
        "succeeded",
        100,
        100,
        "compared",
    )


@pytest.mark.django_db(transaction=True)
def test_who_pays_more_downloads_exactly_and_adds_up() -> None:
    company()
    client = signed_in(Role.FINANCE)
    preview = previewed(client)

    file = client.get(f"/rules/previews/{preview.pk}/?currency=USD&download=team").content.decode()

    assert list(csv.reader(io.StringIO(file))) == [
        ["Team", "Before, USD", "After", "Change"],
        ["Ads", "20", "80.5", "60.5"],
        ["Search", "60.5", "0", "-60.5"],
        ["All that changes", "80.5", "80.5", "0"],
    ]


@pytest.mark.django_db(transaction=True)
def test_finance_may_preview_and_only_a_finops_admin_may_apply() -> None:
    company()
    finance, executive = signed_in(Role.FINANCE), signed_in(Role.EXECUTIVE)
    preview = previewed(finance)
    address = f"/rules/previews/{preview.pk}/"

    page = finance.get(address).content.decode()
    refused = finance.post(f"{address}apply/", {"sha256": preview.content_sha256})

    assert "A FinOps admin applies it" in page
    assert f"{address}apply/" not in page
    assert refused.status_code == 404
    assert executive.get("/rules/edit/").status_code == executive.get(address).status_code == 404
    assert "Draft new rules" not in executive.get("/rules/versions/").content.decode()
    assert RuleSet.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_stale_preview_and_another_hash_are_not_applied() -> None:
    company()
    client = signed_in()
    preview = previewed(client)
    address = f"/rules/previews/{preview.pk}/"

    other = client.post(f"{address}apply/", {"sha256": "0" * 64}, follow=True).content.decode()
    put_in_force("rules: [{name: none, method: unallocated}]")
    stale = client.get(address).content.decode()
    late = client.post(
        f"{address}apply/", {"sha256": preview.content_sha256}, follow=True
    ).content.decode()

    assert "another draft than this" in other
    assert "Not to be applied: rule set 2 was applied after the preview" in stale
    assert f"{address}apply/" not in stale
    assert "Not applied: rule set 2 was applied after the preview" in late
    assert RuleSet.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_preview_from_before_a_bill_says_which_and_is_not_applied() -> None:
    company()
    client = signed_in()
    preview = previewed(client)
    address = f"/rules/previews/{preview.pk}/"
    late = Bill("late")
    late.charge("3", **AWS)
    reason = (
        f"since the preview of these rules import {late.scope.bill_import_id} of late was loaded"
        " for October 2026"
    )

    stale = client.get(address).content.decode()
    refused = client.post(
        f"{address}apply/", {"sha256": preview.content_sha256}, follow=True
    ).content.decode()

    assert f"Not to be applied: {reason}." in stale
    assert f"Not applied: {reason}. Preview the draft again." in refused
    assert RuleSet.objects.count() == 1


@pytest.mark.django_db
def test_the_editor_says_what_is_wrong_and_where() -> None:
    company()
    client = signed_in()
    broken = DRAFT | {"text": "rules:\n- {name: a, method: direct, target: {team: adz}}"}

    checks = client.post("/rules/edit/check/", broken).content.decode()
    answer = client.post("/rules/edit/preview/", broken)

    assert 'data-line="2"' in checks
    assert "there is no team &#x27;adz&#x27; in the tree" in checks
    assert "<html" not in checks
    assert answer.status_code == 400
    assert "there is no team &#x27;adz&#x27; in the tree" in answer.content.decode()
    assert "target: {team: adz}}" in answer.content.decode()
    assert not RulePreview.objects.exists()


@pytest.mark.django_db
def test_the_editor_shows_what_each_rule_and_what_none_takes() -> None:
    company()
    text = (
        "rules:\n"
        "- {name: searching, method: direct, target: {team: search}, when: {Tags.team: search}}"
    )

    checks = (
        signed_in()
        .post("/rules/edit/check/?metric=billed_cost", DRAFT | {"text": text})
        .content.decode()
    )

    assert "What would each rule take in October 2026?" in checks
    checks = text_of(checks)
    assert "80.00" in checks
    assert "Amazon EC2" in checks
    assert "20.00 USD" in checks
    assert "7.00 EUR" in checks


@pytest.mark.django_db
def test_a_file_is_opened_and_a_version_is_given_out_byte_for_byte() -> None:
    company()
    client = signed_in()
    file = io.BytesIO(TEXT.encode())
    file.name = "rules.yaml"
    binary = io.BytesIO(b"\xff\xfe")
    binary.name = "rules.yaml"

    opened = client.post("/rules/edit/", DRAFT | {"file": file}).content.decode()
    refused = client.post("/rules/edit/", DRAFT | {"file": binary}).content.decode()
    given = client.get("/rules/versions/1/rules.yaml")

    assert "all to ads" in opened
    assert "From the file." in opened
    assert "no UTF-8 text" in refused
    assert given.content.decode() == RuleSet.objects.get(number=1).text
    assert given["Content-Disposition"] == 'attachment; filename="rules-1.yaml"'


@pytest.mark.django_db
def test_versions_are_compared_line_by_line() -> None:
    put_in_force("rules:\n- {name: a, method: follow}\n- {name: b, method: follow}")
    put_in_force("rules:\n- {name: a, method: follow}\n- {name: c, method: follow}")
    client = signed_in()

    page = client.get("/rules/versions/3/").content.decode()

    assert '<span class="removed">-- {name: b, method: follow}' in page
    assert '<span class="added">+- {name: c, method: follow}' in page
    assert "against rule set 2" in page
    assert client.get("/rules/versions/9/").status_code == 404
    assert client.get("/rules/versions/3/?against=9").status_code == 404


@pytest.mark.django_db
def test_a_preview_under_way_says_how_far_it_is() -> None:
    company()
    client = signed_in()
    client.post("/rules/edit/preview/", DRAFT)
    preview = RulePreview.objects.get()
    address = f"/rules/previews/{preview.pk}/"
    Job.objects.update(
        progress_done=30, progress_total=100, progress_note="2026-10: reading traces"
    )

    whole = client.get(address).content.decode()
    part = client.get(address, headers={"HX-Request": "true"}).content.decode()
    Job.objects.update(status="failed", error="no space left")
    failed = client.get(address).content.decode()
    nothing: dict[str, list[Any]] = {
        level: [] for level in ("team", "product", "model", "feature", "month")
    }
    RulePreview.objects.update(outcome={"runs": [], "rules": [], "differences": nothing})
    done = client.get(address, headers={"HX-Request": "true", "HX-Target": "preview-progress"})

    assert "30 of 100 (30%)" in whole
    assert (
        "data-state-bar" in whole
    )  # as on the page that follows, or it would come scrolled by the bar's height
    assert 'hx-trigger="every 1s"' in part
    assert "<html" not in part
    assert "no space left" in failed
    assert done["HX-Refresh"] == "true"
