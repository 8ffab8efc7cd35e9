"""Made-up months with late changes come to the bytes of whole runs."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from allocation.charges import split_key_map as members
from allocation.ledger.writer import stored_sha256
from allocation.models import UsageHourly
from portal.ingest.otlp.rollup.fold import fold
from reports.queries.reconcile.ledger import reconcile_period
from tests.allocation.bills import OCTOBER, Bill, allocate, usage
from tests.allocation.late import rows_of
from tests.allocation.months import made_up
from tests.allocation.test_months_in_database import storable, written
from tests.allocation.test_usage_days import DELTA, all_agree

pytestmark = pytest.mark.django_db


def change_usage(chance: random.Random) -> None:
    """Prices come, an hour goes, calls wait to be merged, are merged: or nothing of it."""
    hour = chance.choice(sorted(set(UsageHourly.objects.values_list("hour", flat=True))))
    kind = chance.random()
    if kind < 0.15:
        UsageHourly.objects.filter(hour=hour).update(list_cost=chance.choice((None, "0.75")))
    elif kind < 0.25 and UsageHourly.objects.count() > 1:
        UsageHourly.objects.filter(hour=hour).delete()
    elif kind < 0.45:
        with connection.cursor() as cursor:
            cursor.execute(DELTA, [hour])
    elif kind < 0.6:
        fold()


@pytest.mark.parametrize("seed", range(40))
def test_a_made_up_month_with_late_changes_has_the_bytes_of_a_whole_run(seed: int) -> None:
    chance = random.Random(seed)
    month = written(storable(made_up(seed, 8)), seed)
    allocate()
    for number in range(2):
        if chance.random() < 0.6 and month.charges:
            charge = chance.choice(month.charges)
            row = month.dimensions[charge.dimension]
            columns: dict[str, Any] = dict(row.columns)
            start, end = charge.spread or (
                f"{charge.day}T07:00:00+00:00",
                f"{charge.day}T08:00:00+00:00",
            )
            source = month.sources[row.source_id]
            Bill(source.name, delivery="append").charge(
                format(charge.billed * 3, "f"),
                at=datetime.fromisoformat(start),
                until=datetime.fromisoformat(end),
                quantity=None if charge.quantity is None else format(charge.quantity, "f"),
                currency=columns.pop("billing_currency"),
                category=columns.pop("charge_category"),
                **columns,
            )
        if chance.random() < 0.6 and month.usage:
            call = chance.choice(month.usage)
            usage(
                call.attributes[0],
                call.attributes[1],
                at=datetime.fromisoformat(f"{call.day}T20:00:00+00:00")
                + timedelta(minutes=seed, seconds=number),
                provider=call.key.provider or "",
                project=call.key.project,
                model=call.key.model or "",
                input_uncached=chance.randint(1, 5000),
            )
        if month.usage:
            change_usage(chance)
        if seed % 2:
            members.forget()  # as a process does that makes its first run
        late = {run.currency: run for run in allocate().runs}
        for run in late.values():
            assert stored_sha256(run_id=run.run, month=OCTOBER.start) == run.sha256
        assert reconcile_period(period=OCTOBER).is_balanced
        assert all_agree()
        whole = {run.currency: run for run in allocate(reuse=False).runs}
        assert {name: run.sha256 for name, run in late.items()} == {
            name: run.sha256 for name, run in whole.items()
        }
        for name, run in late.items():
            assert rows_of(run.run) == rows_of(whole[name].run)
