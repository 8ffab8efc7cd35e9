"""Months that late bills and late calls come to."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import connection

from allocation.ledger.slices import Place
from allocation.ledger.writer import stored_sha256
from allocation.models import IdentityOwner, ProviderUsage, RunSlice
from allocation.runs.month import RunOutcome
from tests.allocation.bills import OCTOBER, Bill, allocate, usage, utc

INPUT: dict[str, Any] = {
    "charge_description": "gpt-4o-2024-08-06, input",
    "provider_name": "OpenAI",
    "sub_account_id": "proj-1",
}


def traced_month(**settings: Any) -> Bill:
    """Three days of two callers, with a tax that follows them."""
    bill = Bill("OpenAI", settings=settings)
    for day in (5, 6, 7):
        bill.charge("10", at=utc(day, 10), quantity="100", consumed_unit="Tokens", **INPUT)
        usage("search", at=utc(day, 10), input_uncached=70)
        usage("ads", at=utc(day, 11), input_uncached=30)
    bill.charge(
        "3",
        at=utc(1, 0),
        until=utc(30, 0),
        category="Tax",
        provider_name="OpenAI",
        sub_account_id="proj-1",
    )
    return bill


def late_bill(cost: str, day: int, **columns: Any) -> None:
    """One more delivery of the source with a charge of one day."""
    Bill("OpenAI", delivery="append").charge(
        cost, at=utc(day, 12), **{"quantity": "5", "consumed_unit": "Tokens", **INPUT, **columns}
    )


def slices_of(run: int) -> dict[Place, int]:
    rows = RunSlice.objects.filter(run_id=run).values_list("part", "day", "is_spread", "slice_id")
    return {Place(part, day, is_spread): pk for part, day, is_spread, pk in rows}


def same_as_whole(outcome: RunOutcome) -> bool:
    """The run's bytes are those of a run that reads everything, and those that stand in the
    database.
    """
    whole = next(run for run in allocate(reuse=False).runs if run.currency == outcome.currency)
    stored = stored_sha256(run_id=outcome.run, month=OCTOBER.start)
    return outcome.sha256 == whole.sha256 == stored and outcome.rows == whole.rows


ROLLUP = """
SELECT day, line_id, evidence, billed_cost::text, effective_cost::text, list_cost::text
    FROM cost_daily
WHERE run_id = %s ORDER BY 1, 2, 3, 4, 5, 6
"""

GROUPS = "SELECT to_jsonb(g) - 'run_id' FROM charge_group g WHERE run_id = %s ORDER BY day, bucket"

CALLS = "SELECT to_jsonb(u) - '{run_id,id}'::text[] FROM usage_daily u WHERE run_id = %s ORDER BY 1"


def rows_of(run: int) -> list[list[tuple[Any, ...]]]:
    """What readers see of a run besides its shares."""
    found = []
    for statement in (ROLLUP, GROUPS, CALLS):
        with connection.cursor() as cursor:
            cursor.execute(statement, [run])
            found.append(cursor.fetchall())
    return found


def reported(day: int, tokens: int) -> None:
    """A day of one key in the provider's own report."""
    ProviderUsage.objects.create(
        day=utc(day).date(),
        provider="openai",
        project="proj-1",
        model="gpt-4o",
        is_batch=False,
        api_key="key-1",
        requests=1,
        input_uncached=tokens,
    )


def reported_month(*days: int) -> None:
    """Three days billed, and reported by the provider on these."""
    IdentityOwner.objects.create(
        provider="openai", kind="api_key", value="key-1", team="search", valid_from=date(2026, 1, 1)
    )
    bill = Bill("OpenAI")
    for day in (5, 6, 7):
        bill.charge("10", at=utc(day, 10), quantity="100", consumed_unit="Tokens", **INPUT)
    for day in days:
        reported(day, 100)


CALLS_BY_MONTH = """
rules:
  - {name: calls, when: {Catalogue.Kind: model_usage}, method: traced_usage, weights: month}
"""


def around(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, before: Any = None, after: Any = None
) -> None:
    """Something comes just before, or after, a run reads by this function for the first time."""
    plain, todo = getattr(owner, name), [before, after]

    def read(*values: Any, **named: Any) -> Any:
        first, second = todo
        todo[:] = [None, None]
        if first:
            first()
        found = plain(*values, **named)
        if second:
            second()
        return found

    monkeypatch.setattr(owner, name, read)
