"""Carrying out a run's plans, stage after stage: only of the days that would not say the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from itertools import groupby

from allocation.charges.groups import ChargeGroup
from allocation.charges.split_keys import SplitKey
from allocation.ledger.slices import SliceStore, usage_lines, write_usage_daily
from allocation.ledger.writer import LedgerWriter, Planned
from allocation.models import RunSlice
from allocation.organisation.stored import TargetBook
from allocation.plans.allocation_base import AllocationBase, BaseCost, CostsBy
from allocation.plans.drivers import DAY_USAGE
from allocation.plans.planner import Ground, Planner
from allocation.runs.inputs import MonthDrivers, UsageRows
from allocation.storage.rows import copy_lines
from allocation.usage.keys import digest_of
from allocation.values.money import LEAST_PLACES, places_of, quanta_of
from allocation.values.names import BY_REPORTS, USAGE
from allocation.values.periods import Period

Grounded = tuple[ChargeGroup, Ground]


def split_groups(
    *,
    planner: Planner,
    rows: UsageRows,
    slices: SliceStore,
    progress: Callable[[int], None],
) -> None:
    """Write every group: what stands by itself first, then what is weighted by it, then what
    follows all.
    """
    writer = LedgerWriter(book=planner.drivers.book, slices=slices)
    base = BaseReader(planner, slices)
    done = 0

    def planned(item: Grounded) -> Planned:
        group, ground = item
        return Planned(group, planner.split_keys[group.split_key], planner.plan(group, ground))

    for part, groups in planner.stages():
        changed = []
        for day, own in groupby(groups, key=lambda group: group.day):
            grounded = [(group, planner.ground(group)) for group in own]
            fingerprint = planner.fingerprint(grounded, base.fingerprint(part))
            if not slices.takes_over(part, day, fingerprint):
                changed += grounded
        slices.record()
        if changed:
            base.read(part)
            rows.load({group.day for group, ground in changed if DAY_USAGE in ground.data})
            writer.write(part, changed, planned, partial(_further, progress, done))
        done += len(groups)
        progress(done)
        base.follows(part)


@dataclass
class BaseReader:
    """Reads what earlier stages gave when a later one is planned: first all that stand by
    themselves together, then each stage of splits by other cost.
    """

    planner: Planner
    slices: SliceStore
    _earlier: set[int] = field(default_factory=set)
    _unread: list[set[int]] = field(default_factory=lambda: [set()])

    def fingerprint(self, part: int) -> str:
        """Of all that the stage is weighted by."""
        return self.slices.sha256(self._earlier) if part > BY_REPORTS else ""

    def read(self, part: int) -> None:
        """Let the planner know what the stage goes by."""
        if part <= BY_REPORTS:
            return
        for parts in self._unread:
            base = read_base(
                run_id=self.slices.run_id,
                month=self.slices.month,
                parts=parts,
                split_keys=self.planner.split_keys,
                book=self.planner.drivers.book,
            )
            self.planner.base = self.planner.base.joined(base)
        self._unread.clear()

    def follows(self, part: int) -> None:
        """The stage is written: later ones may go by it."""
        self._earlier.add(part)
        if part <= BY_REPORTS:
            self._unread[0].add(part)
        else:
            self._unread.append({part})


def _further(progress: Callable[[int], None], before: int, written: int) -> None:
    progress(before + written)


def write_usage(month: MonthDrivers, slices: SliceStore) -> None:
    """The month's calls and tokens by target: what unit costs divide by."""
    digests, rows = month.drivers.digests, month.rows
    whole = Period.month(slices.month)
    changed = [day for day in sorted(digests.usage) if whole.start <= day < whole.end]
    is_shared = month.clustering is None  # how far sampling may be off is the run's own
    if is_shared:
        made_of = {day: digest_of([digests.settings, digests.usage[day]]) for day in changed}
        changed = [day for day in changed if not slices.takes_over(USAGE, day, made_of[day])]
    rows.load(changed)
    targets = month.drivers.book.targets
    lines = {day: usage_lines(rows.index, targets, day) for day in changed}
    write_usage_daily(slices, lines, is_shared=is_shared)


BASE_SQL = """
-- One row per split key and target of some stages of the run, over the month. A slice counts once
-- for each day that has it.
COPY (
    SELECT a.split_key_id, a.target_id, trim_scale(sum(a.effective_cost * r.days)),
        trim_scale(sum(a.billed_cost * r.days)),
        trim_scale(coalesce(sum(a.list_cost * r.days), 0)), max(a.evidence)
    FROM (
        SELECT slice_id, count(*) AS days FROM run_slice
        WHERE run_id = %(run)s AND part = ANY(%(parts)s::int[])
        GROUP BY 1
    ) r
    JOIN slice_share a ON a.slice_id = r.slice_id
    WHERE a.billing_month = %(month)s
        AND a.slice_id = ANY(%(slices)s::bigint[])  -- so that shares of other runs are not read
    GROUP BY 1, 2
) TO STDOUT
"""


def read_base(
    *,
    run_id: int,
    month: date,
    parts: Collection[int],
    split_keys: Mapping[int, SplitKey],
    book: TargetBook,
) -> AllocationBase:
    """What these stages of the run gave."""
    listed = sorted(parts)
    slices = RunSlice.objects.filter(run_id=run_id, part__in=listed)
    values = {
        "run": run_id,
        "month": month,
        "parts": listed,
        "slices": sorted(set(slices.values_list("slice_id", flat=True))),
    }
    lines = [line.split("\t") for line in copy_lines(BASE_SQL, values)]
    places = max((places_of(text) for cells in lines for text in cells[2:5]), default=LEAST_PLACES)
    targets = {
        pk: target if target.customer is None else target._replace(customer=None)
        for pk, target in book.by_id({int(cells[1]) for cells in lines}).items()
    }
    costs: dict[str, CostsBy] = {}
    for number, target_id, *amounts, rung in lines:
        effective, billed, listed_cost = [quanta_of(text, places) for text in amounts]
        cost = BaseCost(effective, billed, listed_cost, int(rung))
        costs.setdefault(number, []).append((targets[int(target_id)], cost))
    return AllocationBase({split_keys[int(n)]: own for n, own in costs.items()}, places)
