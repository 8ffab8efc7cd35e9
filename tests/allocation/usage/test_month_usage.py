"""A month's usage as runs ask for it: facts, digests and rows, all by SQL over one table."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.db import connection

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.models import IdentityOwner, UsageHourly
from allocation.organisation.stored import TargetBook
from allocation.organisation.targets import Organisation
from allocation.runs.inputs import Resolver
from allocation.usage.driver_data import identity_owners
from allocation.usage.index import UsageIndex
from allocation.usage.keys import ALL_CALLS, BilledKeys, DeclaredUsage, Key, Placed, places_of_rows
from allocation.usage.month_usage import MonthUsage, month_usage, sum_days
from portal.ingest.otlp.rollup.merge import merge_deltas
from tests.allocation.bills import OCTOBER, usage, utc
from tests.allocation.months import without_database
from tests.allocation.usage.test_day_sums import waits

pytestmark = pytest.mark.django_db

START, END = OCTOBER.start, OCTOBER.end
GPT = Key("openai", "proj-1", "gpt-4o", False)
BATCH, RESERVED = GPT._replace(is_batch=True), GPT._replace(is_reserved=True)
EAST = GPT._replace(region="us-east-1")
CUTS = (START, END)


@contextmanager
def month(*, by_region: bool = True, caller_pays: bool = True) -> Iterator[MonthUsage]:
    with month_usage(
        START,
        END,
        by_region=by_region,
        caller_pays=caller_pays,
        entries=(),
        owners=identity_owners(),
    ) as found:
        yield found


def as_declared(key: Key) -> Placed:
    return ((key, ALL_CALLS),)


def some_usage(chance: random.Random) -> None:
    """Up to thirty hours of calls: with fractions, without tokens, prices, teams or sampling."""
    fractions = chance.random() < 0.5
    for _ in range(chance.randrange(30)):
        counts: dict[str, int | str] = {
            name: f"{count}.{chance.choice(('5', '000001'))}"
            if fractions and chance.random() < 0.3
            else count
            for name in TOKEN_COLUMNS
            if (count := chance.choice((0, 0, 0, 1, 70, 10**14)))
        }
        if chance.random() < 0.2:
            counts |= {f"variance_{chance.choice(('input', 'output'))}": chance.choice((9, "2.5"))}
        usage(
            chance.choice(("search", "ads", None)),
            chance.choice((None, "index")),
            at=utc(chance.choice((1, 5, 6, 31))) + timedelta(minutes=chance.randrange(1440)),
            provider=chance.choice(("openai", "openai", "gcp.gen_ai", "gcp.vertex_ai")),
            project=chance.choice(("proj-1", "proj-1", "proj-2", None)),
            model=chance.choice(("gpt-4o", "o1")),
            tier=chance.choice((None, "standard", "batch", "provisioned")),
            calls=chance.randrange(4),
            list_cost=chance.choice((None, "0", "0.000000000000000001", "12.5")),
            about={
                "region": chance.choice((None, "US-East-1", "eu-west-1")),
                "model_requested": chance.choice((None, "global.anthropic.claude", "gpt-4o")),
                "observer": chance.choice((None, "gateway")),
                "caller": chance.choice((None, "key-1")),
            },
            **counts,
        )


@pytest.mark.parametrize("seed", range(40))
def test_facts_by_sql_are_those_that_the_rows_add_up_to(seed: int) -> None:
    chance = random.Random(seed)
    some_usage(chance)
    apart = frozenset(
        chance.sample([BATCH, RESERVED, EAST, RESERVED._replace(model=None)], chance.randrange(4))
    )
    if chance.random() < 0.5:
        sum_days(START, date(2026, 10, 6))

    with month(by_region=chance.random() < 0.5) as found, without_database():
        resolver = Resolver(Organisation({}, {}, {}), TargetBook(), BilledKeys(apart))
        facts = found.facts(resolver.keys, is_cut=False)
        rows = found.read(list(found.digests))
        places = places_of_rows(rows)
        index = UsageIndex.of(resolver.rows(rows, places), places=places, order=[])
        of_month = found.read_month(CUTS)
        all_days = UsageIndex.of(resolver.rows(of_month, places), places=places, order=[])

    assert (facts.places, facts.days) == (places, index.facts.days)
    for key in facts.days:
        own, others = facts.on(key, None), all_days.facts.on(key, None)
        assert own.tokens == others.tokens
        assert own.list_cost == others.list_cost
        assert own.variance == others.variance
        assert sum(own.calls.values()) == sum(others.calls.values())


@pytest.mark.parametrize("seed", range(10))
def test_rows_of_the_month_are_those_of_its_days_in_one(seed: int) -> None:
    """Apart on both sides of a cut, and where a gateway saw them on some days only."""
    chance = random.Random(seed)
    some_usage(chance)
    cut = date(2026, 10, 6)

    with month() as found:
        days, whole = found.read(list(found.digests)), found.read_month([*CUTS, cut])

    assert added_up(days, cut) == added_up(whole, cut)
    assert len(whole) == len(added_up(whole, cut))


def added_up(rows: list[DeclaredUsage], cut: date) -> dict[tuple[Any, ...], list[Any]]:
    """Calls, tokens, list cost and variances by everything else, before the cut and from it on."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        cost = Decimal(row.list_cost or 0)
        is_unpriced = row.list_cost is None and any(map(Decimal, row.tokens))
        numbers = [Decimal(row.calls), *map(Decimal, row.tokens), cost, *row.variance]
        name = (row.day < cut, row.key, row.attributes, row.rung, row.caller)
        before = found.setdefault(name, [*[0] * len(numbers), False])
        before[:-1] = [one + other for one, other in zip(before, numbers, strict=False)]
        before[-1] |= is_unpriced
    for sums in found.values():
        sums[-4] = None if sums[-1] else sums[-4]
    return found


def call(team: str | None, **changed: Any) -> None:
    """An hour of the sixth with a value in every column that a run reads, but for those changed."""
    about: dict[str, Any] = {
        "product": "suite",
        "environment": "prod",
        "customer": "acme",
        "phase": "run",
        "entry_team": "ads",
        "entry_feature": "banner",
        "region": "us-east-1",
        "model_requested": "gpt-4o",
        "caller": "key-1",
        "observer": "application",
    }
    columns: dict[str, Any] = {
        "feature": "index",
        "tier": "batch",
        "calls": 2,
        "list_cost": "0.5",
        "variance_input": 4,
        "variance_output": 5,
        **{name: n for n, name in enumerate(TOKEN_COLUMNS, 10)},
    }
    for name, value in changed.items():
        (about if name in about else columns)[name] = value
    usage(team, at=utc(6, 10), about=about, **columns)


def digests(*, by_region: bool = True) -> dict[date, str]:
    with month(by_region=by_region) as found:
        return dict(found.digests)


SIXTH, SEVENTH = date(2026, 10, 6), date(2026, 10, 7)
NUMBERS = ("calls", "list_cost", "variance_input", "variance_output", *TOKEN_COLUMNS)
NAMES: tuple[tuple[str, Any], ...] = (
    ("provider", "anthropic"),
    ("project", "proj-2"),
    ("model", "o1"),
    ("tier", "provisioned"),
    ("feature", "banner"),
    *(
        (name, "another")
        for name in ("product", "environment", "customer", "phase", "entry_team", "entry_feature")
    ),
    ("region", "eu-west-1"),
    ("model_requested", "global.gpt-4o"),
    ("caller", "key-2"),
    ("observer", "gateway"),
    *((name, None) for name in ("project", "region", "feature", "product", "caller")),
)


@pytest.mark.parametrize(("name", "value"), NAMES)
def test_whatever_calls_declare_is_part_of_their_days_digest(name: str, value: Any) -> None:
    call(None)
    usage("ads", at=utc(7, 10), input_uncached=5)
    before = digests()
    UsageHourly.objects.filter(hour=utc(6, 10)).delete()

    call(None, **{name: value})

    after = digests()
    assert before.keys() == after.keys() == {SIXTH, SEVENTH}
    assert after[SIXTH] != before[SIXTH]
    assert after[SEVENTH] == before[SEVENTH]


@pytest.mark.parametrize("name", NUMBERS)
def test_whatever_calls_come_to_is_part_of_their_days_digest(name: str) -> None:
    call(None)
    usage("ads", at=utc(7, 10), input_uncached=5)
    before = digests()

    UsageHourly.objects.filter(hour=utc(6, 10)).update(**{name: 1000})

    after = digests()
    assert after[SIXTH] != before[SIXTH]
    assert after[SEVENTH] == before[SEVENTH]


def test_the_team_and_a_price_that_is_missing_are_part_of_the_digest() -> None:
    usage("search", at=utc(6, 10), input_uncached=5, list_cost="0")
    found = [digests()[SIXTH]]
    UsageHourly.objects.update(list_cost=None)
    found.append(digests()[SIXTH])
    UsageHourly.objects.all().delete()
    for team in ("ads", None):
        usage(team, at=utc(6, 10), input_uncached=5)
        found.append(digests()[SIXTH])
        UsageHourly.objects.all().delete()

    assert len(set(found)) == 4


def test_what_a_run_does_not_read_is_no_part_of_the_digest() -> None:
    call("search")
    before, without_regions = digests(), digests(by_region=False)

    UsageHourly.objects.update(
        covariance=7, errors=1, calls_without_usage=1, duration_us=9, spans=50
    )
    assert digests() == before

    UsageHourly.objects.all().delete()
    call("search", region=None, caller="key-2")
    assert digests(by_region=False) == without_regions
    assert digests() != before


def comes_at_once() -> None:
    usage("search", at=utc(6, 10), calls=2, input_uncached=140)


def comes_in_two_hours() -> None:
    usage("search", at=utc(6, 10), input_uncached=70)
    usage("search", at=utc(6, 23), input_uncached=70)


def comes_by_services() -> None:
    for service in ("one", "two"):
        usage("search", at=utc(6, 10), input_uncached=70, about={"service": service})


def waits_to_be_merged() -> None:
    usage("search", at=utc(6, 10), input_uncached=70)
    waits(utc(6, 10))


def is_merged() -> None:
    waits_to_be_merged()
    merge_deltas()


def is_summed() -> None:
    comes_in_two_hours()
    sum_days(START, END)


@pytest.mark.parametrize(
    "way", [comes_in_two_hours, comes_by_services, waits_to_be_merged, is_merged, is_summed]
)
def test_equal_content_has_an_equal_digest_however_it_came(way: Callable[[], None]) -> None:
    comes_at_once()
    before = digests()
    with month() as found:
        rows = found.read([SIXTH])
    UsageHourly.objects.all().delete()

    way()

    assert digests() == before
    with month() as found:
        assert found.read([SIXTH]) == rows


def test_the_usage_of_a_range_is_known_by_its_days_and_ends() -> None:
    usage("search", at=utc(6, 10), input_uncached=70)
    found = []
    for start, end in ((START, END), (START, date(2026, 11, 2)), (date(2026, 9, 30), END)):
        with month_usage(
            start, end, by_region=False, caller_pays=True, entries=(), owners={}
        ) as one:
            found.append(one.sha256)
    UsageHourly.objects.update(calls=2)
    with month_usage(START, END, by_region=False, caller_pays=True, entries=(), owners={}) as one:
        found.append(one.sha256)

    assert len(set(found)) == 4


def test_days_outside_the_range_are_not_read() -> None:
    usage("search", at=datetime(2026, 9, 30, 23, 59, tzinfo=UTC), input_uncached=1)
    usage("search", at=datetime(2026, 11, 1, tzinfo=UTC), input_uncached=2)
    usage("search", at=datetime(2026, 10, 31, 23, 59, tzinfo=UTC), input_uncached=4)

    with month() as found:
        facts = found.facts(as_declared, is_cut=False)
        assert list(found.digests) == [date(2026, 10, 31)]
        assert [row.tokens[0] for row in found.read_month(CUTS)] == ["4"]

    assert facts.on(GPT, None).of((0,)) == 4


def test_places_are_those_that_some_count_of_the_month_needs() -> None:
    usage("search", at=utc(5, 10), input_uncached=70)
    with month() as found:
        assert found.facts(as_declared, is_cut=False).places == 0
    usage("ads", at=utc(6, 10), reasoning="0.5")

    with month() as found:
        facts = found.facts(as_declared, is_cut=False)

    assert facts.places == 6
    assert facts.tokens(GPT, date(2026, 10, 5), (0,)) == 70
    assert facts.tokens(GPT, SIXTH, (5,)) == Fraction(1, 2)


def test_whose_a_gateways_key_is_cuts_the_month_where_it_changes_hands() -> None:
    for first, team in ((date(2026, 1, 1), "search"), (SIXTH, "ads")):
        IdentityOwner.objects.create(
            provider="gateway", kind="api_key", value="key-1", team=team, valid_from=first
        )
    for day in (4, 5, 6, 7):
        usage(None, at=utc(day, 10), input_uncached=10, about={"caller": "key-1"})

    with month() as found:
        rows = found.read_month(CUTS)
        assert found.callers == ["key-1"]

    assert [(row.attributes[0], row.tokens[0], row.rung) for row in rows] == [
        ("search", "20", 2),
        ("ads", "20", 2),
    ]


def test_who_pays_for_an_agents_calls_is_told_by_the_rules() -> None:
    about = {"entry_team": "ads", "entry_feature": "banner"}
    usage("search", "index", at=utc(6, 10), input_uncached=10, about=about)

    paying = []
    for caller_pays in (True, False):
        with month(caller_pays=caller_pays) as found:
            (row,) = found.read([SIXTH])
            paying.append((row.attributes[:2], row.attributes[6:]))

    assert paying == [
        (("ads", "banner"), ("search", "index")),
        (("search", "index"), ("ads", "banner")),
    ]


def test_the_table_is_gone_after_the_month_is_read() -> None:
    with month(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM run_usage")
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('run_usage')")
        assert cursor.fetchone() == (None,)
