"""Runs beside what changes meanwhile and what died: the next one builds upon neither."""

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
    RunSlice,
    SliceShare,
    Source,
    UsageHourly,
)
from allocation.preview.preview import draft_runs
from allocation.rules.rule_sets import latest_rule_set
from allocation.runs import inputs, month
from allocation.usage import driver_data
from allocation.usage.month_usage import MonthUsage
from tests.allocation.bills import NOW, OCTOBER, Bill, allocate, put_in_force, usage, utc
from tests.allocation.reruns import (
    around,
    late_bill,
    owned,
    reported,
    reported_month,
    rows_of,
    same_as_whole,
    traced_month,
)

pytestmark = pytest.mark.django_db
CALLS_BY_MONTH = "rules: [{name: calls, method: traced_usage, weights: month}]"


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
        killed.setattr(month, "balance_slices", dies)
        killed.setattr(month, "delete_rows", dies)
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


def test_a_run_that_failed_takes_its_own_slices_along_and_none_that_it_took_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traced_month()
    first = allocate().runs[0]
    before, slices = rows_of(first.run), set(LedgerSlice.objects.values_list("pk", flat=True))
    late_bill("5", 6)

    def fails() -> None:
        raise RuntimeError("objects")

    with pytest.raises(RuntimeError):
        allocate(guard=fails)

    assert rows_of(first.run) == before
    assert set(LedgerSlice.objects.values_list("pk", flat=True)) == slices
    assert same_as_whole(allocate().runs[0])


def test_a_comparison_leaves_no_run_behind_and_builds_upon_the_current_one() -> None:
    traced_month()
    Bill("AWS").charge("7", at=utc(5), currency="EUR", provider_name="AWS")
    allocate()
    late_bill("5", 6, quantity="100")
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
        assert [pair.before.sha256 == pair.after.sha256 for pair in pairs] == [True, True]

    assert set(AllocationRun.objects.values_list("pk", flat=True)) == before
    held = set(RunSlice.objects.values_list("slice_id", flat=True))
    assert set(LedgerSlice.objects.values_list("pk", flat=True)) == held
    assert same_as_whole({run.currency: run for run in allocate().runs}["USD"])


@pytest.mark.parametrize(
    ("reading", "rules"), [("facts", None), ("read", None), ("read_month", CALLS_BY_MONTH)]
)
def test_usage_that_went_and_came_back_while_the_month_was_read_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch, reading: str, rules: str | None
) -> None:
    """A run looks at usage as it stood at one moment."""
    if rules:
        put_in_force(rules)
    traced_month()
    allocate()
    late_bill("5", 6)
    usage("ads", at=utc(6, 15), input_uncached=900)
    with monkeypatch.context() as beside:
        hours = list(UsageHourly.objects.filter(hour__gte=utc(6)))
        around(
            beside,
            MonthUsage,
            reading,
            before=lambda: UsageHourly.objects.filter(hour__gte=utc(6)).delete(),
            after=lambda: UsageHourly.objects.bulk_create(hours),
        )
        allocate()

    assert same_as_whole(allocate().runs[0])


def test_a_report_that_changed_and_changed_back_while_it_was_read_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported_month()
    reported(6, 100, key="key-2")
    allocate()
    late_bill("5", 6)
    day = ProviderUsage.objects.filter(day=utc(6).date(), api_key="key-1")
    with monkeypatch.context() as beside:
        around(
            beside,
            driver_data,
            "load_reports",
            before=lambda: day.update(input_uncached=900),
            after=lambda: day.update(input_uncached=100),
        )
        allocate()

    assert same_as_whole(allocate().runs[0])


def test_whose_a_key_is_is_read_once_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    owned("key-1", "search", provider="gateway")
    traced_month()
    usage(None, at=utc(6, 10), input_uncached=90, about={"caller": "key-1"})
    with monkeypatch.context() as beside:
        around(
            beside,
            inputs,
            "read_driver_data",
            before=lambda: IdentityOwner.objects.update(team="ads"),
        )
        allocate()

    assert same_as_whole(allocate().runs[0])


@pytest.mark.parametrize("change", [{"untraced": "unallocated"}, {"name": "OpenAI, new"}])
def test_settings_that_change_while_the_month_is_split_are_those_of_the_next_run(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    traced_month()
    allocate()
    late_bill("5", 6)
    with monkeypatch.context() as beside:
        around(beside, month, "split_groups", before=lambda: Source.objects.update(**change))
        allocate()

    after = allocate().runs[0]

    assert not after.reused
    assert same_as_whole(after)


def test_a_bill_that_comes_while_the_month_is_split_is_that_of_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traced_month()
    before = allocate().runs[0]
    usage("ads", at=utc(6, 15), input_uncached=900)
    with monkeypatch.context() as beside:
        around(beside, month, "split_groups", before=lambda: late_bill("5", 6))
        between = allocate().runs[0]

    after = allocate().runs[0]

    assert len({before.sha256, between.sha256, after.sha256}) == 3
    with connection.cursor() as cursor:
        cursor.execute("SELECT run_id, sum(billed_cost) FROM allocated_cost GROUP BY 1 ORDER BY 1")
        assert [cost for _, cost in cursor.fetchall()] == [33, 33, 38]
    assert same_as_whole(after)
