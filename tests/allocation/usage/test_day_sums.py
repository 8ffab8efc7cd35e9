"""usage_day_sum: whatever came, went or waits, a run reads from it what the hours say."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.db import connection, connections, transaction

from allocation.models import UsageHourly
from allocation.usage.keys import DeclaredUsage
from allocation.usage.month_usage import MonthUsage, _fill_sql, declared_columns, sum_day, sum_days
from portal.ingest.otlp.rollup.merge import merge_deltas
from tests.allocation.bills import OCTOBER, usage, utc

pytestmark = pytest.mark.django_db
START, END = OCTOBER.start, OCTOBER.end
BOTH = pytest.mark.django_db(databases=["default", "owner"], transaction=True)
COMMITTED = pytest.mark.django_db(transaction=True)

Beside = Callable[[Callable[[], object]], threading.Thread]

DELTA = """
INSERT INTO usage_delta (hour, dimension_id, spans, calls, calls_without_usage, errors,
    input_uncached, cache_read,
    cache_write_5m, cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio,
        output_image,
    duration_us, variance_input, variance_output, covariance)
SELECT hour, dimension_id, spans, calls, calls_without_usage, errors, input_uncached, cache_read,
    cache_write_5m,
    cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio, output_image,
        duration_us,
    variance_input, variance_output, covariance
FROM usage_hourly WHERE hour = %s LIMIT 1
"""


def run(statement: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def read(*, from_hours: bool = False) -> list[DeclaredUsage]:
    """Usage as runs read it; with `from_hours`, no day of it from the sums."""
    statement = _fill_sql(declared_columns(by_region=False))
    assert "WHERE summed = version" in statement
    if from_hours:
        statement = statement.replace("WHERE summed = version", "WHERE false")
    month = MonthUsage(START, END, by_region=False, caller_pays=True, entries=(), owners={})
    with connection.cursor() as cursor:
        cursor.execute(statement, {"start": START, "end": END})
        try:
            return month.read(list(month.digests))
        finally:
            cursor.execute("DROP TABLE run_usage")


def measured() -> list[tuple[Any, ...]]:
    """Calls and tokens by day and caller of every hour there is, by another statement than a
    run's.
    """
    rows = run(
        "SELECT (u.hour AT TIME ZONE 'UTC')::date, coalesce(d.team, ''), sum(u.calls),"
        " sum(u.input_uncached), sum(u.output_text)"
        " FROM usage_live u JOIN allocation_usagedimension d ON d.id = u.dimension_id"
        " WHERE u.hour >= '2026-10-01Z' AND u.hour < '2026-11-01Z' GROUP BY 1, 2"
    )
    return sorted(rows)


def by_team(rows: list[DeclaredUsage]) -> list[tuple[Any, ...]]:
    """As `measured`, of what a run reads."""
    sums: dict[tuple[date, str], list[Decimal]] = {}
    for row in rows:
        own = sums.setdefault((row.day, row.attributes[0] or ""), [Decimal(0)] * 3)
        for n, text in enumerate((row.calls, row.tokens[0], row.tokens[4])):
            own[n] += Decimal(text)
    return [(*key, *own) for key, own in sorted(sums.items())]


def all_agree() -> bool:
    rows = read()
    return rows == read(from_hours=True) and by_team(rows) == measured()


def some_usage() -> None:
    """Whole and weighted counts, priced hours and not, several of one caller and day, at both ends
    of days.
    """
    for day in (1, 5, 6, 31):
        for hour in (0, 10, 23):
            usage(
                "search",
                at=utc(day, hour),
                input_uncached=70,
                output_text=hour,
                list_cost="0.000000123456789",
            )
        usage(
            "ads",
            at=utc(day, 3),
            calls=7,
            input_uncached="30.123456",
            variance_input="123.456",
            list_cost="2",
        )
        usage("ads", at=utc(day, 4), input_uncached=5, variance_output="0.7")
    usage("ads", at=utc(30, 23, month=9), input_uncached=1)
    usage("ads", at=utc(1, 0, month=11), input_uncached=1)


def waits(hour: datetime) -> None:
    """Calls as those of the hour come again, and are not merged yet."""
    run(DELTA, [hour])


def test_sums_say_what_the_hours_say_and_are_made_once() -> None:
    some_usage()
    before = read()

    assert sum_days(START, END) == 4
    assert sum_days(START, END) == 0
    assert read() == before
    assert all_agree()
    assert run("SELECT count(*) FROM usage_day_sum") == [(8,)]
    assert sum_days(date(2026, 9, 30), date(2026, 11, 2)) == 2


def comes() -> None:
    usage("ops", at=utc(5, 9), input_uncached=11)


def goes() -> None:
    UsageHourly.objects.filter(hour__gte=utc(5), hour__lt=utc(6)).delete()


def is_priced() -> None:
    UsageHourly.objects.filter(hour=utc(5, 4)).update(list_cost="0.25")


def waits_and_is_merged() -> None:
    waits(utc(5, 10))
    merge_deltas()


@pytest.mark.parametrize("change", [comes, goes, is_priced, waits_and_is_merged])
def test_a_day_that_changed_is_read_from_its_hours_until_it_is_summed_again(
    change: Callable[[], None],
) -> None:
    some_usage()
    sum_days(START, END)
    before = read()

    change()

    now = read()
    assert now != before
    assert all_agree()
    assert sum_days(START, END) == 1
    assert read() == now
    assert all_agree()


def test_calls_that_wait_to_be_merged_count_beside_the_sums() -> None:
    some_usage()
    sum_days(START, END)
    waits(utc(5, 10))
    waits(utc(6, 10))

    while_waiting = read()

    assert all_agree()
    assert sum_days(START, END) == 0
    merge_deltas()
    assert by_team(read()) == by_team(while_waiting)
    assert sum_days(START, END) == 2
    assert all_agree()
    assert by_team(read()) == by_team(while_waiting)


def test_days_without_a_version_are_read_from_their_hours() -> None:
    some_usage()
    sum_days(START, END)
    run("DELETE FROM usage_day_version WHERE day = '2026-10-05'")

    assert all_agree()
    assert sum_days(START, END) == 0
    usage(
        "ops", at=utc(5, 9), input_uncached=11
    )  # the first version of the day again, of which there is no sum
    assert all_agree()
    assert sum_days(START, END) == 1
    assert all_agree()


@pytest.mark.parametrize("table", ["usage_hourly", "usage_day_sum", "usage_day_version"])
@BOTH
def test_a_table_that_is_emptied_takes_no_usage_along_but_its_own(table: str) -> None:
    some_usage()
    sum_days(START, END)
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")

    assert bool(read()) is (table != "usage_hourly")
    assert all_agree()
    sum_days(START, END)
    assert all_agree()
    usage("ops", at=utc(5, 9), input_uncached=11)
    assert all_agree()


# ---------------------------------------------------------------- beside others


@pytest.fixture
def beside() -> Iterator[Beside]:
    """Starts work on a connection of its own."""
    started: list[threading.Thread] = []

    def start(work: Callable[[], object]) -> threading.Thread:
        def carried_out() -> None:
            try:
                work()
            finally:
                connection.close()

        started.append(threading.Thread(target=carried_out))
        started[-1].start()
        return started[-1]

    yield start
    for thread in started:
        thread.join(30)
        assert not thread.is_alive()


def until(holds: str) -> None:
    deadline = time.monotonic() + 20
    while not run(holds)[0][0]:
        assert time.monotonic() < deadline, holds
        time.sleep(0.02)


WAITS = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'
    AND datname = current_database())
FROM pg_stat_clear_snapshot()
"""


@COMMITTED
def test_a_sum_that_met_a_change_under_way_is_not_taken_for_new(beside: Beside) -> None:
    some_usage()
    sum_days(START, END)
    usage("ops", at=utc(5, 9), input_uncached=1)
    with transaction.atomic():
        waits(utc(5, 10))
        merge_deltas()
        summing = beside(lambda: sum_day(date(2026, 10, 5)))
        until(WAITS)  # it summed what it can see, without what is merged here
    summing.join(30)

    assert all_agree()
    assert sum_days(START, END) == 1
    assert all_agree()


@COMMITTED
def test_two_runs_at_once_sum_a_day_once(beside: Beside) -> None:
    some_usage()
    done: list[bool] = []
    with transaction.atomic():
        assert sum_day(date(2026, 10, 5))
        other = beside(lambda: done.append(sum_day(date(2026, 10, 5))))
        until(WAITS)
    other.join(30)

    assert done == [False]
    assert all_agree()


@COMMITTED
def test_no_snapshot_ever_sees_usage_lost_or_doubled(beside: Beside) -> None:
    """The folder, a price list, deletes and two summing runs at once; a reader compares sums and
    hours meanwhile.
    """
    some_usage()
    end = threading.Event()
    failed: list[BaseException] = []
    counted = {"changed": 0, "summed": 0}

    def again(step: Callable[[random.Random], None], seed: int) -> Callable[[], None]:
        def steps() -> None:
            chance = random.Random(seed)
            try:
                while not end.is_set():
                    step(chance)
            except BaseException as error:
                failed.append(error)

        return steps

    def change(chance: random.Random) -> None:
        counted["changed"] += 1
        with transaction.atomic():
            for _ in range(chance.randint(1, 3)):
                at = utc(chance.choice((1, 5, 6, 31)), chance.randint(0, 23))
                kind = chance.random()
                if kind < 0.5:
                    run(DELTA, [at])
                elif kind < 0.7:
                    UsageHourly.objects.filter(hour=at).update(
                        list_cost=Decimal(chance.randint(1, 9))
                    )
                elif kind < 0.8:
                    run("DELETE FROM usage_hourly WHERE hour = %s AND calls > 20", [at])
                else:
                    merge_deltas()

    def summed(_chance: random.Random) -> None:
        counted["summed"] += sum_days(START, END)

    for seed, step in enumerate((change, summed, summed)):
        beside(again(step, seed))
    until_then = time.monotonic() + 1.5
    snapshots = 0
    try:
        while time.monotonic() < until_then and not failed:
            with transaction.atomic():
                run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                assert all_agree()
            snapshots += 1
    finally:
        end.set()
    assert not failed
    assert snapshots > 5
    assert min(counted.values()) > 5


@COMMITTED
def test_days_from_before_there_were_versions_get_one() -> None:
    """What the migration does for them."""
    some_usage()
    run("DELETE FROM usage_day_version")
    seed = import_module("allocation.migrations.0013_usage_days").SQL.rpartition("\n\n")[2]

    run(seed[seed.index("INSERT") :])

    days = [START - timedelta(1), *(utc(day).date() for day in (1, 5, 6, 31)), END]
    assert run("SELECT day, version, summed FROM usage_day_version ORDER BY 1") == [
        (day, 1, None) for day in days
    ]
