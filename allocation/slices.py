"""Slices of a month's ledger: a run takes over those of former runs that say the same, and writes the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.buckets import USAGE
from allocation.copying import whole_month_plans
from allocation.errors import NotBalanced
from allocation.models import AllocationRun, LedgerSlice, RunSlice, RunStatus
from allocation.targets import OUTSIDE_SCOPE

SLICE_TABLES = ("slice_group", "slice_cost", "slice_usage", "slice_balance")


def run_sha256(hashes: Mapping[tuple[int, date], str]) -> str:
    """The hash of a run: over the hashes of its slices' shares, by part and day."""
    digest = hashlib.sha256()
    for (part, day), sha256 in sorted(hashes.items()):
        if part != USAGE:
            digest.update(f"{part},{day},{sha256}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Stored:
    """A slice that stands in the database."""

    id: int
    rows: int
    sha256: str | None


@dataclass
class SliceStore:
    """The slices of one run. `known` are those of former runs of the month and currency, by part, day and content."""

    run_id: int
    month: date
    currency: str
    known: Mapping[tuple[int, date, str], Stored] = field(default_factory=dict)
    taken: dict[tuple[int, date], Stored] = field(default_factory=dict)
    written: list[int] = field(default_factory=list)  # ids

    @classmethod
    def of(cls, run: AllocationRun, *, reuse: bool) -> SliceStore:
        known = known_slices(run.billing_month, run.currency) if reuse else {}
        return cls(run_id=run.pk, month=run.billing_month, currency=run.currency, known=known)

    def reserve(self, part: int, days: Sequence[date]) -> Reserved:
        """Ids for slices of one part, one for each day."""
        made = LedgerSlice.objects.bulk_create(
            LedgerSlice(billing_month=self.month, currency=self.currency, part=part, day=day) for day in days
        )
        return Reserved(self, part, {made_slice.day: made_slice.pk for made_slice in made})

    def carry_over(self, former: int, *, parts: Collection[int], but: Collection[date]) -> None:
        """Take the slices of a former run, but for these days."""
        slices = RunSlice.objects.filter(run_id=former, part__in=parts).exclude(day__in=but)
        places = {pk: (part, day) for pk, part, day in slices.values_list("slice_id", "part", "day")}
        stored = LedgerSlice.objects.filter(pk__in=places).values_list("pk", "rows", "sha256")
        self.taken.update((places[pk], Stored(pk, rows, sha256)) for pk, rows, sha256 in stored)
        RunSlice.objects.bulk_create(
            RunSlice(run_id=self.run_id, billing_month=self.month, part=part, day=day, slice_id=pk)
            for pk, (part, day) in places.items()
        )

    @property
    def rows(self) -> int:
        return sum(stored.rows for stored in self.taken.values())

    def sha256(self) -> str:
        return run_sha256({key: stored.sha256 or "" for key, stored in self.taken.items()})


class Reserved:
    """Slices of one part that are being filled."""

    def __init__(self, store: SliceStore, part: int, ids: dict[date, int]) -> None:
        self._store = store
        self._part = part
        self._ids = ids
        self._new: list[LedgerSlice] = []
        self._own: dict[date, Stored] = {}

    def settle(self, day: date, *, rows: int = 0, hashes: tuple[str | None, str | None]) -> int | None:
        """The id under which the day's rows are to be written; None where they stand in the database already.

        `hashes` are those of the canonical CSV and of all content; without the latter the slice is nobody else's.
        """
        sha256, content = hashes
        known = self._store.known.get((self._part, day, content)) if content else None
        if known is not None:
            self._own[day] = known
            return None
        number = self._ids[day]
        self._own[day] = Stored(number, rows, sha256)
        self._new.append(LedgerSlice(pk=number, rows=rows, sha256=sha256, content_sha256=content))
        return number

    def close(self) -> None:
        """The run has these slices from here on; what was reserved for nothing is gone."""
        LedgerSlice.objects.bulk_update(self._new, ["rows", "sha256", "content_sha256"])
        kept = {stored.id for stored in self._own.values()}
        LedgerSlice.objects.filter(pk__in=[pk for pk in self._ids.values() if pk not in kept]).delete()
        RunSlice.objects.bulk_create(
            RunSlice(
                run_id=self._store.run_id,
                billing_month=self._store.month,
                part=self._part,
                day=day,
                slice_id=stored.id,
            )
            for day, stored in self._own.items()
        )
        self._store.taken.update(((self._part, day), stored) for day, stored in self._own.items())
        self._store.written += [made.pk for made in self._new]


def known_slices(month: date, currency: str) -> dict[tuple[int, date, str], Stored]:
    """Slices of succeeded runs whose rows are kept, by part, day and content."""
    runs = AllocationRun.objects.filter(billing_month=month, currency=currency, status=RunStatus.SUCCEEDED)
    slices = RunSlice.objects.filter(run_id__in=runs.values("pk")).values("slice_id")
    rows = LedgerSlice.objects.filter(pk__in=slices)
    return {
        (part, day, content): Stored(pk, count, sha256)
        for pk, part, day, content, count, sha256 in rows.values_list(
            "pk", "part", "day", "content_sha256", "rows", "sha256"
        )
        if content is not None
    }


# ---------------------------------------------------------------- balances

BALANCE_SQL = """
-- One row per slice and source: what was allocated and what was not, from the shares themselves.
INSERT INTO slice_balance (slice_id, source_id, billed_allocated, billed_unallocated, billed_other,
    effective_allocated, effective_unallocated, effective_other)
SELECT a.slice_id, b.source_id,
    coalesce(sum(a.billed_cost) FILTER (WHERE a.charge_kind <> 'unallocated'), 0),
    coalesce(sum(a.billed_cost) FILTER (WHERE a.charge_kind = 'unallocated'), 0),
    coalesce(sum(a.billed_cost) FILTER (WHERE b.ai_scope = 'other' OR t.reason = %(outside)s), 0),
    coalesce(sum(a.effective_cost) FILTER (WHERE a.charge_kind <> 'unallocated'), 0),
    coalesce(sum(a.effective_cost) FILTER (WHERE a.charge_kind = 'unallocated'), 0),
    coalesce(sum(a.effective_cost) FILTER (WHERE b.ai_scope = 'other' OR t.reason = %(outside)s), 0)
FROM slice_share a
JOIN bucket b ON b.id = a.bucket
JOIN allocation_target t ON t.id = a.target_id
WHERE a.billing_month = %(month)s AND a.slice_id = ANY(%(slices)s)
GROUP BY 1, 2
"""
DIFFERING_SQL = """
-- Slices and sources whose rollup is not the sum of their shares.
SELECT slice_id, source_id, shares.billed, costs.billed, shares.effective, costs.effective
FROM (
    SELECT slice_id, source_id, billed_allocated + billed_unallocated AS billed,
        effective_allocated + effective_unallocated AS effective
    FROM slice_balance WHERE slice_id = ANY(%(slices)s)
) shares
FULL JOIN (
    SELECT c.slice_id, l.source_id, sum(c.billed_cost) AS billed, sum(c.effective_cost) AS effective
    FROM slice_cost c JOIN cost_line l ON l.id = c.line_id WHERE c.slice_id = ANY(%(slices)s)
    GROUP BY 1, 2
) costs USING (slice_id, source_id)
WHERE (shares.billed, shares.effective) IS DISTINCT FROM (costs.billed, costs.effective)
LIMIT 1
"""


def balance_slices(month: date, slices: Iterable[int]) -> None:
    """Sum up what was written to new slices; raises NotBalanced where the rollup differs from the shares."""
    values: dict[str, Any] = {"month": month, "slices": list(slices), "outside": OUTSIDE_SCOPE}
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(BALANCE_SQL, values)
        cursor.execute(DIFFERING_SQL, values)
        differing = cursor.fetchone()
    if differing:
        raise NotBalanced("slice {}, source {}: billed {} rolled up {}, effective {} rolled up {}".format(*differing))


RUN_BALANCE_SQL = """
SELECT b.source_id, sum(b.billed_allocated), sum(b.billed_unallocated), sum(b.billed_other), sum(b.effective_allocated),
    sum(b.effective_unallocated), sum(b.effective_other)
FROM run_slice r JOIN slice_balance b ON b.slice_id = r.slice_id
WHERE r.run_id = %s
GROUP BY 1
"""


def run_balances(run_id: int) -> dict[int, tuple[Decimal, ...]]:
    """By source: allocated, unallocated and other of billed, then of effective cost."""
    with connection.cursor() as cursor:
        cursor.execute(RUN_BALANCE_SQL, [run_id])
        return {row[0]: tuple(row[1:]) for row in cursor.fetchall()}


# ---------------------------------------------------------------- forgetting


def forget_slices(month: date) -> None:
    """Delete slices of the month that no run has. Only while no other run of the month is under way."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM ledger_slice s WHERE billing_month = %s"
            " AND NOT EXISTS (SELECT FROM run_slice r WHERE r.slice_id = s.id)",
            [month],
        )
        slices = [pk for (pk,) in cursor.fetchall()]
        if not slices:
            return
        cursor.execute("DELETE FROM slice_share WHERE billing_month = %s AND slice_id = ANY(%s)", [month, slices])
        for table in SLICE_TABLES:
            cursor.execute(f"DELETE FROM {table} WHERE slice_id = ANY(%s)", [slices])  # noqa: S608 - constants
        cursor.execute("DELETE FROM ledger_slice WHERE id = ANY(%s)", [slices])
