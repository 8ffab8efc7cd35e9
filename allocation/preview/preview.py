"""What a draft of the rules would change: who gains and who loses, month by month, to the last
digit.

A preview is recorded, carried out by the engine over unpublished runs (allocation.preview.drafts),
and kept for a day. The differences of a source in a currency add up to zero, since both runs share
out the same charges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection, transaction

from allocation.models import RulePreview, RuleSet
from allocation.preview.drafts import RunPair, draft_runs, forget_drafts
from allocation.preview.inputs import billed_months, seen_in
from allocation.preview.world import check_draft, rule_reach, untaken_charges
from allocation.rules.checks import Checked, Finding
from allocation.rules.rule_sets import latest_rule_set, rule_set_for
from allocation.rules.rules import RuleError
from allocation.runs.month import Progress
from allocation.values.errors import NotBalanced
from allocation.values.money import EXACT, exact_sum, plain
from allocation.values.periods import Period

FRESH = timedelta(hours=24)
MOST_MONTHS = 12
UNTAKEN_KEPT = 200
METRICS = ("billed_cost", "effective_cost")
LEVELS = ("team", "product", "model", "feature", "month")


def preview_months(effective_from: date, through: date | None = None) -> list[date]:
    """Months with bills from the first one in force on; the latest month with bills where there is
    none yet.
    """
    billed = billed_months()
    months = [
        month
        for month in billed
        if month >= effective_from and (through is None or month <= through)
    ]
    return months[-MOST_MONTHS:] or billed[-1:]


def record_preview(
    *,
    text: str,
    effective_from: date,
    months: Sequence[date],
    created_by: str | None,
    now: datetime,
) -> RulePreview:
    """A preview to be carried out. Raises RuleError with every error of the draft; those that
    expired are deleted.
    """
    effective_from = effective_from.replace(day=1)
    checked = check_draft(
        text=text, effective_from=effective_from, month=months[-1] if months else effective_from
    )
    if checked.errors:
        raise RuleError([str(error) for error in checked.errors])
    forget_expired(now)
    return RulePreview.objects.create(
        text=text,
        content_sha256=hashlib.sha256(text.encode()).hexdigest(),
        effective_from=effective_from,
        base_number=latest_rule_set().number,
        months=[f"{month:%Y-%m}" for month in months],
        created_by=created_by,
        created_at=now,
        expires_at=now + FRESH,
    )


def forget_expired(now: datetime) -> None:
    """Delete old previews, and drafts whose preview died on the way."""
    RulePreview.objects.filter(expires_at__lt=now).delete()
    known = [-pk for pk in RulePreview.objects.values_list("pk", flat=True)]
    for draft in RuleSet.drafts.exclude(number__in=known):
        for month in set(draft.allocationrun_set.values_list("billing_month", flat=True)):
            forget_drafts([], draft, month)
        draft.delete()


def _no_progress(_done: int, _total: int, _note: str) -> None:
    pass


def _no_guard() -> None:
    pass


def carry_out_preview(
    preview: RulePreview,
    *,
    now: datetime,
    progress: Progress = _no_progress,
    guard: Callable[[], None] = _no_guard,
) -> RulePreview:
    """The preview with its outcome; `guard` is called in the transaction that writes it. Harmless
    when called twice.

    Raises AllocationBusy.
    """
    months = [Period.parse(month).start for month in preview.months]
    draft, _ = RuleSet.drafts.update_or_create(
        number=-preview.pk,
        defaults={
            "text": preview.text,
            "content_sha256": preview.content_sha256,
            "effective_from": preview.effective_from,
            "created_by": preview.created_by,
        },
    )
    differences = Differences()
    runs: list[dict[str, Any]] = []
    seen: list[dict[str, Any]] = []
    billed = billed_months()
    for number, month in enumerate(months):

        def report(
            done: int, total: int, note: str, number: int = number, month: date = month
        ) -> None:
            progress(
                number * 100 + done * 100 // max(total, 1),
                len(months) * 100,
                f"{month:%Y-%m}: {note}",
            )

        with draft_runs(
            month=month, base=rule_set_for(month), draft=draft, now=now, progress=report
        ) as pairs:
            for pair in pairs:
                differences.add(pair)
                runs.append(_run_line(pair))
            seen.append(seen_in(month, [pair.after.run for pair in pairs]))
    draft.delete()
    preview.outcome = {
        "runs": runs,
        **differences.as_json(),
        "rules": _reach(preview, months),
        "seen": seen,
        "billed_months": [f"{month:%Y-%m}" for month in billed],
    }
    with transaction.atomic():
        guard()
        preview.save(update_fields=["outcome"])
    whole = max(len(months), 1) * 100
    progress(whole, whole, "compared")
    return preview


def _run_line(pair: RunPair) -> dict[str, Any]:
    """What the applied rules must come to, and what it was compared with."""
    return {
        "month": f"{pair.month:%Y-%m}",
        "currency": pair.currency,
        "rows": pair.after.rows,
        "sha256": pair.after.sha256,
        "base_rule_set": pair.before.rule_set,
        "base_sha256": pair.before.sha256,
    }


def _reach(preview: RulePreview, months: Iterable[date]) -> list[dict[str, Any]]:
    """Per month: each rule's charges and money, the charges that no rule takes, and what the checks
    found.
    """
    lines = []
    for month in months:
        checked = check_draft(text=preview.text, effective_from=preview.effective_from, month=month)
        lines.append({"month": f"{month:%Y-%m}", **reach_json(checked, month)})
    return lines


def reach_json(checked: Checked, month: date) -> dict[str, Any]:
    if checked.taken is None:
        return {
            "reach": [],
            "untaken": [],
            "findings": [_finding(each) for each in checked.findings],
        }
    return {
        "reach": [_plain(asdict(each)) for each in rule_reach(checked.taken, month=month)],
        "untaken": [_plain(asdict(each)) for each in untaken_charges(checked.taken)[:UNTAKEN_KEPT]],
        "findings": [_finding(each) for each in checked.findings],
    }


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    """Amounts as exact text."""
    return {
        name: plain(value) if isinstance(value, Decimal) else value for name, value in line.items()
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return asdict(finding)


# ---------------------------------------------------------------- differences

CELLS_SQL = """
-- One row per source and everything a difference is told by: money of one run and of the other.
SELECT source_id, team, product, model, feature, reason,
    coalesce(sum(billed_cost) FILTER (WHERE run_id = %(before)s), 0),
    coalesce(sum(billed_cost) FILTER (WHERE run_id = %(after)s), 0),
    coalesce(sum(effective_cost) FILTER (WHERE run_id = %(before)s), 0),
    coalesce(sum(effective_cost) FILTER (WHERE run_id = %(after)s), 0)
FROM cost_daily WHERE run_id IN (%(before)s, %(after)s)
GROUP BY 1, 2, 3, 4, 5, 6
"""

# Billed before, billed after, effective before, effective after.
Amounts = tuple[Decimal, Decimal, Decimal, Decimal]
ZEROS: Amounts = (Decimal(0),) * 4
AMOUNT_NAMES = ("billed_before", "billed_after", "effective_before", "effective_after")


class Part(NamedTuple):
    """Whose money: `owner` is the feature's team; unallocated cost has a reason and no name."""

    currency: str
    name: str | None
    owner: str | None = None
    reason: str | None = None


class Differences:
    """Sums of both outcomes by every level; exact, and of one currency each."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[Part, Amounts]] = {level: {} for level in LEVELS}
        self.moved: dict[tuple[str, str], dict[str, Decimal]] = {}

    def add(self, pair: RunPair) -> None:
        """Raises NotBalanced where a source's differences miss zero, which would be a fault of the
        program.
        """
        month = f"{pair.month:%Y-%m}"
        by_source: dict[int, Amounts] = {}
        by_team: dict[Part, Amounts] = {}
        with connection.cursor() as cursor:
            cursor.execute(CELLS_SQL, {"before": pair.before.run, "after": pair.after.run})
            rows = cursor.fetchall()
        for source, team, product, model, feature, reason, *money in rows:
            amounts: Amounts = tuple(money)
            owner = Part(pair.currency, team, reason=reason)
            _plus(by_source, source, amounts)
            _plus(by_team, owner, amounts)
            _plus(self.parts["team"], owner, amounts)
            _plus(self.parts["product"], Part(pair.currency, product), amounts)
            _plus(self.parts["model"], Part(pair.currency, model), amounts)
            _plus(
                self.parts["feature"],
                Part(pair.currency, feature, owner=team, reason=reason),
                amounts,
            )
            _plus(self.parts["month"], Part(pair.currency, month), amounts)
        for source, amounts in by_source.items():
            if any(_differences(amounts)):
                raise NotBalanced(
                    f"source {source}, {month} {pair.currency}: the draft's cost differs by "
                    f"{amounts}"
                )
        gains = [_differences(amounts) for amounts in by_team.values()]
        self.moved[month, pair.currency] = {
            metric: exact_sum(max(gain[n], Decimal(0)) for gain in gains)
            for n, metric in enumerate(METRICS)
        }

    def as_json(self) -> dict[str, Any]:
        """Lines that differ, biggest gain first within a currency; of months all, with the money
        that changes hands.
        """
        found: dict[str, Any] = {}
        for level, parts in self.parts.items():
            lines = [
                {**part._asdict(), **dict(zip(AMOUNT_NAMES, map(plain, amounts), strict=True))}
                for part, amounts in sorted(parts.items(), key=_order)
                if level == "month" or any(_differences(amounts))
            ]
            found[level] = lines
        for line in found["month"]:
            line["moved"] = _plain(self.moved[line["name"], line["currency"]])
        return {"differences": found}


def _order(item: tuple[Part, Amounts]) -> tuple[Any, ...]:
    part, amounts = item
    return (
        part.currency,
        -_differences(amounts)[1],
        part.name or "",
        part.owner or "",
        part.reason or "",
    )


def _differences(amounts: Amounts) -> tuple[Decimal, Decimal]:
    """Billed and effective, after minus before."""
    return EXACT.subtract(amounts[1], amounts[0]), EXACT.subtract(amounts[3], amounts[2])


def _plus(sums: dict[Any, Amounts], key: Any, amounts: Amounts) -> None:
    known = sums.get(key, ZEROS)
    sums[key] = tuple(EXACT.add(one, other) for one, other in zip(known, amounts, strict=True))  # type: ignore[assignment]
