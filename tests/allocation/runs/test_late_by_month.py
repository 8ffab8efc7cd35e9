"""Late bills and late usage where rules, prices or the providers' reports go by the month."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import connection

from allocation.models import AllocationRun, IdentityOwner, ProviderUsage
from allocation.usage import driver_data
from allocation.usage import driver_data as reported_usage
from allocation.values.vocabulary import BY_DAY, BY_MONTH, BY_REPORTS
from tests.allocation.bills import Bill, allocate, put_in_force, usage, utc
from tests.allocation.late import (
    INPUT,
    late_bill,
    reported,
    reported_month,
    rows_of,
    same_as_whole,
    slices_of,
)

pytestmark = pytest.mark.django_db


def test_first_calls_of_a_model_take_all_its_days_from_the_providers_report(
    ways: list[str],
) -> None:
    IdentityOwner.objects.create(
        provider="openai", kind="api_key", value="key-1", team="search", valid_from=date(2026, 1, 1)
    )
    bill = Bill("OpenAI")
    for day in (5, 6, 7):
        bill.charge("10", at=utc(day, 10), quantity="100", consumed_unit="Tokens", **INPUT)
        reported(day, 100)
    allocate()
    usage("ads", at=utc(6, 10), input_uncached=90)

    after = allocate().runs[0]

    assert same_as_whole(after), ways


def test_reports_of_other_days_are_not_read_again(
    ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reported_month(5, 6, 7)
    allocate()
    late_bill("5", 6)
    read: list[date] = []
    plain = reported_usage.load_reported

    def noted(**settings: Any) -> Any:
        rows = plain(**settings)
        read.extend(row.day for row in rows)
        return rows

    with monkeypatch.context() as watched:
        watched.setattr(driver_data, "load_reported", noted)
        after = allocate().runs[0]

    assert (ways, read) == (["whole", "late"], [date(2026, 10, 6)])
    assert same_as_whole(after)


def test_a_late_day_without_a_report_goes_by_the_months_reports(ways: list[str]) -> None:
    reported_month(5, 6)
    allocate()
    late_bill("5", 7)

    after = allocate().runs[0]

    assert ways == ["whole", "late", "late"]
    assert AllocationRun.objects.filter(status="failed").count() == 0
    assert same_as_whole(after)


BY_THE_MONTH = """
rules:
  - {name: reported, when: {SubAccountId: proj-1}, method: provider_usage, weights: month}
  - {name: calls, when: {SubAccountId: proj-2}, method: traced_usage, weights: month}
  - {name: requests, when: {ServiceName: Platform}, method: proportional, by: requests, weights: month}
  - {name: of each day, when: {ServiceName: Gateway}, method: proportional, by: tokens}
  - {name: others, when: {SubAccountId: proj-3}, method: traced_usage}
  - {name: by cost, when: {ServiceName: Office}, method: proportional, by: cost}
"""


def month_by_the_month() -> None:
    put_in_force(BY_THE_MONTH)
    reported_month(5, 6, 7)
    bill = Bill("Cloud")
    for day in (5, 6, 7):
        for service in ("Platform", "Gateway", "Office"):
            bill.charge("7", at=utc(day, 9), provider_name="AWS", service_name=service)
        for project in ("proj-2", "proj-3"):
            usage(
                "ads" if day == 5 else "search", at=utc(day, 10), project=project, input_uncached=95
            )
            bill.charge(
                "10",
                at=utc(day, 10),
                quantity="100",
                consumed_unit="Tokens",
                **{**INPUT, "sub_account_id": project},
            )


@pytest.mark.parametrize(
    "what", ["calls", "bill", "bill by the month", "bill by reports", "bill of several days"]
)
def test_what_goes_by_the_month_is_split_again_on_all_days_and_no_more_is_read(
    ways: list[str], what: str
) -> None:
    month_by_the_month()
    before = slices_of(allocate().runs[0].run)
    if what == "calls":
        usage("ads", at=utc(6, 15), project="proj-2", input_uncached=900)
    elif what == "bill of several days":
        Bill("OpenAI", delivery="append").charge(
            "2", at=utc(6, 12), until=utc(7, 12), quantity="3", consumed_unit="Tokens", **INPUT
        )
    else:
        project = {"bill": "proj-3", "bill by the month": "proj-2", "bill by reports": "proj-1"}[
            what
        ]
        late_bill("5", 6, sub_account_id=project)

    after = allocate().runs[0]

    assert ways == ["whole", "late"]
    now = slices_of(after.run)
    moved = {
        (place.part, place.day.day)
        for place, pk in now.items()
        if place.part >= 0 and before.get(place) != pk
    }
    by_day = {6, 7} if what == "bill of several days" else {6}
    assert {day for part, day in moved if part == BY_DAY} <= by_day
    assert any(part == BY_MONTH for part, _ in moved) == (what in ("calls", "bill by the month"))
    assert any(part == BY_REPORTS for part, _ in moved) == (
        what in ("bill by reports", "bill of several days")
    )
    assert same_as_whole(after)
    assert rows_of(after.run) == rows_of(AllocationRun.objects.get(is_current=True).pk)


@pytest.mark.parametrize("change", ["report", "owner"])
@pytest.mark.parametrize("is_emptied", [False, True])
def test_reports_that_changed_are_noticed(ways: list[str], change: str, is_emptied: bool) -> None:
    reported_month(5, 6, 7)
    if is_emptied:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM report_version")
    allocate()
    if change == "report":
        ProviderUsage.objects.filter(day=utc(5).date()).update(input_uncached=7)
    else:
        IdentityOwner.objects.update(team="ads")
    late_bill("5", 6)

    after = allocate().runs[0]

    assert ways == ["whole", "late", "whole"]
    assert same_as_whole(after)


def test_usual_coverage_of_a_providers_report_is_not_that_of_traces(ways: list[str]) -> None:
    IdentityOwner.objects.create(
        provider="openai", kind="api_key", value="key-1", team="search", valid_from=date(2026, 1, 1)
    )
    bill = Bill("OpenAI")
    for day in (5, 6, 7, 8):
        bill.charge("10", at=utc(day, 10), quantity="100", consumed_unit="Tokens", **INPUT)
        reported(day, 50 if day == 5 else 99)
    allocate()
    late_bill("5", 7, quantity="60")

    after = allocate().runs[0]

    assert same_as_whole(after), ways
