"""Writing a run: plans become slices of shares, streamed by COPY in canonical order and hashed on
the way.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from django.db import connection
from psycopg import Copy

from allocation.charges.groups import Amount, Group
from allocation.charges.split_keys import Bucket
from allocation.ledger.cost_lines import LineBook
from allocation.ledger.slices import Place, Reserved, SliceStore, run_sha256
from allocation.models import RunSlice
from allocation.organisation.target_book import TargetBook
from allocation.plans.plan import Part, Plan
from allocation.storage.copy_text import NULL, copy_cell
from allocation.values.money import LEAST_PLACES, exact_text, text_of, texts_of
from allocation.values.split import split_quanta

KINDS_OF_THEIR_OWN = (
    "unallocated",
    "untraced",
    "idle",
)  # what a rule's own charge kind does not rename
BLOCK = 5000  # rows joined into one write
ROWS_AT_ONCE = 50_000  # of which the rollup is kept in memory
COVERAGE_PLACES = Decimal("0.000001")


Row = tuple[
    int, str, int, int, int | None, str, int
]  # target, kind, billed, effective, list, driver quantity, rung


def cut_group(
    group: Group, plan: Plan, *, kind: str | None, is_allocated: Sequence[bool], rank: Sequence[int]
) -> list[Row]:
    """Rows of one group in canonical order; each metric adds up to the group's amount exactly.

    `kind` is the rule's own charge kind for what is allocated under it.
    """
    billed = _cut(group.billed_cost, plan.parts)
    same = group.effective_cost == group.billed_cost
    effective = billed if same else _cut(group.effective_cost, plan.parts)
    listed: Sequence[int | None] = (
        _cut(group.list_cost, plan.parts) if group.list_cost else [None] * len(billed)
    )
    kinds = [
        kind if kind and part.kind not in KINDS_OF_THEIR_OWN else part.kind for part in plan.parts
    ]
    columns = zip(billed, effective, listed, strict=True)
    rows: list[Row] = []
    for part, part_kind in zip(plan.parts, kinds, strict=True):
        weights = (
            texts_of([weight for _, weight, _ in part.entries], plan.places)
            if plan.driver
            else None
        )
        for n, (target, _, rung) in enumerate(part.entries):
            b, e, c = next(columns)
            quantity = weights[n] if weights else ""
            if is_allocated[target]:
                rows.append((target, part_kind, b, e, c, quantity, rung))
            else:
                rows.append((target, "unallocated", b, e, c, quantity, 6))
    if len(plan.parts) == 1:
        return rows
    count = len(plan.parts[0].entries)
    if (
        len(rows) == 2 * count
        and plan.parts[0].entries == plan.parts[1].entries
        and kinds[0] < kinds[1]
    ):
        return _interleaved(rows[:count], rows[count:])
    return _merged(rows, rank)


def _interleaved(first: list[Row], second: list[Row]) -> list[Row]:
    """As `_merged`, where both parts go to the same targets: canonical order without sorting."""
    rows: list[Row] = []
    for one, other in zip(first, second, strict=True):
        rows += [one, other] if one[1] != other[1] else [_added(one, other)]
    return rows


def _added(one: Row, other: Row) -> Row:
    listed = one[4] + other[4] if one[4] is not None and other[4] is not None else None
    return (one[0], one[1], one[2] + other[2], one[3] + other[3], listed, one[5], one[6])


def _cut(amount: Amount, parts: tuple[Part, ...]) -> list[int]:
    """Shares of all entries of all parts, in order."""
    if len(parts) == 1:
        entries = parts[0].entries
        return (
            [amount.quanta]
            if len(entries) == 1
            else split_quanta(amount.quanta, [w for _, w, _ in entries])
        )
    shares: list[int] = []
    for part, quanta in zip(
        parts, split_quanta(amount.quanta, [part.weight for part in parts]), strict=True
    ):
        shares += split_quanta(quanta, [w for _, w, _ in part.entries])
    return shares


def _merged(rows: list[Row], rank: Sequence[int]) -> list[Row]:
    """Canonical order, with rows of the same target and kind added up (unallocated cost can come
    from both parts).
    """
    found: dict[tuple[int, str], Row] = {}
    for row in rows:
        known = found.get((row[0], row[1]))
        found[row[0], row[1]] = row if known is None else _added(known, row)
    return sorted(found.values(), key=lambda row: (rank[row[0]], row[1]))


class Places(NamedTuple):
    """Decimal places that keep a slice's amounts whole: billed, effective and list cost."""

    billed: int
    effective: int
    listed: int

    @classmethod
    def of(cls, groups: Sequence[Group]) -> Places:
        listed = [group.list_cost.places for group in groups if group.list_cost]
        return cls(
            max((group.billed_cost.places for group in groups), default=LEAST_PLACES),
            max((group.effective_cost.places for group in groups), default=LEAST_PLACES),
            max(listed, default=LEAST_PLACES),
        )


class CostSums:
    """Shares of one slice summed as pages group them: by line class, target class, kind and rung,
    exactly.

    Sums are of billed, effective and list cost in `places`, of rows, and of rows with a list cost.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self._sums: dict[CostKey, list[int]] = {}

    def add(self, group: Group, line: int, rows: Iterable[Row], class_of: Sequence[int]) -> None:
        has_list = int(group.list_cost is not None)
        more_billed = 10 ** (self.places.billed - group.billed_cost.places)
        more_effective = 10 ** (self.places.effective - group.effective_cost.places)
        more_listed = 10 ** (self.places.listed - group.list_cost.places) if group.list_cost else 1
        sums = self._sums
        for target, kind, billed, effective, listed, _, rung in rows:
            key = (line, class_of[target], kind, rung)
            found = sums.get(key)
            if found is None:
                found = sums[key] = [0, 0, 0, 0, 0]
            found[0] += billed * more_billed
            found[1] += effective * more_effective
            found[2] += (listed or 0) * more_listed
            found[3] += 1
            found[4] += has_list

    def rows(self) -> list[tuple[CostKey, str, str, str]]:
        """Key, billed, effective and list cost as plain text; "" where any list cost is unknown."""
        sums = self._sums
        billed, effective, listed = (
            texts_of([amounts[n] for amounts in sums.values()], places)
            for n, places in enumerate(self.places)
        )
        texts = [
            text if amounts[3] == amounts[4] else ""
            for text, amounts in zip(listed, sums.values(), strict=True)
        ]
        return list(zip(sums, billed, effective, texts, strict=True))


CostKey = tuple[int, int, str, int]  # line class, target class, charge kind, rung


class SlicePage:
    """What one slice will hold, as text: rows of slice_share and slice_group without the slice's
    id, and the rollup.
    """

    def __init__(self, places: Places) -> None:
        self.rows = 0  # of shares
        self.shares: list[str] = []
        self.canonical: list[str] = []
        self.groups: list[str] = []
        self.costs = CostSums(places)

    def seal(self) -> tuple[str, str]:
        """SHA-256 of the canonical CSV of the shares, and of everything that the slice holds."""
        csv = "".join(self.canonical).encode()
        self.canonical.clear()
        shares = hashlib.sha256(csv)
        content = shares.copy()
        content.update("".join(self.groups).encode())
        return shares.hexdigest(), content.hexdigest()


class Planned(NamedTuple):
    """A charge group and how it is split."""

    group: Group
    bucket: Bucket
    plan: Plan

    def told(self) -> tuple[object, ...]:
        """Equal only for what is written alike; plans are compared by identity, which takes no
        time.
        """
        group = self.group
        amounts = [
            (amount.quanta, amount.places) if amount else None
            for amount in (group.billed_cost, group.effective_cost, group.list_cost)
        ]
        return (group.bucket, group.charges, *amounts, group.consumed, group.pricing, id(self.plan))


class Repeats:
    """Days of a spread charge that say what an earlier one says, found without writing them out."""

    def __init__(self) -> None:
        # The plans stay as long as their ids are compared.
        self._first: dict[tuple[object, ...], tuple[Place, list[Planned]]] = {}

    def first(self, place: Place, planned: list[Planned]) -> Place | None:
        """The earlier place; None where this is the first that says so."""
        if not place.is_spread:
            return None
        first, _ = self._first.setdefault(tuple(each.told() for each in planned), (place, planned))
        return first if first != place else None


class LedgerWriter:
    """Writes the slices of one run, and keeps the run's hash."""

    def __init__(self, *, book: TargetBook, slices: SliceStore) -> None:
        self.book = book
        self.slices = slices
        self.lines = LineBook(slices.currency)

    def write(
        self,
        part: int,
        groups: Iterable[Group],
        bucket_of: Mapping[int, Bucket],
        plan_of: Callable[[Bucket, Group], Plan],
        progress: Callable[[int], None],
    ) -> None:
        """Carry out the plan of each group of one part; groups come by place, and within a place in
        canonical order.
        """
        by_place = deque(
            (Place(part, day, is_spread), list(own))
            for (day, is_spread), own in groupby(groups, key=attrgetter("day", "is_spread"))
        )
        slices = self.slices.reserve(part, [place for place, _ in by_place])
        repeats = Repeats()
        done = 0
        while by_place:
            written: list[tuple[int, SlicePage]] = []
            rows = 0
            with connection.cursor() as cursor, cursor.copy(SHARE_COPY) as copy:
                while by_place and rows < ROWS_AT_ONCE:
                    place, own = by_place.popleft()
                    planned = [
                        Planned(group, b, plan_of(b, group))
                        for group in own
                        for b in [bucket_of[group.bucket]]
                    ]
                    if first := repeats.first(place, planned):
                        slices.repeat(place, first)
                    elif new := self._write_shares(copy, slices, place, self._page(planned)):
                        written.append(new)
                        rows += new[1].rows
                    done += len(own)
                    progress(done)
            self._write_groups(written)
            self._write_costs(written)
        slices.close()

    def _page(self, planned: Sequence[Planned]) -> SlicePage:
        page = SlicePage(
            Places.of([each.group for each in planned])
        )  # its own, so that every run writes it alike
        for group, bucket, plan in planned:
            self._add(page, group, bucket, plan)
        return page

    def _write_shares(
        self, copy: Copy, slices: Reserved, place: Place, page: SlicePage
    ) -> tuple[int, SlicePage] | None:
        """The new slice, of which groups and costs are still to be written; None where it stands
        already.
        """
        number = slices.settle(place, rows=page.rows, hashes=page.seal())
        if number is None:
            return None
        self._copy_shares(copy, number, page)
        return number, page

    def _copy_shares(self, copy: Copy, number: int, page: SlicePage) -> None:
        start = f"{self.slices.month}\t{number}\t"
        for first in range(0, len(page.shares), BLOCK):
            copy.write(start + start.join(page.shares[first : first + BLOCK]))
        page.shares.clear()

    def _add(self, page: SlicePage, group: Group, bucket: Bucket, plan: Plan) -> None:
        page.groups.append(_group_line(group, bucket, plan))
        amounts = (group.billed_cost, group.effective_cost, group.list_cost)
        if any(amount is not None and amount.quanta for amount in amounts):
            self._add_shares(page, group, bucket, plan)

    def _add_shares(self, page: SlicePage, group: Group, bucket: Bucket, plan: Plan) -> None:
        book = self.book
        rows = cut_group(
            group, plan, kind=bucket.kind, is_allocated=book.is_allocated, rank=book.rank
        )
        targets, kinds, billed, effective, listed, quantities, rungs = zip(*rows, strict=True)
        page.costs.add(
            group, self.lines.bucket_class(bucket), rows, self.lines.target_classes(book.targets)
        )
        start_canonical = f"{bucket.cells},"
        b_texts = texts_of(billed, group.billed_cost.places)
        same = effective == billed and group.effective_cost.places == group.billed_cost.places
        e_texts = b_texts if same else texts_of(effective, group.effective_cost.places)
        c_texts = texts_of(listed, group.list_cost.places) if group.list_cost else [""] * len(rows)
        ids, cells, number = book.ids, book.cells, group.bucket
        page.rows += len(rows)
        shares, canonical = page.shares, page.canonical
        columns = (targets, kinds, b_texts, e_texts, c_texts, quantities, rungs)
        for t, kind, b, e, c, q, rung in zip(*columns, strict=True):
            shares.append(
                f"{number}\t{ids[t]}\t{kind}\t{b}\t{e}\t{c or NULL}\t{q or NULL}\t{rung}\n"
            )
            canonical.append(f'{start_canonical}{cells[t]},"{kind}",{b},{e},{c},{q},{rung}\n')

    def _write_groups(self, written: list[tuple[int, SlicePage]]) -> None:
        with connection.cursor() as cursor, cursor.copy(GROUP_COPY) as copy:
            for number, page in written:
                start = f"{number}\t"
                if page.groups:
                    copy.write(start + start.join(page.groups))

    def _write_costs(self, written: list[tuple[int, SlicePage]]) -> None:
        pages = [(number, page.costs.rows()) for number, page in written]
        self.lines.settle((line, of, kind) for _, rows in pages for (line, of, kind, _), *_ in rows)
        with connection.cursor() as cursor, cursor.copy(COST_COPY) as copy:
            for number, rows in pages:
                copy.write(
                    "".join(
                        f"{number}\t{self.lines.ids[key[:3]]}\t{key[3]}\t{billed}\t{effective}\t{listed or NULL}\n"
                        for key, billed, effective, listed in rows
                    )
                )


def _group_line(group: Group, bucket: Bucket, plan: Plan) -> str:
    listed = text_of(group.list_cost.quanta, group.list_cost.places) if group.list_cost else NULL
    total = text_of(plan.driver_total, plan.places) if plan.driver_total is not None else NULL
    cells = (
        group.bucket,
        group.charges,
        text_of(group.billed_cost.quanta, group.billed_cost.places),
        text_of(group.effective_cost.quanta, group.effective_cost.places),
        listed,
        _quantity(bucket.tokens(group.consumed, group.pricing)),
        copy_cell(plan.driver),
        total,
        _coverage(plan.coverage) if plan.coverage is not None else NULL,
        copy_cell(plan.widened),
        copy_cell(plan.note),
        _quantity(group.consumed),
        _quantity(group.pricing),
    )
    return "\t".join(map(str, cells)) + "\n"


SHARE_COPY = """COPY slice_share (billing_month, slice_id, bucket, target_id, charge_kind, billed_cost, effective_cost,
    list_cost, driver_quantity, evidence) FROM STDIN"""
GROUP_COPY = """COPY slice_group (slice_id, bucket, charges, billed_cost, effective_cost, list_cost, quantity, driver,
    driver_total, coverage, widened, note, consumed_quantity, pricing_quantity) FROM STDIN"""
COST_COPY = "COPY slice_cost (slice_id, line_id, evidence, billed_cost, effective_cost, list_cost) FROM STDIN"


def _quantity(value: Fraction | None) -> str:
    return NULL if value is None else exact_text(value)


def _coverage(value: Fraction) -> Decimal:
    """For showing."""
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(
        COVERAGE_PLACES, ROUND_HALF_EVEN
    )


# The same bytes as were hashed, from the database: the proof that a run is what its hash says.
CANONICAL_SQL = """
COPY (
    SELECT r.part, r.day, r.is_spread::int, s.name, b.rule, b.method, b.ai_scope, b.provider_name,
        b.service_name,
        b.charge_category, b.split_key::text AS split_key, t.team, t.model, t.feature, t.product,
        t.environment, t.customer, t.phase, t.reason, t.partner_team, t.partner_feature,
        a.charge_kind, a.billed_cost, a.effective_cost, a.list_cost, a.driver_quantity, a.evidence
    FROM run_slice r
    JOIN slice_share a ON a.billing_month = r.billing_month AND a.slice_id = r.slice_id
    JOIN bucket b ON b.id = a.bucket
    JOIN allocation_source s ON s.id = b.source_id
    JOIN allocation_target t ON t.id = a.target_id
    WHERE a.billing_month = '{month}' AND r.run_id = {run}
    ORDER BY r.part, r.day, r.is_spread, b.content_hash,
        t.team COLLATE "C" NULLS FIRST, t.model COLLATE "C" NULLS FIRST,
        t.feature COLLATE "C" NULLS FIRST, t.product COLLATE "C" NULLS FIRST,
            t.environment COLLATE "C" NULLS FIRST,
        t.customer COLLATE "C" NULLS FIRST, t.phase COLLATE "C" NULLS FIRST,
            t.reason COLLATE "C" NULLS FIRST,
        t.partner_team COLLATE "C" NULLS FIRST, t.partner_feature COLLATE "C" NULLS FIRST,
            a.charge_kind COLLATE "C"
) TO STDOUT WITH (FORMAT csv, FORCE_QUOTE (name, rule, method, ai_scope, provider_name,
    service_name, charge_category,
    split_key, team, model, feature, product, environment, customer, phase, reason, partner_team,
        partner_feature,
    charge_kind))
"""


def stored_sha256(*, run_id: int, month: date) -> str:
    """The hash of a run, computed from what stands in the database."""
    sql = CANONICAL_SQL.format(month=month.isoformat(), run=int(run_id))
    places = RunSlice.objects.filter(run_id=run_id, part__gte=0).values_list(
        "part", "day", "is_spread"
    )
    digests: dict[Place, Any] = {Place(*place): hashlib.sha256() for place in places}
    with connection.cursor() as cursor, cursor.copy(sql) as copy:
        for row in copy:
            part, day, is_spread, line = bytes(row).split(b",", 3)
            place = Place(int(part), date.fromisoformat(day.decode()), is_spread == b"1")
            digests[place].update(line)
    return run_sha256({place: digest.hexdigest() for place, digest in digests.items()})
