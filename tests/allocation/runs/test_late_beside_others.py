"""Late runs beside what changes meanwhile, what died, and what another engine left."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import connection

from allocation.ledger.writer import stored_sha256
from allocation.models import (
    AllocationRun,
    IdentityOwner,
    LedgerSlice,
    ProviderUsage,
    RuleSet,
    RunGiven,
    RunSlice,
    SliceShare,
    UsageHourly,
)
from allocation.preview.preview import draft_runs
from allocation.rules.rule_sets import latest_rule_set
from allocation.runs import month as runs
from allocation.usage import driver_data
from allocation.usage.facts import UsageReader
from tests.allocation.bills import NOW, OCTOBER, Bill, allocate, put_in_force, usage, utc
from tests.allocation.late import (
    CALLS_BY_MONTH,
    around,
    late_bill,
    reported_month,
    rows_of,
    same_as_whole,
    traced_month,
)

pytestmark = pytest.mark.django_db


def test_a_run_that_died_before_it_was_published_costs_nothing_but_a_clean_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traced_month()
    first = allocate().runs[0]
    before = rows_of(first.run)
    late_bill("5", 6)

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(runs, "balance_slices", dies)
        killed.setattr(runs, "delete_rows", dies)
        with pytest.raises(KeyboardInterrupt):
            allocate()
    AllocationRun.objects.filter(is_current=False).update(status="running", detail="")

    after = allocate().runs[0]

    assert rows_of(first.run) == before
    assert stored_sha256(run_id=first.run, month=OCTOBER.start) == first.sha256
    held = set(RunSlice.objects.values_list("slice_id", flat=True))
    assert set(LedgerSlice.objects.values_list("pk", flat=True)) == held
    assert set(SliceShare.objects.values_list("slice_id", flat=True)) <= held
    assert same_as_whole(after)


def test_a_comparison_that_has_to_read_the_month_after_all_leaves_no_run_behind(
    ways: list[str],
) -> None:
    traced_month()
    Bill("AWS").charge("7", at=utc(5), currency="EUR", provider_name="AWS")
    allocate()
    late_bill("5", 6, quantity="100")  # a day of 35% asks how much is usual, once EUR is done
    base = latest_rule_set()
    draft = RuleSet.objects.create(
        number=-1, text=base.text + "\n", content_sha256="draft", effective_from=date.min
    )
    before = set(AllocationRun.objects.values_list("pk", flat=True))

    with draft_runs(
        month=OCTOBER.start,
        base=base,
        draft=draft,
        now=NOW,
        progress=lambda _done, _total, _note: None,
    ) as pairs:
        assert [pair.currency for pair in pairs] == ["EUR", "USD"]

    assert ways == ["whole", "late", "whole", "whole"]
    assert set(AllocationRun.objects.values_list("pk", flat=True)) == before


def test_usage_that_went_and_came_back_while_the_month_was_read_leaves_no_trace(
    ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_force(CALLS_BY_MONTH)
    traced_month()
    allocate()
    late_bill("5", 6)
    with monkeypatch.context() as beside:
        hours = list(UsageHourly.objects.filter(hour=utc(5, 10)))
        around(
            beside,
            UsageReader,
            "rest",
            before=lambda: UsageHourly.objects.filter(hour=utc(5, 10)).delete(),
            after=lambda: UsageHourly.objects.bulk_create(hours),
        )
        allocate()

    after = allocate().runs[0]

    assert ways[:3] == ["whole", "late", "whole"]
    assert same_as_whole(after)


def test_a_report_that_changed_and_changed_back_while_it_was_read_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported_month(5, 6, 7)
    ProviderUsage.objects.create(
        day=utc(6).date(),
        provider="openai",
        project="proj-1",
        model="gpt-4o",
        api_key="key-2",
        input_uncached=100,
    )
    allocate()
    late_bill("5", 6)
    day = ProviderUsage.objects.filter(day=utc(6).date(), api_key="key-1")
    with monkeypatch.context() as beside:
        around(
            beside,
            driver_data,
            "load_reported",
            before=lambda: day.update(input_uncached=900),
            after=lambda: day.update(input_uncached=100),
        )
        allocate()

    assert same_as_whole(allocate().runs[0])


def test_whose_a_key_is_is_read_once_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    IdentityOwner.objects.create(
        provider="gateway",
        kind="api_key",
        value="key-1",
        team="search",
        valid_from=date(2026, 1, 1),
    )
    traced_month()
    usage(None, at=utc(6, 10), input_uncached=90, about={"caller": "key-1"})
    with monkeypatch.context() as beside:
        around(beside, UsageReader, "read", after=lambda: IdentityOwner.objects.update(team="ads"))
        allocate()

    assert same_as_whole(allocate().runs[0])


def test_runs_of_a_former_engine_are_not_built_upon(ways: list[str]) -> None:
    """They kept no quantities of groups, nothing that was given by the day, and knew no version of
    reports.
    """
    traced_month()
    run = AllocationRun.objects.get(pk=allocate().runs[0].run)
    run.inputs["engine"] = "5"
    del run.basis["reports"]
    run.save()
    RunGiven.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE slice_group SET consumed_quantity = NULL, pricing_quantity = NULL")
        cursor.execute(
            "UPDATE ledger_slice SET content_sha256 = md5(content_sha256)"
        )  # quantities are part of it now
    for day in (6, 7):
        late_bill("5", day)
        after = allocate().runs[0]

    assert ways == ["whole", "whole", "late"]
    assert same_as_whole(after)
