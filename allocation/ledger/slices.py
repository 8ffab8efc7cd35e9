"""Slices of a month's ledger: a run takes over those of former runs that say the same, and writes
the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection

from allocation.catalogue.canonical import SIDES
from allocation.models import AllocationRun, LedgerSlice, RunSlice, RunStatus
from allocation.organisation.targets import Target
from allocation.storage.rows import copy_cell, whole_month_plans
from allocation.usage.facts import Number
from allocation.usage.index import UsageIndex
from allocation.values.money import exact_text
from allocation.values.names import OUTSIDE_SCOPE, USAGE

SLICE_TABLES = ("slice_group", "slice_cost", "slice_usage", "slice_balance")


class AllocationError(Exception):
    """An allocation cannot be carried out; nothing readers see has changed."""


class NotBalanced(AllocationError):
    """Shares do not add up to the charges: a fault of this program, so the run is not published."""


class SlicePlace(NamedTuple):
    """Where in a run a slice stands. `is_spread`: groups of charges that last for several days,
    which say the same on most days.
    """

    part: int
    day: date
    is_spread: bool = False


def run_sha256(hashes: Mapping[SlicePlace, str]) -> str:
    """The hash of a run: over the hashes of its slices' shares, by place."""
    digest = hashlib.sha256()
    for place, sha256 in sorted(hashes.items()):
        if place.part != USAGE:
            digest.update(f"{place.part},{place.day},{place.is_spread:d},{sha256}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class StoredSlice:
    """A slice that stands in the database."""

    id: int
    rows: int
    sha256: str | None


class UnchangedSlice(NamedTuple):
    """What a former run has of one stage and day, and the fingerprint of what it was made of."""

    fingerprint: str
    slices: dict[SlicePlace, StoredSlice]


@dataclass
class SliceStore:
    """The slices of one run.

    `known` are those that it may share, by stage and content: slices of former runs of the month
    and currency, and its own of other days. `former` are those of the current run by stage and day,
    which are taken over where they would be made of the same.
    """

    run_id: int
    month: date
    currency: str
    known: dict[tuple[int, str], StoredSlice] = field(default_factory=dict)
    former: Mapping[tuple[int, date], UnchangedSlice] = field(default_factory=dict)
    taken: dict[SlicePlace, StoredSlice] = field(default_factory=dict)
    written: list[int] = field(default_factory=list)  # ids
    fingerprints: dict[tuple[int, date], str] = field(default_factory=dict)
    _unrecorded: list[SlicePlace] = field(default_factory=list)

    @classmethod
    def of(cls, run: AllocationRun, *, reuse: bool) -> SliceStore:
        store = cls(run.pk, run.billing_month, run.currency)
        if reuse:
            store.known = known_slices(run.billing_month, run.currency)
            store.former = former_slices(run.billing_month, run.currency)
        return store

    def takes_over(self, part: int, day: date, fingerprint: str) -> bool:
        """Whether the current run's slices of the stage and day stand for this run, too.

        Else they are to be made, of what the fingerprint covers.
        """
        former = self.former.get((part, day))
        self.fingerprints[part, day] = fingerprint
        if former is None or former.fingerprint != fingerprint:
            return False
        self.take(former.slices)
        return True

    def reserve(self, part: int, places: Collection[SlicePlace]) -> Reserved:
        """Slices of one stage, to be filled."""
        made = LedgerSlice.objects.bulk_create(
            LedgerSlice(billing_month=self.month, currency=self.currency, part=part) for _ in places
        )
        return Reserved(self, part, [slice_.pk for slice_ in made])

    def take(self, slices: Mapping[SlicePlace, StoredSlice]) -> None:
        """The run has these slices, once they are recorded."""
        self.taken.update(slices)
        self._unrecorded += slices

    def record(self) -> None:
        """Write which slices the run has, as far as that was not done before."""
        RunSlice.objects.bulk_create(
            RunSlice(
                run_id=self.run_id,
                billing_month=self.month,
                slice_id=self.taken[place].id,
                fingerprint=self.fingerprints.get((place.part, place.day)),
                **place._asdict(),
            )
            for place in self._unrecorded
        )
        self._unrecorded.clear()

    @property
    def rows(self) -> int:
        return sum(stored.rows for stored in self.taken.values())

    def sha256(self, parts: Collection[int] | None = None) -> str:
        """The hash of the run so far, or of some stages of it."""
        return run_sha256(
            {
                place: stored.sha256 or ""
                for place, stored in self.taken.items()
                if parts is None or place.part in parts
            }
        )


class Reserved:
    """Slices of one stage that are being filled."""

    def __init__(self, store: SliceStore, part: int, ids: list[int]) -> None:
        self._store = store
        self._part = part
        self._free = ids
        self._new: list[LedgerSlice] = []
        self._own: dict[SlicePlace, StoredSlice] = {}

    def settle(
        self, place: SlicePlace, *, rows: int = 0, hashes: tuple[str | None, str | None]
    ) -> int | None:
        """The id under which the rows are to be written; None where they stand in the database
        already.

        `hashes` are those of the canonical CSV and of all content; without the latter the slice is
        nobody else's.
        """
        sha256, content = hashes
        known = self._store.known.get((self._part, content)) if content else None
        if known is not None:
            self._own[place] = known
            return None
        stored = self._own[place] = StoredSlice(self._free.pop(), rows, sha256)
        self._new.append(
            LedgerSlice(pk=stored.id, rows=rows, sha256=sha256, content_sha256=content)
        )
        if content:
            self._store.known[self._part, content] = stored
        return stored.id

    def repeat(self, place: SlicePlace, other: SlicePlace) -> None:
        """The slice of another place stands here as well."""
        self._own[place] = self._own[other]

    def close(self) -> None:
        """The run has these slices from here on; what was reserved for nothing is gone."""
        columns = zip(
            *((new.pk, new.rows, new.sha256, new.content_sha256) for new in self._new), strict=True
        )
        with connection.cursor() as cursor:
            cursor.execute(FILLED_SQL, [list(column) for column in columns] or [[], [], [], []])
        LedgerSlice.objects.filter(pk__in=self._free).delete()
        self._store.take(self._own)
        self._store.record()
        self._store.written += [made.pk for made in self._new]


FILLED_SQL = """
UPDATE ledger_slice SET rows = filled.rows, sha256 = filled.sha256,
    content_sha256 = filled.content_sha256
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[]) AS filled(id, rows, sha256,
    content_sha256)
WHERE ledger_slice.id = filled.id
"""


def known_slices(month: date, currency: str) -> dict[tuple[int, str], StoredSlice]:
    """Slices of succeeded runs whose rows are kept, by part and content."""
    runs = AllocationRun.objects.filter(
        billing_month=month, currency=currency, status=RunStatus.SUCCEEDED
    )
    slices = RunSlice.objects.filter(run_id__in=runs.values("pk")).values("slice_id")
    rows = LedgerSlice.objects.filter(pk__in=slices)
    return {
        (part, content): StoredSlice(pk, count, sha256)
        for pk, part, content, count, sha256 in rows.values_list(
            "pk", "part", "content_sha256", "rows", "sha256"
        )
        if content is not None
    }


def former_slices(month: date, currency: str) -> dict[tuple[int, date], UnchangedSlice]:
    """The slices of the current run by stage and day, as far as it kept what they were made of."""
    runs = AllocationRun.objects.filter(billing_month=month, currency=currency, is_current=True)
    cells = RunSlice.objects.filter(run_id__in=runs.values("pk"), fingerprint__isnull=False)
    rows = list(cells.values_list("part", "day", "is_spread", "fingerprint", "slice_id"))
    slices = LedgerSlice.objects.filter(pk__in={pk for *_, pk in rows})
    stored = {
        pk: StoredSlice(pk, count, sha256)
        for pk, count, sha256 in slices.values_list("pk", "rows", "sha256")
    }
    found: dict[tuple[int, date], UnchangedSlice] = {}
    for part, day, is_spread, fingerprint, pk in rows:
        unchanged = found.setdefault((part, day), UnchangedSlice(fingerprint or "", {}))
        unchanged.slices[SlicePlace(part, day, is_spread)] = stored[pk]
    return found


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
JOIN split_key b ON b.id = a.split_key_id
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
    """Sum up what was written to new slices; raises NotBalanced where the rollup differs from the
    shares.
    """
    values: dict[str, Any] = {"month": month, "slices": list(slices), "outside": OUTSIDE_SCOPE}
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(BALANCE_SQL, values)
        cursor.execute(DIFFERING_SQL, values)
        differing = cursor.fetchone()
    if differing:
        raise NotBalanced(
            "slice {}, source {}: billed {} rolled up {}, effective {} rolled up {}".format(
                *differing
            )
        )


RUN_BALANCE_SQL = """
SELECT b.source_id, sum(b.billed_allocated), sum(b.billed_unallocated), sum(b.billed_other),
    sum(b.effective_allocated),
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
    """Delete slices of the month that no run has. Only while no other run of the month is under
    way.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM ledger_slice s WHERE billing_month = %s"
            " AND NOT EXISTS (SELECT FROM run_slice r WHERE r.slice_id = s.id)",
            [month],
        )
        slices = [pk for (pk,) in cursor.fetchall()]
        if not slices:
            return
        cursor.execute(
            "DELETE FROM slice_share WHERE billing_month = %s AND slice_id = ANY(%s)",
            [month, slices],
        )
        for table in SLICE_TABLES:
            cursor.execute(f"DELETE FROM {table} WHERE slice_id = ANY(%s)", [slices])  # noqa: S608 - constants
        cursor.execute("DELETE FROM ledger_slice WHERE id = ANY(%s)", [slices])


Names = tuple[str | None, ...]  # team, feature, model, environment, phase
INPUT, OUTPUT = SIDES


def usage_lines(index: UsageIndex, targets: Sequence[Target], day: date) -> list[str]:
    """Rows of slice_usage without the slice's id, in order: calls, input and output tokens of the
    day by target, named as the ledger names it.
    """
    by_number: dict[int, list[Number]] = {}
    for rows in index.days.get(day, {}).values():
        for row in rows:
            sums = by_number.get(row.target)
            if sums is None:
                sums = by_number[row.target] = [0, 0, 0]
            sums[0] += row.calls
            sums[1] += sum([row.tokens[n] for n in INPUT])
            sums[2] += sum([row.tokens[n] for n in OUTPUT])
    by_names: dict[Names, list[Number]] = {}
    for number, sums in by_number.items():
        target = targets[number]
        names = (target.team, target.feature, target.model, target.environment, target.phase)
        known = by_names.setdefault(names, [0, 0, 0])
        known[:] = map(sum, zip(known, sums, strict=True))
    scale = 10**index.facts.places
    return sorted(
        f"{_cells(names)}\t{_text(calls)}\t{_text(went_in, scale)}\t{_text(out, scale)}\n"
        for names, (calls, went_in, out) in by_names.items()
    )


@lru_cache(maxsize=100_000)  # days have the same names over and over
def _cells(names: Names) -> str:
    return "\t".join(map(copy_cell, names))


def _text(number: Number, scale: int = 1) -> str:
    return (
        str(number)
        if scale == 1 and isinstance(number, int)
        else exact_text(Fraction(number, scale))
    )


def write_usage_daily(
    slices: SliceStore, days: Mapping[date, list[str]], *, is_shared: bool
) -> None:
    """Slices of usage from the lines of each day; `is_shared` where other days and later runs that
    say the same may have them too.
    """
    places = [SlicePlace(USAGE, day) for day in sorted(days)]
    reserved = slices.reserve(USAGE, places)
    with connection.cursor() as cursor, cursor.copy(USAGE_COPY) as copy:
        for place in places:
            lines = days[place.day]
            content = hashlib.sha256("".join(lines).encode()).hexdigest() if is_shared else None
            number = reserved.settle(place, hashes=(None, content))
            if number is not None:
                start = f"{number}\t"
                copy.write(start + start.join(lines))
    reserved.close()


USAGE_COPY = """COPY slice_usage (slice_id, team, feature, model, environment, phase, calls,
    tokens_input, tokens_output) FROM STDIN"""
