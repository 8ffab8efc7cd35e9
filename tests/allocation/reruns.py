"""Months that change between two runs: the second one takes over what stays, and says what a run
that takes nothing over says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from django.db import connection

from allocation.ledger.slices import SlicePlace
from allocation.ledger.writer import stored_sha256
from allocation.models import AllocationRun, ChargeScope, IdentityOwner, ProviderUsage, RunSlice
from allocation.runs.month import RunOutcome
from reports.queries.reconcile.ledger import reconcile_period
from tests.allocation.bills import OCTOBER, Bill, allocate, usage, utc

INPUT: dict[str, Any] = {
    "charge_description": "gpt-4o-2024-08-06, input",
    "provider_name": "OpenAI",
    "sub_account_id": "proj-1",
}
OUTPUT: dict[str, Any] = {**INPUT, "charge_description": "gpt-4o-2024-08-06, output"}
TOKENS: dict[str, Any] = {"quantity": "100", "consumed_unit": "Tokens"}


# ---------------------------------------------------------------- the next run


@dataclass(frozen=True)
class Rerun:
    """A run of one currency upon the one before it, and the slices of both."""

    run: RunOutcome
    before: dict[SlicePlace, int]
    now: dict[SlicePlace, int]

    def moved(self, *parts: int) -> set[int]:
        """Days whose slices are not those of the run before; of all shares where no part is
        named.
        """
        return {
            place.day.day
            for place, pk in self.now.items()
            if (place.part in parts or (not parts and place.part >= 0))
            and self.before.get(place) != pk
        }


def slices_of(run: int) -> dict[SlicePlace, int]:
    rows = RunSlice.objects.filter(run_id=run).values_list("part", "day", "is_spread", "slice_id")
    return {SlicePlace(part, day, is_spread): pk for part, day, is_spread, pk in rows}


def reruns() -> dict[str, Rerun]:
    """Runs of all currencies, each with the bytes of one that takes nothing over.

    The latter are the current ones afterwards.
    """
    before = {
        currency: slices_of(run)
        for run, currency in AllocationRun.objects.filter(is_current=True).values_list(
            "pk", "currency"
        )
    }
    found = {
        run.currency: Rerun(run, before.get(run.currency, {}), slices_of(run.run))
        for run in allocate().runs
    }
    assert reconcile_period(period=OCTOBER).is_balanced
    whole = {run.currency: run for run in allocate(reuse=False).runs}
    assert found.keys() == whole.keys()
    for currency, rerun in found.items():
        is_same(rerun.run, whole[currency])
    return found


def rerun(currency: str = "USD") -> Rerun:
    """Of one of the currencies; all of them are compared."""
    return reruns()[currency]


def rerun_after_a_change(before: RunOutcome) -> Rerun:
    """The same, where readers see another ledger than before."""
    seen = (before.sha256, rows_of(before.run))
    found = rerun(before.currency)
    assert (found.run.sha256, rows_of(found.run.run)) != seen
    return found


def same_as_whole(run: RunOutcome) -> bool:
    """The run has the bytes of one that takes nothing over."""
    whole = next(one for one in allocate(reuse=False).runs if one.currency == run.currency)
    is_same(run, whole)
    return True


def is_same(run: RunOutcome, whole: RunOutcome) -> None:
    """Both runs say the same wherever readers look, and what was hashed stands in the database."""
    assert (run.sha256, run.rows) == (whole.sha256, whole.rows)
    assert stored_sha256(run_id=run.run, month=OCTOBER.start) == run.sha256
    assert rows_of(run.run) == rows_of(whole.run)


ROLLUP = """
SELECT day, line_id, evidence, billed_cost::text, effective_cost::text, list_cost::text
FROM cost_daily WHERE run_id = %s ORDER BY 1, 2, 3, 4, 5, 6
"""
GROUPS = (
    "SELECT to_jsonb(g) - 'run_id' FROM charge_group g WHERE run_id = %s ORDER BY day, split_key_id"
)
CALLS = "SELECT to_jsonb(u) - '{run_id,id}'::text[] FROM usage_daily u WHERE run_id = %s ORDER BY 1"


def rows_of(run: int) -> list[list[tuple[Any, ...]]]:
    """What readers see of a run besides its shares."""
    found = []
    for statement in (ROLLUP, GROUPS, CALLS):
        with connection.cursor() as cursor:
            cursor.execute(statement, [run])
            found.append(cursor.fetchall())
    return found


# ---------------------------------------------------------------- months


def traced_month(**settings: Any) -> Bill:
    """Three days of two callers, with a tax that follows them."""
    bill = Bill("OpenAI", settings=settings)
    for day in (5, 6, 7):
        bill.charge("10", at=utc(day, 10), **TOKENS, **INPUT)
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


def superseded(bill: Bill) -> None:
    """The bill was delivered anew, or withdrawn."""
    ChargeScope.objects.filter(pk=bill.scope.pk).update(state="superseded")


def reported(day: int, tokens: int, *, key: str = "key-1", project: str = "proj-1") -> None:
    """A day of one key in the provider's own report."""
    ProviderUsage.objects.create(
        day=utc(day).date(),
        provider="openai",
        project=project,
        model="gpt-4o",
        is_batch=False,
        api_key=key,
        requests=1,
        input_uncached=tokens,
    )


def owned(key: str, team: str, *, provider: str = "openai") -> None:
    """The key is the team's from the year's first day on."""
    IdentityOwner.objects.create(
        provider=provider, kind="api_key", value=key, team=team, valid_from=date(2026, 1, 1)
    )


def reported_month(days: Iterable[int] = (5, 6, 7), tokens: int = 100) -> None:
    """Three days billed, and reported by the provider on these."""
    owned("key-1", "search")
    bill = Bill("OpenAI")
    for day in (5, 6, 7):
        bill.charge("10", at=utc(day, 10), **TOKENS, **INPUT)
    for day in days:
        reported(day, tokens)


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
