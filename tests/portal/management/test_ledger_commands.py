"""allocate, reconcile, rules and export_chargeback as a shell sees them, and the job that
allocates.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from allocation.catalogue.price_store import ensure_prices
from allocation.models import (
    AllocationRun,
    Price,
    PriceMatch,
    PriceVersion,
    RuleSet,
    Team,
    UsageHourly,
)
from allocation.rules.rule_sets import default_rules_text
from allocation.runs.month import AllocationBusy
from portal.accounts.models import AuditEntry
from portal.jobs.models import Job
from portal.jobs.queue import enqueue
from portal.jobs.worker import run as run_job
from tests.allocation.bills import AWS, OPENAI, Bill, allocate, billed_by_team, usage

Captured = pytest.CaptureFixture[str]


def run(capsys: Captured, *arguments: str) -> dict[str, Any]:
    """The object a command prints with --json; nothing else may stand on standard output."""
    call_command(*arguments, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refusal(capsys: Captured, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        call_command(*arguments)
    assert ended.value.code == 1
    return capsys.readouterr().err


def small_month() -> None:
    Team.objects.create(slug="search", name="Search")
    bill = Bill()
    bill.charge(
        "10.50",
        "0.0000000000000000001",
        quantity="100",
        **(OPENAI | {"sku_meter": "gpt-4o, input"}),
    )
    bill.charge("4", currency="EUR", tags={"team": "search"}, **AWS)
    usage("search", "chat", input_uncached=90)


@pytest.mark.django_db(databases=["default", "owner"])
def test_allocate_and_reconcile_print_the_agreed_objects(capsys: Captured) -> None:
    small_month()

    allocated = run(capsys, "allocate", "2026-10")
    reconciled = run(capsys, "reconcile", "2026-10")

    assert allocated.pop("seconds") >= 0
    runs = {r.currency: r for r in AllocationRun.objects.all()}
    assert allocated == {
        "period": "2026-10",
        "runs": [
            {
                "run": runs[c].pk,
                "currency": c,
                "rule_set": 1,
                "rows": runs[c].rows,
                "sha256": runs[c].sha256,
            }
            for c in ("EUR", "USD")
        ],
    }
    usd = {
        "source": "openai",
        "currency": "USD",
        "run": runs["USD"].pk,
        **dict.fromkeys(("owner", "unknown_coverage", "unallocated"), "0"),
        "difference": "0",
        "rejected": {"rows": 0, "billed_cost": "0", "unreadable": 0},
    }
    eur = {
        "source": "openai",
        "currency": "EUR",
        "run": runs["EUR"].pk,
        **dict.fromkeys(("shared_out", "owner", "unknown_coverage", "unallocated"), "0"),
        "difference": "0",
        "rejected": {"rows": 0, "billed_cost": "0", "unreadable": 0},
    }
    tiny = "0.0000000000000000001"
    billed, effective = {"metric": "billed_cost"}, {"metric": "effective_cost"}
    assert reconciled == {
        "period": "2026-10",
        "balanced": True,
        "rows": [
            eur | dict.fromkeys(("charges", "allocated", "attributed"), "4") | billed,
            eur | dict.fromkeys(("charges", "allocated", "attributed"), "4") | effective,
            # Of the tokens 90 of 100 are traced: what a tenth costs is shared out.
            usd
            | dict.fromkeys(("charges", "allocated"), "10.5")
            | billed
            | {"attributed": "9.45", "shared_out": "1.05"},
            usd
            | dict.fromkeys(("charges", "allocated"), tiny)
            | effective
            | {"attributed": tiny, "shared_out": "0"},
        ],
    }


@pytest.mark.django_db(databases=["default", "owner"])
def test_reconcile_says_what_is_not_allocated_yet(capsys: Captured) -> None:
    small_month()
    before = run(capsys, "reconcile", "2026-10")
    allocate()
    Bill("aws").charge("2.5", **AWS)
    late = run(capsys, "reconcile", "2026-10")

    assert (before["balanced"], before["rows"][0]["run"], before["rows"][0]["difference"]) == (
        False,
        None,
        "4",
    )
    assert late["balanced"] is False
    assert {
        row["source"]: row["difference"] for row in late["rows"] if row["metric"] == "billed_cost"
    } == {
        "aws": "2.5",
        "openai": "0",
    }


@pytest.mark.django_db(databases=["default", "owner"])
def test_a_month_without_bills_is_no_error(capsys: Captured) -> None:
    assert run(capsys, "allocate", "2020-01")["runs"] == []
    assert run(capsys, "reconcile", "2020-01") == {
        "period": "2020-01",
        "balanced": True,
        "rows": [],
    }


@pytest.mark.django_db(databases=["default", "owner"])
@pytest.mark.parametrize("command", ["allocate", "reconcile", "export_chargeback"])
def test_text_that_is_no_month_is_wrong_usage(command: str) -> None:
    with pytest.raises(CommandError, match="write it as YYYY-MM"):
        call_command(command, "2026-13")


@pytest.mark.django_db(databases=["default", "owner"])
def test_export_writes_the_file_whole_or_not_at_all(capsys: Captured, tmp_path: Path) -> None:
    small_month()
    target = tmp_path / "chargeback.csv"
    target.write_text("before", encoding="utf-8")

    reason = refusal(capsys, "export_chargeback", "2026-10", "--output", str(target))
    assert "manage.py allocate 2026-10" in reason
    assert target.read_text(encoding="utf-8") == "before"
    allocate()
    outcome = run(
        capsys, "export_chargeback", "2026-10", "--basis", "effective", "--output", str(target)
    )

    rows = list(csv.DictReader(target.open(encoding="utf-8", newline="")))
    assert [row["period"] for row in rows[-2:]] == ["CONTROL TOTAL"] * 2
    assert outcome["bytes"] == target.stat().st_size
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.django_db(databases=["default", "owner"])
def test_a_format_that_is_not_registered_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--format: invalid choice: 'pdf'"):
        call_command(
            "export_chargeback", "2026-10", "--format", "pdf", "--output", str(tmp_path / "x")
        )


@pytest.mark.django_db(databases=["default", "owner"])
def test_rules_are_exported_tried_and_applied(capsys: Captured, tmp_path: Path) -> None:
    small_month()
    file = tmp_path / "rules.yaml"
    assert run(capsys, "rules", "export", str(file))["rule_set"] == 1
    assert file.read_text(encoding="utf-8") == default_rules_text()
    assert run(capsys, "rules", "apply", str(file))["status"] == "unchanged"

    file.write_text(
        "rules:\n- {name: all of it, method: direct, target: {team: search}}\n", encoding="utf-8"
    )
    assert "rules preview FILE --month 2026-10" in refusal(
        capsys, "rules", "apply", str(file), "--month", "2026-10"
    )
    preview = run(capsys, "rules", "preview", str(file), "--month", "2026-10")
    applied = run(capsys, "rules", "apply", str(file), "--month", "2026-10", "--note", "simple")
    allocate()

    assert [
        (row["rule"], row["currency"], row["charges"], row["billed_cost"])
        for row in preview["rules"]
    ] == [
        ("all of it", "EUR", 1, "4"),
        ("all of it", "USD", 1, "10.5"),
    ]
    assert (applied["rule_set"], applied["status"], applied["effective_from"]) == (
        2,
        "applied",
        "2026-10",
    )
    assert applied["sha256"] == preview["sha256"]
    assert {each["sha256"] for each in preview["runs"]} == set(
        AllocationRun.objects.filter(is_current=True).values_list("sha256", flat=True)
    )
    assert {share: str(cost) for share, cost in billed_by_team().items()} == {
        "search": "10.500000000000"
    }
    assert AllocationRun.objects.filter(is_current=True, rule_set__number=2).count() == 2
    assert AuditEntry.objects.get(action="apply rules").subject == "rule set 2"


@pytest.mark.django_db(databases=["default", "owner"])
def test_fault_077_a_run_cites_the_rules_it_was_made_by(capsys: Captured, tmp_path: Path) -> None:
    small_month()
    before = AllocationRun.objects.get(pk=allocate().runs[0].run)
    file = tmp_path / "rules.yaml"
    file.write_text("rules: [{name: none, method: unallocated}]", encoding="utf-8")
    run(capsys, "rules", "preview", str(file), "--month", "2026-11")
    run(capsys, "rules", "apply", str(file), "--month", "2026-11")

    september_rules = allocate().runs[0]

    before.refresh_from_db()
    assert before.rule_set.number == before.inputs["rule_set"] == 1
    assert september_rules.run == before.pk
    assert list(RuleSet.objects.order_by("number").values_list("number", flat=True)) == [1, 2]


@pytest.mark.django_db(databases=["default", "owner"])
def test_bad_rules_are_refused_with_every_problem_named(capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(
        "rules: [{name: a, method: guess}, {name: b, method: direct}]", encoding="utf-8"
    )

    reason = refusal(capsys, "rules", "apply", str(file))

    assert "rule 1 (a)" in reason
    assert "rule 2 (b)" in reason
    assert not RuleSet.objects.exclude(number=1).exists()
    assert "can't be read" in refusal(capsys, "rules", "preview", str(tmp_path / "absent.yaml"))


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_two_allocations_of_a_month_do_not_meet(capsys: Captured) -> None:
    small_month()
    name = str(connection.settings_dict["NAME"])
    with psycopg.connect(
        host=str(settings.EMBEDDED.postgres_socket_dir),
        user=connection.settings_dict["USER"],
        dbname=name,
    ) as other:
        other.execute("SELECT pg_advisory_lock(%s::int, %s::int)", [0x41505052, 2026 * 12 + 10])

        assert "already running" in refusal(capsys, "allocate", "2026-10")
        with pytest.raises(AllocationBusy):
            allocate()
        # A session that ends gives its lock up, but not before the client has gone on.
        other.execute("SELECT pg_advisory_unlock(%s::int, %s::int)", [0x41505052, 2026 * 12 + 10])

    assert allocate().runs


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_job_allocates_and_may_run_twice() -> None:
    small_month()
    job = enqueue("allocate", {"period": "2026-10"})

    run_job(job.pk)
    run_job(job.pk)

    job = Job.objects.get(pk=job.pk)
    assert (job.status, job.attempts) == ("succeeded", 1), job.error
    assert job.result is not None
    assert job.result["period"] == "2026-10"
    assert AllocationRun.objects.filter(is_current=True).count() == 2


@pytest.mark.django_db(databases=["default", "owner"])
def test_fault_050_an_explicit_rating_by_a_newer_version_prices_what_was_unknown(
    capsys: Captured,
) -> None:
    """A house model has no price, and no cost, until a list that knows it is named."""
    first = ensure_prices()[0]
    told = {"model_answered": "house-7"}
    usage("search", "chat", model="house-7", about=told, calls=4, input_uncached=1_000_000)
    before = run(capsys, "reprice")
    unpriced = UsageHourly.objects.get()
    newer = PriceVersion.objects.create(source="house", content_sha256="h")
    PriceMatch.objects.create(
        version=newer,
        provider="openai",
        model_text="house-7",
        price_provider="openai",
        price_model="house-7",
    )
    Price.objects.create(
        version=newer,
        provider="openai",
        model="house-7",
        token_class="input_uncached",
        per_million="3",
    )

    after = run(capsys, "reprice", "--price-version", str(newer.pk))
    again = run(capsys, "reprice")

    assert (before["version"], before["unpriced_calls"]) == (first.pk, "4")
    assert (unpriced.list_cost, unpriced.price_version_id) == (None, first.pk)
    assert after == {
        "status": "priced",
        "version": newer.pk,
        "source": "house",
        "rows_changed": 1,
        "unpriced_calls_before": "4",
        "unpriced_calls": "0",
    }
    assert (again["version"], again["rows_changed"]) == (newer.pk, 0)
    assert list(UsageHourly.objects.values_list("list_cost", "price_version_id")) == [(3, newer.pk)]
    assert "known are" in refusal(capsys, "reprice", "--price-version", "999")
