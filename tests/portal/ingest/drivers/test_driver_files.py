"""Driver files: what is taken, what is refused by line, what a file replaces and what it leaves
alone.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.utils import timezone

from allocation.closing.exchange_rates import freeze_rates
from allocation.models import (
    DriverPoint,
    ExchangeRate,
    GpuUsage,
    IdentityOwner,
    Import,
    ImportStatus,
    ProviderUsage,
    RejectedRow,
)
from portal.accounts.models import AuditEntry
from portal.errors import Refused
from portal.ingest.drivers.delivery import Outcome, deliver
from portal.ingest.drivers.gpu_usage import GPU_USAGE
from portal.ingest.drivers.identity_owners import IDENTITY_OWNERS
from portal.ingest.drivers.kinds import Asked, DriverKind
from portal.ingest.drivers.outdated import outdated_months
from portal.ingest.drivers.provider_usage import PROVIDER_USAGE
from portal.ingest.drivers.rates import RATES
from portal.ingest.drivers.series import SERIES
from tests.allocation.bills import AWS, Bill, allocate, put_in_force
from tests.factories import Costs, make_team

pytestmark = pytest.mark.django_db

OCTOBER = date(2026, 10, 1)
GPU_HEADER = (
    "hour,cluster,node,workload,run,gpu_model,team,capacity_seconds,booked_seconds,"
    "requested_seconds\n"
)


File = tuple[DriverKind, Asked]


def series(name: str, month: date = OCTOBER) -> File:
    return SERIES, {"name": name, "month": month}


def report(provider: str) -> File:
    return PROVIDER_USAGE, {"provider": provider}


SEATS = series("seats")


def send(file: DriverKind | File, text: str | bytes, **options: Any) -> Outcome:
    kind, asked = file if isinstance(file, tuple) else (file, {})
    content = text if isinstance(text, bytes) else text.encode()
    return deliver(kind, content, file_name="file.csv", asked=asked, created_by="me", **options)


def bad(outcome: Outcome) -> list[tuple[int, str | None, str | None, str]]:
    return [(each.line, each.column, each.value, each.reason) for each in outcome.problems]


# ---------------------------------------------------------------- series


def test_a_series_replaces_its_month_and_no_other() -> None:
    send(series("seats", date(2026, 9, 1)), "team,quantity\nsearch,9\n")
    send(series("queries"), "team,quantity\nsearch,1\n")
    send(SEATS, "team,feature,day,quantity\nsearch,,,10\nsupport,chat,,2.5\n")

    outcome = send(SEATS, "quantity,team\n12,search\n1E-3,sales\n")

    points = DriverPoint.objects.filter(series="seats", month=OCTOBER).order_by("team")
    assert [(point.team, point.quantity) for point in points] == [
        ("sales", Decimal("0.001")),
        ("search", 12),
    ]
    assert DriverPoint.objects.count() == 4
    (change,) = outcome.changes
    assert (outcome.status, change.rows_before, change.rows_after) == ("loaded", 2, 2)
    assert (change.added, change.removed, change.altered) == (1, 1, 1)
    assert (change.quantity_before, change.quantity_after) == (Decimal("12.5"), Decimal("12.001"))


def test_the_same_content_again_changes_nothing_and_says_so() -> None:
    first = send(SEATS, "team,quantity\nsearch,10\nsales,1\n")
    ids = set(DriverPoint.objects.values_list("pk", flat=True))

    again = send(SEATS, "﻿team,quantity\r\nsales,1.0\r\nsearch,1E1\r\n")

    assert (first.status, again.status) == ("loaded", "unchanged")
    assert set(DriverPoint.objects.values_list("pk", flat=True)) == ids
    assert AuditEntry.objects.count() == 1
    assert AuditEntry.objects.get().detail["scopes"] == ["seats, 2026-10"]


def test_every_bad_row_is_named_and_nothing_is_replaced() -> None:
    send(SEATS, "team,quantity\nsearch,10\n")

    outcome = send(
        SEATS,
        "team,day,quantity\nsearch,,-1\nsearch,,NaN\nsearch,,1_000\nsearch,2026-11-01,1\nsearch,14.10.2026,1\n"
        ',,1\nsales,,\n"two\nlines",,1,extra\nsales,,3\nsales,,4\n',
    )

    assert outcome.status == "refused"
    assert DriverPoint.objects.get().quantity == 10
    assert bad(outcome) == [
        (2, "quantity", "-1", "negative: a quantity is zero or more"),
        (3, "quantity", "NaN", "not a number: a quantity is finite"),
        (4, "quantity", "1_000", "not a number: leave out the underscores"),
        (5, "day", "2026-11-01", "outside 2026-10, the month of this file"),
        (6, "day", "14.10.2026", "not a day such as 2026-10-14"),
        (7, "team", None, "missing: a quantity is of a team or a feature"),
        (8, "quantity", None, "missing"),
        (9, None, "two\nlines,,1,extra", "4 cells, where the header has 3"),
        (12, None, None, "the same team, feature, day as line 11"),
    ]
    kept = Import.objects.get(pk=outcome.import_id or 0)
    assert (kept.status, kept.rows_rejected, kept.created_by) == (ImportStatus.REFUSED, 9, "me")
    assert RejectedRow.objects.filter(bill_import=kept).count() == 9


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        (b"", "empty"),
        (b"team,quantity\n", "no rows"),
        (b"team\nsearch\n", "lacks the column quantity"),
        (b"team,team,quantity\n", "team stands twice"),
        (b"team,seats\n", "'seats' is not known"),
        (b"team,team's\n", "the column 'team's' is not known"),
        ("team,quantity\nmüller,1\n".encode("latin-1"), "line 2: byte 15 is not UTF-8"),
        (b'team,quantity\n"search,1\n', "line 2: this is no CSV"),
    ],
)
def test_a_file_that_is_no_series_is_refused_whole(text: bytes, fact: str) -> None:
    send(SEATS, "team,quantity\nsearch,10\n")

    outcome = send(SEATS, text)

    assert outcome.status == "refused"
    assert fact in (outcome.reason or "")
    assert DriverPoint.objects.count() == 1


def test_teams_that_the_organisation_does_not_know_are_named() -> None:
    make_team("search")

    assert send(SEATS, "team,quantity\nSearch,1\nsaerch,2\n").notes == [
        "not a team of the organisation, so its share stays unallocated: saerch"
    ]


def test_a_dry_run_writes_nothing_at_all() -> None:
    outcome = send(SEATS, "team,quantity\nsearch,10\n", dry_run=True)

    assert (outcome.status, outcome.import_id, outcome.changes[0].added) == ("preview", None, 1)
    assert not DriverPoint.objects.exists()
    assert not Import.objects.exists()
    assert send(SEATS, "team,quantity\nsearch,x\n", dry_run=True).status == "refused"
    assert not Import.objects.exists()


def test_a_run_that_did_not_keep_what_it_saw_is_outdated_by_any_data_of_its_month() -> None:
    run = Costs(OCTOBER).run

    outcome = send(SEATS, "team,quantity\nsearch,10\n")
    assert outcome.outdated == ["2026-10"]
    assert outdated_months() == [OCTOBER]
    assert send(SEATS, "team,quantity\nsearch,10\n").outdated == []
    assert send(series("seats", date(2026, 9, 1)), "team,quantity\nsearch,1\n").outdated == []

    type(run).objects.filter(pk=run.pk).update(started_at=timezone.now())
    assert outdated_months() == []


def test_a_month_is_outdated_by_other_numbers_and_not_by_a_later_delivery_of_the_same() -> None:
    send(SEATS, "team,quantity\nsearch,10\nsales,30\n")
    Bill("aws").charge("8", **AWS)
    put_in_force("rules: [{name: all, method: proportional, by: seats}]")
    allocate()

    assert send(SEATS, "team,quantity\nsearch,20\nsales,30\n").outdated == ["2026-10"]
    assert outdated_months() == [OCTOBER]
    assert (
        send(SEATS, "team,quantity\nsearch,10.0\nsales,30\n").outdated == []
    )  # as the run saw them
    assert outdated_months() == []
    assert send(series("queries"), "team,quantity\nsearch,1\n").outdated == []  # nobody asks
    send(SEATS, "team,quantity\nsearch,20\n")
    assert outdated_months() == [OCTOBER]
    allocate()
    assert outdated_months() == []


# ---------------------------------------------------------------- GPU usage


def test_gpu_usage_replaces_the_hours_of_the_clusters_it_has() -> None:
    first = (
        GPU_HEADER
        + "2026-10-14T09:00:00Z,west,n1,,,H100,,28800,,\n"
        + "2026-10-14T09:00:00Z,west,n1,train,r1,H100,search,,36000,36000\n"
        + "2026-10-14T10:00:00Z,west,n1,,,H100,,28800,,\n"
        + "2026-10-14T09:00:00Z,east,n1,,,A100,,3600,,\n"
    )
    assert send(GPU_USAGE, first).status == "loaded"

    outcome = send(GPU_USAGE, GPU_HEADER + "2026-10-14T09:00:00Z,west,n2,,,H100,,3600,,\n")

    left = GpuUsage.objects.order_by("cluster", "hour").values_list(
        "cluster", "node", "hour__hour", "workload"
    )
    assert list(left) == [
        ("east", "n1", 9, None),
        ("west", "n2", 9, None),
        ("west", "n1", 10, None),
    ]
    (change,) = outcome.changes
    assert (str(change.scope), change.removed, change.added) == ("west, 2026-10-14", 2, 1)
    assert (change.quantity_before, change.quantity_after) == (
        36000,
        0,
    )  # booked beyond capacity is legal
    assert change.months == (OCTOBER, OCTOBER)


def test_a_row_is_a_node_with_capacity_or_a_workload_with_use() -> None:
    outcome = send(
        GPU_USAGE,
        GPU_HEADER
        + "2026-10-14T09:30:00Z,west,n1,,,H100,,28800,,\n"
        + "2026-10-14T09:00:00+02:00,west,n1,,,H100,,28800,,\n"
        + "2026-10-14T09:00:00Z,west,n1,,,H100,,,,\n"
        + "2026-10-14T09:00:00Z,west,n1,,,H100,,28800,5,\n"
        + "2026-10-14T09:00:00Z,west,n1,train,,H100,,28800,5,\n"
        + "2026-10-14T09:00:00Z,west,n1,train,,H100,,,,5\n"
        + "2026-10-14T09:00:00Z,west,n2,train,,H100,,,-5,\n",
    )

    assert [(line, column) for line, column, _, _ in bad(outcome)] == [
        (2, "hour"),
        (3, "hour"),
        (4, "capacity_seconds"),
        (5, "booked_seconds"),
        (6, "capacity_seconds"),
        (7, "booked_seconds"),
        (8, "booked_seconds"),
    ]
    assert not GpuUsage.objects.exists()


# ---------------------------------------------------------------- provider usage


def usage() -> list[tuple[Any, ...]]:
    names = [
        "day",
        "model",
        "is_batch",
        "api_key",
        "workspace",
        "requests",
        "input_uncached",
        "cache_read",
    ]
    names += ["cache_write_5m", "cache_write_1h", "output_text", "input_audio", "output_audio"]
    return list(
        ProviderUsage.objects.order_by("day", "model", "api_key", "workspace").values_list(*names)
    )


def test_a_table_of_usage_is_read_under_canonical_names() -> None:
    outcome = send(
        report("OpenAI"),
        "day,model,batch,api_key,requests,input_uncached,output_text\n"
        "2026-10-14,gpt-4o-2024-08-06,true,key_1,2,100,10\n"
        "2026-10-14,gpt-4o-2024-05-13,true,key_1,1,50,5\n",
    )

    assert usage() == [
        (date(2026, 10, 14), "gpt-4o", True, "key_1", None, 3, 150, 0, 0, 0, 15, 0, 0)
    ]
    assert ProviderUsage.objects.get().provider == "openai"
    assert outcome.changes[0].quantity_after == 165
    again = (
        "day,model,output_text\n2026-10-14,gpt-4o,1\n2026-10-14,gpt-4o,1\n2026-10-14,gpt-4o,0.5\n"
    )
    refused = send(report("openai"), again)
    assert [(line, column) for line, column, _, _ in bad(refused)] == [
        (3, None),
        (4, "output_text"),
    ]


def openai_page(
    *results: dict[str, Any], start: int = 1_791_936_000, **page: Any
) -> dict[str, Any]:
    """A page with one hourly bucket from 2026-10-14T00:00:00Z on."""
    bucket = {
        "object": "bucket",
        "start_time": start,
        "end_time": start + 3600,
        "results": list(results),
    }
    return {"object": "page", "data": [bucket], "has_more": False, **page}


OPENAI_RESULT = {
    "object": "organization.usage.completions.result",
    "input_tokens": 1000,
    "input_cached_tokens": 400,
    "input_cache_write_tokens": 50,
    "input_audio_tokens": 100,
    "input_cached_audio_tokens": 30,
    "output_tokens": 300,
    "output_audio_tokens": 40,
    "num_model_requests": 5,
    "project_id": "proj_1",
    "api_key_id": "key_1",
    "user_id": None,
    "model": "gpt-4o-audio-preview-2024-12-17",
    "batch": False,
    "service_tier": "default",
}


def test_openai_pages_become_exclusive_buckets_that_add_up_to_what_was_told() -> None:
    pages = [
        openai_page(OPENAI_RESULT, has_more=True),
        openai_page(OPENAI_RESULT, start=1_791_939_600),
    ]

    outcome = send(report("openai"), json.dumps(pages))

    assert outcome.status == "loaded", outcome.in_words()
    row = ProviderUsage.objects.get()
    assert (row.day, row.project, row.api_key, row.user) == (
        date(2026, 10, 14),
        "proj_1",
        "key_1",
        None,
    )
    assert (row.input_uncached, row.cache_read, row.cache_write_5m, row.input_audio) == (
        960,
        800,
        100,
        140,
    )
    assert (row.output_text, row.output_audio, row.requests) == (520, 80, 10)
    assert row.input_uncached + row.cache_read + row.cache_write_5m + row.input_audio == 2000
    assert send(report("openai"), json.dumps(pages)).status == "unchanged"


ANTHROPIC_RESULT = {
    "uncached_input_tokens": 1500,
    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
    "cache_read_input_tokens": 200,
    "output_tokens": 500,
    "server_tool_use": {"web_search_requests": 10},
    "api_key_id": "apikey_1",
    "workspace_id": "wrkspc_1",
    "model": "claude-sonnet-4-5-20250929",
    "service_tier": "batch",
    "context_window": "0-200k",
}


def anthropic_page(*results: dict[str, Any], **page: Any) -> dict[str, Any]:
    bucket = {
        "starting_at": "2026-10-14T00:00:00Z",
        "ending_at": "2026-10-15T00:00:00Z",
        "results": list(results),
    }
    return {"data": [bucket], "has_more": False, "next_page": None, **page}


def test_anthropic_pages_nested_or_flat_and_the_default_workspace() -> None:
    flat = {
        **{name: value for name, value in ANTHROPIC_RESULT.items() if name != "cache_creation"},
        "cache_creation_5m_input_tokens": 7,
        "cache_creation_1h_input_tokens": 8,
        "workspace_id": None,
        "service_tier": "standard",
    }

    outcome = send(
        report("anthropic"),
        json.dumps(anthropic_page(ANTHROPIC_RESULT, flat)),
    )

    assert outcome.status == "loaded", outcome.in_words()
    day, model, key = date(2026, 10, 14), "claude-sonnet-4-5", "apikey_1"
    assert usage() == [
        (day, model, False, key, "default", 0, 1500, 200, 7, 8, 500, 0, 0),
        (day, model, True, key, "wrkspc_1", 0, 1500, 200, 500, 1000, 500, 0, 0),
    ]
    assert ProviderUsage.objects.order_by("pk")[0].workspace in ("default", "wrkspc_1")


def test_pages_that_lack_pages_overlap_or_do_not_add_up_are_refused() -> None:
    kind = report("openai")

    assert "has_more" in (
        send(kind, json.dumps(openai_page(OPENAI_RESULT, has_more=True))).reason or ""
    )
    twice = send(kind, "\n".join(json.dumps(openai_page(OPENAI_RESULT)) for _ in range(2)))
    assert [(line, column) for line, column, _, _ in bad(twice)] == [(2, "data[0].results[0]")]
    wrong: list[dict[str, Any]] = [
        {**OPENAI_RESULT, "input_tokens": 300},
        {**OPENAI_RESULT, "output_tokens": -1},
        {**OPENAI_RESULT, "output_tokens": True},
        {**OPENAI_RESULT, "model": 4},
        {"tokens": 1},
    ]
    outcome = send(kind, json.dumps(openai_page(*wrong)))
    assert [(column, value) for _, column, value, _ in bad(outcome)] == [
        ("data[0].results[0].input_tokens", "300"),
        ("data[0].results[1].output_tokens", "-1"),
        ("data[0].results[2].output_tokens", "True"),
        ("data[0].results[3].model", "4"),
        ("data[0].results[4]", None),
    ]
    for text in (
        "{",
        "[[[",
        '{"data": 1}',
        '{"data": [1]}',
        "[" * 100_000,
        '{"data": [{"results": [{"a": 1e999999}]}]}',
    ):
        assert send(kind, text).status == "refused", text[:50]
    month = {
        "data": [
            {
                "starting_at": "2026-10-01T00:00:00Z",
                "ending_at": "2026-11-01T00:00:00Z",
                "results": [{}],
            }
        ]
    }
    assert "one UTC day" in bad(send(kind, json.dumps(month)))[0][3]
    assert not ProviderUsage.objects.exists()


# ---------------------------------------------------------------- owners of identities


OWNERS = "provider,kind,value,team,feature,valid_from\n"


def test_owners_replace_the_list_of_their_provider_and_a_dry_run_tells_the_difference() -> None:
    Costs(date(2026, 9, 1))
    Costs(OCTOBER)
    send(
        IDENTITY_OWNERS,
        OWNERS + "OpenAI,api_key,key_1,search,,2026-01-01\nopenai,user,ann,sales,,2026-01-01\n"
        "anthropic,workspace,default,search,,2026-01-01\n",
    )
    text = (
        OWNERS
        + "openai,api_key,key_1,support,chat,2026-01-01\nopenai,project,p,search,,2026-10-05\n"
    )

    preview = send(IDENTITY_OWNERS, text, dry_run=True)

    (change,) = preview.changes
    assert change.moved == (
        "openai api_key key_1 2026-01-01: support chat, was search",
        "+ openai project p 2026-10-05: search",
        "- openai user ann 2026-01-01: sales",
    )
    assert IdentityOwner.objects.count() == 3
    outcome = send(IDENTITY_OWNERS, text)
    assert outcome.outdated == ["2026-09", "2026-10"]
    assert IdentityOwner.objects.filter(provider="openai").count() == 2
    assert IdentityOwner.objects.filter(provider="anthropic").count() == 1
    only_later = send(IDENTITY_OWNERS, text.replace("p,search", "p,sales"))
    assert only_later.outdated == ["2026-10"]
    assert bad(send(IDENTITY_OWNERS, OWNERS + "openai,key,k,search,,2026-01-01\n"))[0][1:3] == (
        "kind",
        "key",
    )


# ---------------------------------------------------------------- exchange rates


RATE_HEADER = "month,base,quote,rate,source\n"


def test_rates_are_kept_exact_with_their_source() -> None:
    outcome = send(
        RATES, RATE_HEADER + "2026-10,EUR,USD,1.08123456789012345678,ECB\n2026-09,EUR,USD,1.1,ECB\n"
    )

    assert outcome.status == "loaded"
    rate = ExchangeRate.objects.get(month=OCTOBER)
    assert (rate.base, rate.quote, rate.rate) == ("EUR", "USD", Decimal("1.08123456789012345678"))
    assert send(RATES, RATE_HEADER + "2026-10,EUR,USD,1.09,ECB\n").changes[0].moved == (
        "2026-10-01 EUR USD: 1.09 ECB, was 1.08123456789012345678 ECB",
    )
    assert ExchangeRate.objects.count() == 2
    wrong = "2026-10,EUR,EUR,1,ECB\n2026-10,EUR,USD,0,ECB\n2026-10,eur,USD,1,ECB\n"
    wrong += "2026-13,EUR,USD,1,ECB\n2026-10,EUR,USD,1,\n"
    assert [(line, column) for line, column, _, _ in bad(send(RATES, RATE_HEADER + wrong))] == [
        (2, "quote"),
        (3, "rate"),
        (4, "base"),
        (5, "month"),
        (6, "source"),
    ]


def test_a_frozen_rate_refuses_to_change_by_file_and_in_the_database() -> None:
    send(RATES, RATE_HEADER + "2026-09,EUR,USD,1.1,ECB\n2026-10,EUR,USD,1.2,ECB\n")
    assert freeze_rates(month=date(2026, 9, 1), now=datetime(2026, 10, 3, tzinfo=UTC)) == 1
    assert freeze_rates(month=date(2026, 9, 1), now=timezone.now()) == 0

    outcome = send(RATES, RATE_HEADER + "2026-10,EUR,USD,1.3,ECB\n2026-09,EUR,USD,1.15,ECB\n")

    assert bad(outcome) == [
        (3, "rate", "1.15", "frozen with the close of 2026-09 at 1.1 (ECB); it can't change")
    ]
    assert ExchangeRate.objects.get(month=OCTOBER).rate == Decimal("1.2")
    assert (
        send(RATES, RATE_HEADER + "2026-09,EUR,USD,1.10,ECB\n2026-10,EUR,USD,1.3,ECB\n").status
        == "loaded"
    )
    frozen = ExchangeRate.objects.filter(month=date(2026, 9, 1))
    for change in (lambda: frozen.update(rate=2), frozen.delete):
        with pytest.raises(DatabaseError, match="is frozen"), transaction.atomic():
            change()


# ---------------------------------------------------------------- commands


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_commands_print_one_object_and_refuse_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(name: str, text: str, *arguments: str) -> dict[str, Any]:
        file = tmp_path / "delivered.csv"
        file.write_text(text)
        names = ["seats"] if name == "import_series" else []
        call_command(name, *names, str(file), *arguments, "--json")
        found = json.loads(capsys.readouterr().out)
        assert isinstance(found, dict)
        return found

    seats = run("import_series", "team,quantity\nsearch,10\n", "--month", "2026-10")
    assert (seats["status"], seats["changes"][0]["quantity"]) == (
        "loaded",
        {"before": "0", "after": "10"},
    )
    assert (
        run("import_gpu_usage", GPU_HEADER + "2026-10-14T09:00:00Z,west,n1,,,H100,,28800,,\n")[
            "status"
        ]
        == "loaded"
    )
    page = json.dumps(openai_page(OPENAI_RESULT))
    assert run("import_provider_usage", page, "--provider", "openai")["rows_read"] == 1
    owners = OWNERS + "openai,api_key,key_1,search,,2026-01-01\n"
    assert run("import_identity_owners", owners, "--dry-run")["status"] == "preview"
    assert run("import_identity_owners", owners)["status"] == "loaded"
    assert run("import_rates", RATE_HEADER + "2026-10,EUR,USD,1.1,ECB\n")["status"] == "loaded"
    with pytest.raises(SystemExit) as left:
        run("import_rates", RATE_HEADER + "2026-10,EUR,USD,x,ECB\n")
    assert left.value.code == 1
    refused = json.loads(capsys.readouterr().out)
    assert refused["rejected"][0]["line"] == 2


def test_a_door_refuses_what_it_can_not_name() -> None:
    for name in ("", "a\nb", "x" * 101):
        with pytest.raises(Refused):
            send(series(name), "team,quantity\nsearch,1\n")
    with pytest.raises(Refused):
        send((SERIES, {"name": "seats"}), "team,quantity\nsearch,1\n")
    with pytest.raises(Refused):
        send(report(" "), "day,model\n2026-10-01,gpt-5\n")
    assert not Import.objects.exists()
