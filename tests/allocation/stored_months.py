"""Made-up months as rows of a database."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.models import DriverPoint, Feature, GpuUsage, Product, Team
from allocation.organisation.stored import load_organisation
from allocation.organisation.targets import NAMED, Owner, resolve
from allocation.usage.measures import Reading
from tests.allocation.bills import OCTOBER, Bill, put_in_force, usage
from tests.allocation.months import FIRST, TEAMS, UNKNOWN, MadeCharge, Month


def storable(month: Month) -> Month:
    """Without what a stored month gets in another way: sampling, prices of nothing, reports, the
    ids of owners.
    """
    rows = [row._replace(variance=(0, 0), list_cost=row.list_cost or "0") for row in month.usage]
    return replace(month, usage=tuple(rows), reported=(), series={})


def written(month: Month, seed: int) -> Month:
    """Writes the month, rows in an order of chance; the month with the tree and series as they now
    stand.
    """
    chance = random.Random(seed)
    write_tree(month)
    tree = load_organisation()
    month = replace(month, organisation=tree, series=write_series(chance, tree))
    put_in_force(month.rules)
    bills = {
        number: Bill(
            source.name,
            settings={"project_match": source.project_match, "untraced": source.untraced},
        )
        for number, source in month.sources.items()
    }
    for charge in chance.sample(month.charges, len(month.charges)):
        charge_to(bills[month.dimensions[charge.dimension].source_id], month, charge)
    write_usage(month)
    return month


def charge_to(bill: Bill, month: Month, charge: MadeCharge) -> None:
    columns: dict[str, Any] = dict(month.dimensions[charge.dimension].columns)
    start, end = charge.spread or (
        f"{charge.day}T05:00:00+00:00",
        f"{charge.day}T06:00:00+00:00",
    )
    bill.charge(
        format(charge.billed, "f"),
        format(charge.effective, "f"),
        at=datetime.fromisoformat(start),
        until=datetime.fromisoformat(end),
        quantity=None if charge.quantity is None else format(charge.quantity, "f"),
        listed=None if charge.listed is None else format(charge.listed, "f"),
        currency=columns.pop("billing_currency"),
        category=columns.pop("charge_category"),
        **columns,
    )


def write_tree(month: Month) -> None:
    tree = month.organisation
    for slug in sorted(set(tree.teams.values())):
        Team.objects.create(slug=slug, name=slug.title())
    suite = Product.objects.create(slug="suite", name="Suite")
    for slug, places in tree.features.items():
        feature = Feature.objects.create(slug=slug, name=slug)
        for place in places:
            feature.placements.create(
                valid_from=place.valid_from,
                owner_team=Team.objects.get(slug=place.owner_team),
                product=suite if place.product else None,
            )


def write_series(chance: random.Random, tree: Any) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = {}
    for series in ("seats", "queries"):
        for team in chance.sample([*TEAMS, UNKNOWN], 3):
            day, quantity = chance.choice((None, FIRST)), str(chance.randint(0, 9))
            DriverPoint.objects.create(
                series=series,
                month=OCTOBER.start,
                day=day,
                team=team,
                feature="banner",
                quantity=Decimal(quantity),
            )
            target = resolve(tree, Owner(team, "banner"), model=None, day=day or OCTOBER.start)
            found.setdefault(series, []).append(Reading(day, target, quantity, NAMED))
    return found


def write_usage(month: Month) -> None:
    for hour, row in enumerate(month.usage):
        team, feature, _, environment, customer, *_ = row.attributes
        usage(
            team,
            feature,
            at=datetime.combine(row.day, datetime.min.time(), tzinfo=UTC) + timedelta(hours=hour),
            provider=row.key.provider or "",
            project=row.key.project,
            model=row.key.model or "",
            tier="batch" if row.key.is_batch else None,
            calls=int(row.calls),
            list_cost=row.list_cost,
            about={
                "environment": environment,
                "customer": customer,
                "observer": "gateway" if row.rung == 2 else None,
            },
            **dict(zip(TOKEN_COLUMNS, row.tokens, strict=True)),
        )
    for hour, booked in enumerate(month.gpu):
        GpuUsage.objects.create(
            hour=datetime.combine(booked.day, datetime.min.time(), tzinfo=UTC)
            + timedelta(hours=hour % 24),
            cluster="train",
            node=booked.node,
            workload=f"job-{hour}" if booked.owner else None,
            team=booked.owner.team if booked.owner else None,
            feature=booked.owner.feature if booked.owner else None,
            environment=booked.owner.environment if booked.owner else None,
            booked_seconds=booked.booked,
            capacity_seconds=booked.capacity,
        )
