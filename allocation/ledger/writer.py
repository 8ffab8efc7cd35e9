"""Writing a run: plans become slices of shares, streamed by COPY in canonical order and hashed on
the way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import repeat
from typing import Any, NamedTuple, TypeVar

from django.db import connection

from allocation.charges.groups import ChargeGroup
from allocation.charges.split_keys import SplitKey
from allocation.ledger.cost_lines import LineBook
from allocation.ledger.cutting import Cut, Layout, cut_group, layout_of
from allocation.ledger.slices import Reserved, SlicePlace, SliceStore, run_sha256
from allocation.models import RunSlice
from allocation.organisation.stored import TargetBook
from allocation.plans.plan import Plan
from allocation.storage.rows import NULL, copy_cell, fed_copy
from allocation.values.money import LEAST_PLACES, exact_text, text_of, texts_of

BLOCK = 5000  # rows joined into one write
ROWS_AT_ONCE = 25_000  # of which the rollup is kept in memory
G = TypeVar("G", bound=tuple[ChargeGroup, *tuple[Any, ...]])  # with what it is split by
COVERAGE_PLACES = Decimal("0.000001")


class Places(NamedTuple):
    """Decimal places that keep a slice's amounts whole: billed, effective and list cost."""

    billed: int
    effective: int
    listed: int

    @classmethod
    def of(cls, groups: Sequence[ChargeGroup]) -> Places:
        listed = [group.list_cost.places for group in groups if group.list_cost]
        return cls(
            max((group.billed_cost.places for group in groups), default=LEAST_PLACES),
            max((group.effective_cost.places for group in groups), default=LEAST_PLACES),
            max(listed, default=LEAST_PLACES),
        )


CostKey = tuple[int, str, int]  # target class, charge kind, rung


class CostSums:
    """Shares of one slice summed as pages group them: by line class, target class, kind and rung,
    exactly.

    Sums are of billed, effective and list cost in `places`, of rows, and of rows with a list cost.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self._sums: dict[int, dict[CostKey, list[int]]] = {}  # by line class

    def add(self, group: ChargeGroup, line: int, keys: Iterable[CostKey], cut: Cut) -> None:
        more_billed = 10 ** (self.places.billed - group.billed_cost.places)
        more_effective = 10 ** (self.places.effective - group.effective_cost.places)
        more_listed = 10 ** (self.places.listed - group.list_cost.places) if group.list_cost else 0
        has_list = int(cut.listed is not None)
        listed = cut.listed if cut.listed is not None else repeat(0)
        sums = self._sums.setdefault(line, {})
        for key, b, e, c in zip(keys, cut.billed, cut.effective, listed, strict=False):
            found = sums.get(key)
            if found is None:
                sums[key] = [b * more_billed, e * more_effective, c * more_listed, 1, has_list]
            else:
                found[0] += b * more_billed
                found[1] += e * more_effective
                found[2] += c * more_listed
                found[3] += 1
                found[4] += has_list

    def rows(self) -> list[tuple[int, CostKey, str, str, str]]:
        """Line class, key, billed, effective and list cost as plain text; "" where any list cost is
        unknown.
        """
        names = [(line, key) for line, sums in self._sums.items() for key in sums]
        amounts = [own for sums in self._sums.values() for own in sums.values()]
        billed, effective, listed = (
            texts_of([own[n] for own in amounts], places) for n, places in enumerate(self.places)
        )
        return [
            (line, key, b, e, c if own[3] == own[4] else "")
            for (line, key), own, b, e, c in zip(
                names, amounts, billed, effective, listed, strict=True
            )
        ]


class RowTexts(NamedTuple):
    """What of a plan's rows is the same for every amount, as text around the amounts."""

    layout: Layout
    keys: list[CostKey]
    share_starts: list[str]
    share_ends: list[str]
    canonical_starts: list[str]
    canonical_ends: list[str]


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

    group: ChargeGroup
    split_key: SplitKey
    plan: Plan

    @property
    def rows(self) -> int:
        """Shares that it is cut into, at most."""
        return sum(len(part.entries) for part in self.plan.parts)

    def amounts(self) -> tuple[object, ...]:
        """With equal plans, equal only for what is written alike."""
        group = self.group
        costs = [
            (amount.quanta, amount.places) if amount else None
            for amount in (group.billed_cost, group.effective_cost, group.list_cost)
        ]
        return (group.split_key, group.charges, *costs, group.consumed, group.pricing)


class Repeats:
    """Finds days on which charges of several days are split exactly as on an earlier day, so that
    they need not be written.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[object, ...], tuple[SlicePlace, list[Planned]]] = {}

    def first(self, place: SlicePlace, planned: list[Planned]) -> SlicePlace | None:
        """The earlier place; None where this is the first that says so."""
        if not place.is_spread:
            return None
        name = tuple(each.amounts() for each in planned)
        first, as_planned = self._first.setdefault(name, (place, planned))
        if first == place:
            return None
        pairs = zip(planned, as_planned, strict=True)
        return first if all(one.plan == other.plan for one, other in pairs) else None


class KindTexts:
    """How rows of one charge kind begin, by the number of their target."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.share_starts: list[str] = []  # after the split key's id
        self.canonical_starts: list[str] = []  # after the split key's cells

    def extend(self, book: TargetBook) -> None:
        """Know all targets that have an id."""
        known = len(self.share_starts)
        self.share_starts += [f"{pk}\t{self.kind}\t" for pk in book.ids[known:]]
        self.canonical_starts += [f'{cells},"{self.kind}",' for cells in book.cells[known:]]


Batch = list[tuple[SlicePlace, list[Planned]]]


class LedgerWriter:
    """Writes the slices of one run, and keeps the run's hash."""

    def __init__(self, *, book: TargetBook, slices: SliceStore) -> None:
        self.book = book
        self.slices = slices
        self.lines = LineBook(slices.currency)
        # Of the batch's plans, which many groups have: by identity, since comparing takes time.
        self._texts: dict[tuple[int, str | None], RowTexts] = {}
        self._kinds: dict[str, KindTexts] = {}

    def write(
        self,
        part: int,
        groups: list[G],
        planned: Callable[[G], Planned],
        progress: Callable[[int], None],
    ) -> None:
        """Plan the groups of one stage and write them, so many at a time that their shares fit into
        memory. They come by place, and within a place in canonical order; the list is emptied.
        """
        by_place: dict[SlicePlace, list[G]] = {}
        for item in groups:
            group = item[0]
            by_place.setdefault(SlicePlace(part, group.day, group.is_spread), []).append(item)
        groups.clear()
        slices = self.slices.reserve(part, by_place)
        repeats = Repeats()
        done = 0
        for batch in self._batches(by_place, planned):
            self._write_batch(batch, slices, repeats)
            done += sum(len(own) for _, own in batch)
            progress(done)
        slices.close()

    def _batches(
        self, by_place: dict[SlicePlace, list[G]], planned: Callable[[G], Planned]
    ) -> Iterator[Batch]:
        """Empties what it is given on the way."""
        batch: Batch = []
        rows = 0
        for place in list(by_place):
            own = [planned(item) for item in by_place.pop(place)]
            batch.append((place, own))
            rows += sum(each.rows for each in own)
            if rows >= ROWS_AT_ONCE:
                yield batch
                batch, rows = [], 0
        if batch:
            yield batch

    def _write_batch(self, batch: Batch, slices: Reserved, repeats: Repeats) -> None:
        self.book.settle()
        written: list[tuple[int, SlicePage]] = []
        with connection.cursor() as cursor, fed_copy(cursor, SHARE_COPY) as feed:
            for place, planned in batch:
                if first := repeats.first(place, planned):
                    slices.repeat(place, first)
                    continue
                page = self._page(planned)
                number = slices.settle(place, rows=page.rows, hashes=page.seal())
                if number is not None:  # None: the same stands in the database
                    self._feed_shares(feed, number, page)
                    written.append((number, page))
        self._texts.clear()
        self._write_groups(written)
        self._write_costs(written)

    def _page(self, planned: Sequence[Planned]) -> SlicePage:
        # Decimal places of its own, so that every run writes it alike.
        page = SlicePage(Places.of([each.group for each in planned]))
        for group, split_key, plan in planned:
            self._add(page, group, split_key, plan)
        return page

    def _feed_shares(self, feed: Callable[[str], None], number: int, page: SlicePage) -> None:
        start = f"{self.slices.month}\t{number}\t"
        for first in range(0, len(page.shares), BLOCK):
            feed(start + start.join(page.shares[first : first + BLOCK]))
        page.shares.clear()

    def _add(self, page: SlicePage, group: ChargeGroup, split_key: SplitKey, plan: Plan) -> None:
        page.groups.append(_group_line(group, split_key, plan))
        amounts = (group.billed_cost, group.effective_cost, group.list_cost)
        if any(amount is not None and amount.quanta for amount in amounts):
            self._add_shares(page, group, split_key, plan)

    def _add_shares(
        self, page: SlicePage, group: ChargeGroup, split_key: SplitKey, plan: Plan
    ) -> None:
        name = (id(plan), split_key.kind)
        texts = self._texts.get(name)
        if texts is None:
            texts = self._texts[name] = self._row_texts(plan, split_key.kind)
        cut = cut_group(group, texts.layout)
        page.costs.add(group, self.lines.split_key_class(split_key), texts.keys, cut)
        billed = texts_of(cut.billed, group.billed_cost.places)
        same = cut.effective == cut.billed
        same = same and group.effective_cost.places == group.billed_cost.places
        effective = billed if same else texts_of(cut.effective, group.effective_cost.places)
        listed, or_null = [""] * len(billed), [NULL] * len(billed)
        if cut.listed is not None and group.list_cost is not None:
            listed = or_null = texts_of(cut.listed, group.list_cost.places)
        page.rows += len(billed)
        start = f"{group.split_key}\t"
        columns = (texts.share_starts, billed, effective, or_null, texts.share_ends)
        page.shares += [
            f"{start}{first}{b}\t{e}\t{c}{last}"
            for first, b, e, c, last in zip(*columns, strict=True)
        ]
        start = f"{split_key.cells},"
        columns = (texts.canonical_starts, billed, effective, listed, texts.canonical_ends)
        page.canonical += [
            f"{start}{first}{b},{e},{c}{last}"
            for first, b, e, c, last in zip(*columns, strict=True)
        ]

    def _kind(self, kind: str) -> KindTexts:
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = KindTexts(kind)
        found.extend(self.book)
        return found

    def _row_texts(self, plan: Plan, kind: str | None) -> RowTexts:
        book = self.book
        layout = layout_of(plan, kind, is_allocated=book.is_allocated, rank=book.rank)
        kinds = {kind: self._kind(kind) for kind in set(layout.kinds)}
        named = [
            (target, kinds[kind]) for target, kind in zip(layout.targets, layout.kinds, strict=True)
        ]
        measured = list(zip(layout.quantities, layout.rungs, strict=True))
        classes = self.lines.target_classes(book.targets)
        return RowTexts(
            layout=layout,
            keys=[
                (classes[t], kind, rung)
                for t, kind, rung in zip(layout.targets, layout.kinds, layout.rungs, strict=True)
            ],
            share_starts=[of.share_starts[target] for target, of in named],
            share_ends=[f"\t{quantity or NULL}\t{rung}\n" for quantity, rung in measured],
            canonical_starts=[of.canonical_starts[target] for target, of in named],
            canonical_ends=[f",{quantity},{rung}\n" for quantity, rung in measured],
        )

    def _write_groups(self, written: list[tuple[int, SlicePage]]) -> None:
        with connection.cursor() as cursor, cursor.copy(GROUP_COPY) as copy:
            for number, page in written:
                start = f"{number}\t"
                if page.groups:
                    copy.write(start + start.join(page.groups))

    def _write_costs(self, written: list[tuple[int, SlicePage]]) -> None:
        pages = [(number, page.costs.rows()) for number, page in written]
        self.lines.settle((line, of, kind) for _, rows in pages for line, (of, kind, _), *_ in rows)
        ids = self.lines.ids
        with connection.cursor() as cursor, cursor.copy(COST_COPY) as copy:
            for number, rows in pages:
                copy.write(
                    "".join(
                        [
                            f"{number}\t{ids[line, of, kind]}\t{rung}\t{b}\t{e}\t{c or NULL}\n"
                            for line, (of, kind, rung), b, e, c in rows
                        ]
                    )
                )


def _group_line(group: ChargeGroup, split_key: SplitKey, plan: Plan) -> str:
    listed = text_of(group.list_cost.quanta, group.list_cost.places) if group.list_cost else NULL
    total = text_of(plan.driver_total, plan.places) if plan.driver_total is not None else NULL
    cells = (
        group.split_key,
        group.charges,
        text_of(group.billed_cost.quanta, group.billed_cost.places),
        text_of(group.effective_cost.quanta, group.effective_cost.places),
        listed,
        _quantity(split_key.tokens(group.consumed, group.pricing)),
        copy_cell(plan.driver),
        total,
        _coverage(plan.coverage) if plan.coverage is not None else NULL,
        copy_cell(plan.widened),
        copy_cell(plan.note),
    )
    return "\t".join(map(str, cells)) + "\n"


SHARE_COPY = """COPY slice_share (billing_month, slice_id, split_key_id, target_id, charge_kind,
    billed_cost, effective_cost, list_cost, driver_quantity, evidence) FROM STDIN"""
GROUP_COPY = """COPY slice_group (slice_id, split_key_id, charges, billed_cost, effective_cost,
    list_cost, quantity, driver, driver_total, coverage, widened, note) FROM STDIN"""
COST_COPY = """COPY slice_cost (slice_id, line_id, evidence, billed_cost, effective_cost,
    list_cost) FROM STDIN"""


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
    JOIN split_key b ON b.id = a.split_key_id
    JOIN allocation_source s ON s.id = b.source_id
    JOIN allocation_target t ON t.id = a.target_id
    WHERE a.billing_month = %(month)s AND r.run_id = %(run)s
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
    places = RunSlice.objects.filter(run_id=run_id, part__gte=0).values_list(
        "part", "day", "is_spread"
    )
    digests: dict[SlicePlace, Any] = {SlicePlace(*place): hashlib.sha256() for place in places}
    with (
        connection.cursor() as cursor,
        cursor.copy(CANONICAL_SQL, {"month": month, "run": run_id}) as copy,
    ):
        for row in copy:
            part, day, is_spread, line = bytes(row).split(b",", 3)
            place = SlicePlace(int(part), date.fromisoformat(day.decode()), is_spread == b"1")
            digests[place].update(line)
    return run_sha256({place: digest.hexdigest() for place, digest in digests.items()})
