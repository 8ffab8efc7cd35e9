"""Ledger rows for tests, as a run would have written them."""

from __future__ import annotations

import itertools
from datetime import date
from decimal import Decimal
from typing import Any

from allocation.ledger.cost_lines import Names, ensure_lines
from allocation.models import (
    AllocationRun,
    LedgerSlice,
    RunSlice,
    RunSplitKey,
    SliceCost,
    SliceGroup,
    SliceShare,
    SliceUsage,
    StoredSplitKey,
)
from allocation.values.names import USAGE
from reports.asking import TeamScope
from reports.cost_question.question import CostQuestion
from reports.cost_question.runs import MonthRun

_numbers = itertools.count(1)
NAMES = Names(
    currency="USD", source_id=0, ai_scope="ai", provider_name=None, service_name=None, team=None,
        product=None,
    feature=None, model=None, environment=None, phase=None, charge_kind="direct", rule="by tag",
        reason=None,
)  # fmt: skip


def slice_of(run: AllocationRun, day: date, part: int = 0) -> int:
    """The run's slice of a day, made where it has none."""
    known = (
        RunSlice.objects.filter(run_id=run.pk, part=part, day=day)
        .values_list("slice_id", flat=True)
        .first()
    )
    if known is not None:
        return int(known)
    month = run.billing_month
    made = LedgerSlice.objects.create(billing_month=month, currency=run.currency, part=part, rows=1)
    RunSlice.objects.create(
        run_id=run.pk, billing_month=month, part=part, day=day, slice_id=made.pk
    )
    return made.pk


def month_run(run: AllocationRun, sha256: str | None = None) -> MonthRun:
    """The run as readers of costs know it."""
    return MonthRun(run.pk, run.billing_month, run.currency, None, Decimal(0), sha256)


def asked_about(run: AllocationRun | int, **values: Any) -> CostQuestion:
    """The whole organisation's cost in one run, unless `values` say otherwise."""
    if isinstance(run, int):
        run = AllocationRun.objects.get(pk=run)
    return CostQuestion(**{"runs": (month_run(run),), "scope": TeamScope.everything(), **values})


def add_cost(
    run: AllocationRun, day: date, *, evidence: int, names: dict[str, Any], **amounts: Any
) -> None:
    """One line of cost_daily; amounts of the same line are added up."""
    (line,) = ensure_lines([NAMES._replace(currency=run.currency, **names)])
    key = (slice_of(run, day), line, evidence)
    known = SliceCost.objects.filter(pk=key).first()
    if known is None:
        SliceCost.objects.create(pk=key, **amounts)
        return
    sums = {
        name: None if amount is None else getattr(known, name) + amount
        for name, amount in amounts.items()
    }
    SliceCost.objects.filter(pk=key).update(**sums)


def add_usage(run: AllocationRun, day: date, **values: Any) -> None:
    SliceUsage.objects.create(slice_id=slice_of(run, day, USAGE), **values)


def add_split_key(run: AllocationRun, **values: Any) -> int:
    split_key_id = StoredSplitKey.objects.create(content_hash=b"%d" % next(_numbers), **values)
    RunSplitKey.objects.create(run_id=run.pk, split_key_id=split_key_id.pk)
    return split_key_id.pk


def add_group(run: AllocationRun, split_key_id: int, day: date, **values: Any) -> None:
    SliceGroup.objects.create(slice_id=slice_of(run, day), split_key_id=split_key_id, **values)


def add_share(run: AllocationRun, split_key_id: int, day: date, **values: Any) -> None:
    SliceShare.objects.create(
        billing_month=run.billing_month,
        slice_id=slice_of(run, day),
        split_key_id=split_key_id,
        **values,
    )
