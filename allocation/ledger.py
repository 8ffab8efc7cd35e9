"""Writing a run: plans become allocated_cost rows, streamed by COPY in canonical order and hashed on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from django.db import connection

from allocation.buckets import Bucket
from allocation.charges import Amount, Group
from allocation.models import Target as TargetModel
from allocation.money import text_of, texts_of
from allocation.split import split_quanta
from allocation.targets import Target, canonical_target
from allocation.traced import Part, Plan

BLOCK = 5000  # rows joined into one write
COVERAGE_PLACES = Decimal("0.000001")


class TargetBook:
    """Numbers for the targets of a run, their canonical order and their ids in the database."""

    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.numbers: dict[Target, int] = {}
        self.rank: list[int] = []
        self.ids: list[int] = []
        self.cells: list[str] = []
        self.is_allocated: list[bool] = []

    def number(self, target: Target) -> int:
        number = self.numbers.get(target)
        if number is None:
            number = self.numbers[target] = len(self.targets)
            self.targets.append(target)
        return number

    def settle(self) -> None:
        """Give every target so far a rank and a database id; call again after adding more."""
        order = sorted(range(len(self.targets)), key=lambda n: self.targets[n].order())
        self.rank[:] = [0] * len(order)
        for rank, number in enumerate(order):
            self.rank[number] = rank
        self.cells = [canonical_target(target) for target in self.targets]
        self.is_allocated = [target.is_allocated for target in self.targets]
        self.ids += ensure_targets(self.targets[len(self.ids) :])


def ensure_targets(targets: Sequence[Target]) -> list[int]:
    """Ids of these targets, made where they are new; safe beside another run that makes the same ones."""
    hashes = [target.content_hash() for target in targets]
    TargetModel.objects.bulk_create(
        [
            TargetModel(content_hash=key, **target._asdict())
            for key, target in sorted(zip(hashes, targets, strict=True), key=lambda pair: pair[0])
        ],
        ignore_conflicts=True,
        batch_size=5000,
    )
    ids: dict[bytes, int] = {}
    for first in range(0, len(hashes), 10_000):
        rows = TargetModel.objects.filter(content_hash__in=hashes[first : first + 10_000])
        ids.update((bytes(key), pk) for key, pk in rows.values_list("content_hash", "pk"))
    return [ids[key] for key in hashes]


Row = tuple[int, str, int, int, int | None, str, int]  # target, kind, billed, effective, list, driver quantity, rung


def cut_group(
    group: Group, plan: Plan, *, kind: str | None, is_allocated: Sequence[bool], rank: Sequence[int]
) -> list[Row]:
    """Rows of one group in canonical order; each metric adds up to the group's amount exactly.

    `kind` is the rule's own charge kind for what is allocated under it.
    """
    billed = _cut(group.billed_cost, plan.parts)
    same = group.effective_cost == group.billed_cost
    effective = billed if same else _cut(group.effective_cost, plan.parts)
    listed: Sequence[int | None] = _cut(group.list_cost, plan.parts) if group.list_cost else [None] * len(billed)
    kinds = [kind if kind and part.kind not in ("unallocated", "untraced") else part.kind for part in plan.parts]
    columns = zip(billed, effective, listed, strict=True)
    rows: list[Row] = []
    for part, part_kind in zip(plan.parts, kinds, strict=True):
        weights = texts_of([weight for _, weight, _ in part.entries], plan.places) if plan.driver else None
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
    if len(rows) == 2 * count and plan.parts[0].entries == plan.parts[1].entries and kinds[0] < kinds[1]:
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
        return [amount.quanta] if len(entries) == 1 else split_quanta(amount.quanta, [w for _, w, _ in entries])
    shares: list[int] = []
    for part, quanta in zip(parts, split_quanta(amount.quanta, [part.weight for part in parts]), strict=True):
        shares += split_quanta(quanta, [w for _, w, _ in part.entries])
    return shares


def _merged(rows: list[Row], rank: Sequence[int]) -> list[Row]:
    """Canonical order, with rows of the same target and kind added up (unallocated cost can come from both parts)."""
    found: dict[tuple[int, str], Row] = {}
    for row in rows:
        known = found.get((row[0], row[1]))
        found[row[0], row[1]] = row if known is None else _added(known, row)
    return sorted(found.values(), key=lambda row: (rank[row[0]], row[1]))


class LedgerWriter:
    """Streams the groups of one run into allocated_cost and charge_group, and keeps the run's hash."""

    def __init__(self, *, run_id: int, month: date, book: TargetBook) -> None:
        self.run_id = run_id
        self.month = month
        self.book = book
        self.hash = hashlib.sha256()
        self.rows = 0
        self.group_lines: list[str] = []

    def write(
        self,
        groups: Iterable[Group],
        bucket_of: Sequence[Bucket | None],
        plan_of: Callable[[Bucket, Group], Plan],
        progress: Callable[[int], None],
    ) -> None:
        """Carry out the plan of each group; groups come in canonical order."""
        with connection.cursor() as cursor, cursor.copy(ALLOCATED_COPY) as copy:
            lines: list[str] = []
            canonical: list[str] = []
            for done, group in enumerate(groups, 1):
                bucket = bucket_of[group.bucket]
                if bucket is None:
                    raise LookupError(f"no bucket {group.bucket}")
                plan = plan_of(bucket, group)
                self._group_line(group, plan)
                if (
                    group.billed_cost.quanta
                    or group.effective_cost.quanta
                    or (group.list_cost and group.list_cost.quanta)
                ):
                    self._lines(group, plan, bucket, lines, canonical)
                if len(lines) >= BLOCK:
                    copy.write("".join(lines))
                    self.hash.update("".join(canonical).encode())
                    lines.clear()
                    canonical.clear()
                    progress(done)
            copy.write("".join(lines))
            self.hash.update("".join(canonical).encode())

    def _lines(self, group: Group, plan: Plan, bucket: Bucket, lines: list[str], canonical: list[str]) -> None:
        book = self.book
        rows = cut_group(group, plan, kind=bucket.kind, is_allocated=book.is_allocated, rank=book.rank)
        self.rows += len(rows)
        targets, kinds, billed, effective, listed, quantities, rungs = zip(*rows, strict=True)
        day = group.day.isoformat()
        start = f"{self.month}\t{self.run_id}\t{group.bucket}\t{day}\t"
        start_canonical = f"{bucket.cells},{day},"
        b_texts = texts_of(billed, group.billed_cost.places)
        same = effective == billed and group.effective_cost.places == group.billed_cost.places
        e_texts = b_texts if same else texts_of(effective, group.effective_cost.places)
        c_texts = texts_of(listed, group.list_cost.places) if group.list_cost else [""] * len(rows)
        ids, cells = book.ids, book.cells
        columns = (targets, kinds, b_texts, e_texts, c_texts, quantities, rungs)
        for t, kind, b, e, c, q, rung in zip(*columns, strict=True):
            lines.append(f"{start}{ids[t]}\t{kind}\t{b}\t{e}\t{c or NULL}\t{q or NULL}\t{rung}\n")
            canonical.append(f'{start_canonical}{cells[t]},"{kind}",{b},{e},{c},{q},{rung}\n')

    def _group_line(self, group: Group, plan: Plan) -> None:
        listed = text_of(group.list_cost.quanta, group.list_cost.places) if group.list_cost else NULL
        total = text_of(plan.driver_total, plan.places) if plan.driver_total is not None else NULL
        cells = (
            self.run_id,
            group.bucket,
            group.day,
            group.charges,
            text_of(group.billed_cost.quanta, group.billed_cost.places),
            text_of(group.effective_cost.quanta, group.effective_cost.places),
            listed,
            _decimal(plan.quantity) if plan.quantity is not None else NULL,
            plan.driver or NULL,
            total,
            _decimal(plan.coverage).quantize(COVERAGE_PLACES, ROUND_HALF_EVEN) if plan.coverage is not None else NULL,
            plan.widened or NULL,
            plan.note or NULL,
        )
        self.group_lines.append("\t".join(map(str, cells)) + "\n")

    def finish_groups(self) -> None:
        with connection.cursor() as cursor, cursor.copy(GROUP_COPY) as copy:
            for first in range(0, len(self.group_lines), BLOCK):
                copy.write("".join(self.group_lines[first : first + BLOCK]))


NULL = "\\N"
ALLOCATED_COPY = """COPY allocated_cost (billing_month, run_id, bucket, day, target_id, charge_kind, billed_cost,
    effective_cost, list_cost, driver_quantity, evidence) FROM STDIN"""
GROUP_COPY = """COPY charge_group (run_id, bucket, day, charges, billed_cost, effective_cost, list_cost, quantity,
    driver, driver_total, coverage, widened, note) FROM STDIN"""


def _decimal(value: Fraction) -> Decimal:
    """For showing: exact where it is a short decimal, else to 28 digits."""
    return Decimal(value.numerator) / Decimal(value.denominator)


# The same bytes as were hashed, from the database: the proof that a run is what its hash says.
CANONICAL_SQL = """
COPY (
    SELECT s.name, b.rule, b.method, b.ai_scope, b.provider_name, b.service_name, b.charge_category,
        b.split_key::text AS split_key, a.day, t.team, t.model, t.feature, t.product, t.environment, t.customer,
        t.phase, t.reason, t.partner_team, t.partner_feature,
        a.charge_kind, a.billed_cost, a.effective_cost, a.list_cost, a.driver_quantity, a.evidence
    FROM allocated_cost a
    JOIN charge_bucket b ON b.run_id = a.run_id AND b.bucket = a.bucket
    JOIN allocation_source s ON s.id = b.source_id
    JOIN allocation_target t ON t.id = a.target_id
    WHERE a.billing_month = '{month}' AND a.run_id = {run}
    ORDER BY a.bucket, a.day, t.team COLLATE "C" NULLS FIRST, t.model COLLATE "C" NULLS FIRST,
        t.feature COLLATE "C" NULLS FIRST, t.product COLLATE "C" NULLS FIRST, t.environment COLLATE "C" NULLS FIRST,
        t.customer COLLATE "C" NULLS FIRST, t.phase COLLATE "C" NULLS FIRST, t.reason COLLATE "C" NULLS FIRST,
        t.partner_team COLLATE "C" NULLS FIRST, t.partner_feature COLLATE "C" NULLS FIRST, a.charge_kind COLLATE "C"
) TO STDOUT WITH (FORMAT csv, FORCE_QUOTE (name, rule, method, ai_scope, provider_name, service_name, charge_category,
    split_key, team, model, feature, product, environment, customer, phase, reason, partner_team, partner_feature,
    charge_kind))
"""


def stored_sha256(*, run_id: int, month: date) -> str:
    """The hash of a run's canonical CSV, computed from what stands in the database."""
    digest = hashlib.sha256()
    sql = CANONICAL_SQL.format(month=month.isoformat(), run=int(run_id))
    with connection.cursor() as cursor, cursor.copy(sql) as copy:
        for block in copy:
            digest.update(block)
    return digest.hexdigest()
