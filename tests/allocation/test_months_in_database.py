"""Made-up months through the whole of a real run: PostgreSQL's sums and the ledger in memory have
the same bytes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from allocation.catalogue.token_classes import TOKEN_COLUMNS
from allocation.charges.groups import Amount
from allocation.ledger.writer import stored_sha256
from allocation.models import (
    AllocationRun,
    DriverPoint,
    Feature,
    GpuUsage,
    Product,
    RunSource,
    Team,
)
from allocation.organisation.owners import NAMED, Owner
from allocation.organisation.targets import load_organisation, resolve
from allocation.usage.measures import Reading
from allocation.values.money import exact_sum, text_of
from reports.queries.reconcile.ledger import reconcile_period
from tests.allocation import months
from tests.allocation.bills import OCTOBER, Bill, allocate, put_in_force, usage
from tests.allocation.months import FIRST, TEAMS, UNKNOWN, Month, made_up

pytestmark = pytest.mark.django_db
SEEDS = range(25)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_real_run_of_a_made_up_month_has_the_bytes_of_the_one_in_memory(seed: int) -> None:
    month = storable(made_up(seed, 8))
    month = written(month, seed)

    runs = {run.currency: run for run in allocate().runs}

    expected = months.allocate(month)
    assert {currency: run.sha256 for currency, run in runs.items()} == {
        currency: ledger.sha256 for currency, ledger in expected.items()
    }
    for run in runs.values():
        assert stored_sha256(run_id=run.run, month=OCTOBER.start) == run.sha256
        readers_see(run.run, expected[run.currency], month)
    again = {run.currency: run.sha256 for run in allocate(reuse=False).runs}
    assert again == {currency: run.sha256 for currency, run in runs.items()}
    assert reconcile_period(period=OCTOBER).is_balanced
    for row in AllocationRun.objects.filter(is_current=True):
        charges = [each.billed for each in month.charges if month.currency_of(each) == row.currency]
        balances = RunSource.objects.filter(run=row, metric="billed_cost").values_list(
            "allocated", "unallocated"
        )
        assert exact_sum(amount for balance in balances for amount in balance) == exact_sum(charges)


ONE = Decimal(1)
SEEN = {
    "shares": """
        SELECT a.day, t.team, t.reason, a.charge_kind, a.evidence, sum(a.billed_cost),
            sum(a.effective_cost)
        FROM allocated_cost a JOIN allocation_target t ON t.id = a.target_id WHERE a.run_id = %s
            GROUP BY 1, 2, 3, 4, 5
        """,
    "rollup": """
        SELECT day, team, reason, charge_kind, evidence, sum(billed_cost), sum(effective_cost)
        FROM cost_daily WHERE run_id = %s GROUP BY 1, 2, 3, 4, 5
        """,
    "groups": """
        SELECT day, sum(billed_cost), sum(effective_cost), sum(charges), count(*),
            count(DISTINCT bucket)
        FROM charge_group WHERE run_id = %s GROUP BY 1
        """,
    "calls": "SELECT day, sum(calls), sum(tokens_input + tokens_output) FROM usage_daily WHERE run_id = %s GROUP BY 1",
}


def readers_see(run: int, ledger: months.Ledger, month: Month) -> None:
    """The views say on each day what the ledger in memory says, however many days share a slice."""
    seen: dict[str, set[tuple[Any, ...]]] = {}
    for name, statement in SEEN.items():
        with connection.cursor() as cursor:
            cursor.execute(statement, [run])
            seen[name] = set(cursor.fetchall())
    shares = summed(
        (
            (line.day, line.target.team, line.target.reason, line.kind, line.rung),
            (line.billed, line.effective),
        )
        for line in ledger.lines
    )
    without_zeros = [
        {row for row in rows if row[5] or row[6]}
        for rows in (shares, seen["shares"], seen["rollup"])
    ]
    assert without_zeros[0] == without_zeros[1] == without_zeros[2]
    assert seen["groups"] == summed(
        (
            (group.day,),
            (
                decimal_of(group.billed_cost),
                decimal_of(group.effective_cost),
                Decimal(group.charges),
                *[Decimal(1)] * 2,
            ),
        )
        for group, _, _ in ledger.groups
    )
    calls = summed(
        ((row.day,), (Decimal(row.calls), exact_sum(map(Decimal, row.tokens))))
        for row in month.usage
    )
    assert seen["calls"] == calls


def summed(rows: Iterable[tuple[tuple[Any, ...], tuple[Decimal, ...]]]) -> set[tuple[Any, ...]]:
    """Keys with exact sums of the numbers beside them."""
    found: dict[tuple[Any, ...], list[tuple[Decimal, ...]]] = {}
    for key, numbers in rows:
        found.setdefault(key, []).append(numbers)
    return {(*key, *map(exact_sum, zip(*own, strict=True))) for key, own in found.items()}


def decimal_of(amount: Amount) -> Decimal:
    return Decimal(text_of(amount.quanta, amount.places))


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
        row = month.dimensions[charge.dimension]
        columns: dict[str, Any] = dict(row.columns)
        start, end = charge.spread or (
            f"{charge.day}T05:00:00+00:00",
            f"{charge.day}T06:00:00+00:00",
        )
        bills[row.source_id].charge(
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
    write_usage(month)
    return month


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
