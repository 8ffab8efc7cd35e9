"""The allocation base of a run, summed by the database over the shares that it has so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

from allocation.charges.split_keys import SplitKey
from allocation.models import RunSlice
from allocation.organisation.target_book import TargetBook
from allocation.plans.allocation_base import AllocationBase, BaseCost, CostsBy
from allocation.storage.copy_text import copy_lines
from allocation.values.money import LEAST_PLACES, places_of, quanta_of

BASE_SQL = """
-- One row per split key and target of some stages of the run, over the month. A slice counts once
-- for each day that has it.
COPY (
    SELECT a.bucket, a.target_id, trim_scale(sum(a.effective_cost * r.days)),
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
