"""Half-open validity: whatever changes on a day or at an hour, the instant of the change belongs to
what is new.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from allocation.catalogue.price_list import PriceLine, applicable, context_band, packaged
from allocation.catalogue.price_store import ensure_prices
from allocation.catalogue.prices import reprice
from allocation.models import Feature, IdentityOwner, Product, Team, UsageHourly
from allocation.organisation.stored import load_organisation
from allocation.usage.driver_data import identity_owners, owner_of
from tests.allocation.bills import AWS, Bill, allocate, billed_by_team, put_in_force, usage, utc

MOMENT = timedelta(microseconds=1)


def line(
    price: int,
    *,
    valid_from: date | None = None,
    start: time | None = None,
    end: time | None = None,
) -> PriceLine:
    return PriceLine("p", "m", None, "input_uncached", 0, start, end, valid_from, Decimal(price))


def price_at(lines: list[PriceLine], at: datetime) -> int | None:
    found = applicable(lines, "input_uncached", 0, at, None)
    return None if found is None else int(found.per_million)


def test_fault_086_a_price_holds_from_its_first_instant_until_the_next_ones() -> None:
    change = datetime(2026, 10, 15, tzinfo=UTC)
    dated = [
        line(1),
        line(2, valid_from=date(2026, 10, 15)),
        line(3, valid_from=date(2026, 10, 16)),
    ]

    assert [price_at(dated, change + step) for step in (-MOMENT, timedelta(0), MOMENT)] == [1, 2, 2]
    assert [
        price_at(dated, change + timedelta(days=1) + step) for step in (-MOMENT, timedelta(0))
    ] == [2, 3]
    assert price_at(dated[1:], change - MOMENT) is None


def test_fault_086_a_price_that_changes_mid_day_has_no_gap_and_no_overlap() -> None:
    night, day = time(16, 30), time(0, 30)
    lines = [line(1, start=day, end=night), line(2, start=night, end=day)]

    for at, before, after in (
        (datetime(2026, 10, 15, 16, 30, tzinfo=UTC), 1, 2),
        (datetime(2026, 10, 15, 0, 30, tzinfo=UTC), 2, 1),
    ):
        assert [price_at(lines, at + step) for step in (-MOMENT, timedelta(0), MOMENT)] == [
            before,
            after,
            after,
        ]
    assert price_at(lines, datetime(2026, 10, 15, 18, 29, tzinfo=UTC).replace(tzinfo=UTC)) == 2


def test_fault_086_every_packaged_price_is_the_only_one_at_its_instant() -> None:
    """Of one model, class, tier and size of prompt, the windows of each day cut it into pieces
    without a gap.
    """

    def shape(each: PriceLine) -> tuple[Any, ...]:
        about = (each.provider, each.model, each.tier or "", each.token_class, each.context_from)
        return (*about, each.valid_from or date.min)

    for _, group in groupby(sorted(packaged().lines, key=shape), key=shape):
        windows = (
            sorted(
                (each.time_of_day_from, each.time_of_day_to)
                for each in group
                if each.time_of_day_from
            )
            or []
        )
        if not windows:
            continue
        starts, ends = [start for start, _ in windows], [end for _, end in windows]
        assert len(set(starts)) == len(starts)
        assert ends == [*starts[1:], starts[0]]


@pytest.mark.django_db
def test_fault_086_usage_in_the_hour_of_a_change_has_the_new_price() -> None:
    """What the database says in bulk is what the list says of each instant, hour by hour around
    every change of a day.
    """
    version, _ = ensure_prices()
    windowed = next(
        each for each in packaged().lines if each.time_of_day_from and each.provider == "deepseek"
    )
    lines = packaged().lines_by_model[windowed.provider, windowed.model]
    hours = [datetime(2026, 10, 15, hour, tzinfo=UTC) for hour in range(24)]
    for hour in hours:
        about = {"model_answered": windowed.model, "model_requested": windowed.model}
        usage(
            "a",
            at=hour,
            provider="deepseek",
            model=windowed.model,
            input_uncached=1_000_000,
            about=about,
        )

    reprice(version.pk)

    band = context_band(0)
    stored = dict(UsageHourly.objects.values_list("hour", "list_cost"))
    expected = {hour: applicable(lines, "input_uncached", band, hour, None) for hour in hours}
    assert stored == {hour: found.per_million for hour, found in expected.items() if found}
    assert len(set(stored.values())) > 1


@pytest.mark.django_db
def test_fault_086_what_changes_hands_is_the_new_owners_from_the_first_instant_of_the_day() -> None:
    Team.objects.bulk_create([Team(slug=slug, name=slug) for slug in ("a", "b", "c")])
    feature = Feature.objects.create(slug="chat", name="Chat")
    for day, team in ((1, "a"), (15, "b"), (16, "c")):
        feature.placements.create(
            owner_team=Team.objects.get(slug=team), valid_from=date(2026, 10, day)
        )
        IdentityOwner.objects.create(
            provider="openai",
            kind="api_key",
            value="key",
            team=team,
            valid_from=date(2026, 10, day),
        )
    put_in_force("rules: [{name: r, method: even, among: [{feature: chat}]}]")
    bill = Bill()
    for at in (utc(14, 23), utc(15, 0), utc(15, 23), utc(16, 0)):
        bill.charge("1", at=at, **AWS)

    allocate()

    tree, owners = load_organisation(), identity_owners()
    days = [date(2026, 9, 30), *(date(2026, 10, day) for day in (1, 14, 15, 16, 31))]
    expected = [None, "a", "a", "b", "c", "c"]
    assert [
        place.owner_team if (place := tree.place("chat", day)) else None for day in days
    ] == expected
    assert [owner_of(owners, "openai", {"api_key": "key"}, day)[0] for day in days] == expected  # type: ignore[dict-item]
    assert billed_by_team() == {"a": Decimal(1), "b": Decimal(2), "c": Decimal(1)}


@pytest.mark.django_db
def test_fault_086_nothing_can_be_valid_twice_from_one_instant() -> None:
    team = Team.objects.create(slug="a", name="A")
    feature = Feature.objects.create(slug="chat", name="Chat")
    feature.placements.create(owner_team=team, valid_from=date(2026, 10, 15))
    owner = {
        "provider": "openai",
        "kind": "api_key",
        "value": "key",
        "valid_from": date(2026, 10, 15),
    }
    IdentityOwner.objects.create(team="a", **owner)

    with pytest.raises(IntegrityError), transaction.atomic():
        feature.placements.create(owner_team=team, valid_from=date(2026, 10, 15))
    with pytest.raises(IntegrityError), transaction.atomic():
        IdentityOwner.objects.create(team="b", **owner)
    assert Product.objects.count() == 0
