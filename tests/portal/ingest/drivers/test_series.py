"""Uploaded series, and what holds for every driver file: what is taken, refused and left alone."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django.utils import timezone

from allocation.models import (
    DriverPoint,
    Import,
    ImportStatus,
    RejectedRow,
)
from portal.accounts.models import AuditEntry
from portal.ingest.drivers.outdated import outdated_months
from tests.allocation.bills import AWS, Bill, allocate, put_in_force
from tests.factories import Costs, make_team
from tests.portal.ingest.drivers.files import (
    OCTOBER,
    SEATS,
    bad,
    send,
    series,
)

pytestmark = pytest.mark.django_db


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
