"""What a delivered file changes: each scope before and after, and the rows that are replaced."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import models

from allocation.values.money import EXACT, exact_sum, plain
from portal.ingest.drivers.kinds import DeliveredRow, DriverKind, Months, Scope

MOVED_TOLD = 50
BATCH = 2000


@dataclass(frozen=True, slots=True)
class ScopeChange:
    """What a scope held, and holds now. Months: (None, None) none, (first, None) every one from the
    first on.
    """

    scope: Scope
    rows_before: int
    rows_after: int
    quantity_before: Decimal | None
    quantity_after: Decimal | None
    added: int
    removed: int
    altered: int
    months: Months
    moved: tuple[str, ...] = ()  # "+ row", "- row", "row: new, was old"; the first ones

    def __add__(self, other: ScopeChange) -> ScopeChange:
        """Both together, told as one; of kinds whose months end."""
        return ScopeChange(
            scope=self.scope,
            rows_before=self.rows_before + other.rows_before,
            rows_after=self.rows_after + other.rows_after,
            quantity_before=sum_of_both(self.quantity_before, other.quantity_before),
            quantity_after=sum_of_both(self.quantity_after, other.quantity_after),
            added=self.added + other.added,
            removed=self.removed + other.removed,
            altered=self.altered + other.altered,
            months=wider(self.months, other.months),
        )

    @property
    def is_any(self) -> bool:
        return bool(self.added or self.removed or self.altered)

    def to_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "scope": str(self.scope),
            "subject": self.scope.subject,
            "first_month": month_text(self.months[0]),
            "last_month": month_text(self.months[1]),
            "rows": {"before": self.rows_before, "after": self.rows_after},
            "added": self.added,
            "removed": self.removed,
            "altered": self.altered,
        }
        if self.moved:
            shown["moved"] = list(self.moved)
        if self.quantity_before is not None and self.quantity_after is not None:
            shown["quantity"] = {
                "before": plain(self.quantity_before),
                "after": plain(self.quantity_after),
            }
        return shown

    def __str__(self) -> str:
        if not self.is_any:
            return f"{self.scope}: unchanged, rows {self.rows_after:,}"
        words = f"{self.scope}: rows {self.rows_after:,}, before {self.rows_before:,}"
        words += f" ({self.added:,} added, {self.removed:,} removed, {self.altered:,} altered)"
        if self.quantity_before is not None and self.quantity_after is not None:
            words += f"; quantity {plain(self.quantity_after)}, was {plain(self.quantity_before)}"
        return "\n  ".join([words, *self.moved])


def key_of(kind: DriverKind, row: models.Model) -> Hashable:
    return tuple(getattr(row, name) for name in kind.key)


def values_of(kind: DriverKind, row: models.Model) -> Hashable:
    return tuple(getattr(row, name) for name in kind.compared)


def replace(kind: DriverKind, rows: Sequence[DeliveredRow], *, write: bool) -> list[ScopeChange]:
    """What each scope of the rows held and holds; where it differs and `write`, its rows are
    replaced.
    """
    new: dict[Scope, list[models.Model]] = {}
    for delivered in rows:
        new.setdefault(kind.scope(delivered.row), []).append(delivered.row)
    old: dict[Scope, list[models.Model]] = {scope: [] for scope in new}
    for row in kind.stored([delivered.row for delivered in rows]):
        if (scope := kind.scope(row)) in old:
            old[scope].append(row)
    changes = [difference(kind, scope, old[scope], new[scope]) for scope in sorted(new)]
    moved = [change.scope for change in changes if change.is_any]
    if write and moved:
        gone = [row.pk for scope in moved for row in old[scope]]
        for first in range(0, len(gone), BATCH):
            kind.model._default_manager.filter(pk__in=gone[first : first + BATCH]).delete()
        kind.model._default_manager.bulk_create(
            [row for scope in moved for row in new[scope]], batch_size=BATCH
        )
    return told_together(changes)


def difference(
    kind: DriverKind, scope: Scope, old: Sequence[models.Model], new: Sequence[models.Model]
) -> ScopeChange:
    before = {key_of(kind, row): row for row in old}
    after = {key_of(kind, row): row for row in new}
    kept = before.keys() & after.keys()
    altered = {key for key in kept if values_of(kind, before[key]) != values_of(kind, after[key])}
    moved = [before[key] for key in before.keys() - kept | altered] + [
        after[key] for key in after.keys() - kept
    ]
    return ScopeChange(
        scope=scope,
        rows_before=len(old),
        rows_after=len(new),
        quantity_before=added_up(kind, old),
        quantity_after=added_up(kind, new),
        added=len(after) - len(kept),
        removed=len(before) - len(kept),
        altered=len(altered),
        months=kind.months(moved) if moved else (None, None),
        moved=tuple(moved_rows(kind, before, after))[:MOVED_TOLD] if kind.tells_rows else (),
    )


def moved_rows(
    kind: DriverKind,
    before: Mapping[Hashable, models.Model],
    after: Mapping[Hashable, models.Model],
) -> Iterator[str]:
    """What a reader checks before it is put in force, by key."""
    names = {key: in_words(row, kind.key) for key, row in [*before.items(), *after.items()]}
    for key, name in sorted(names.items(), key=lambda each: each[1]):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            yield f"+ {name}: {in_words(new, kind.compared)}"
        elif new is None and old is not None:
            yield f"- {name}: {in_words(old, kind.compared)}"
        elif old is not None and new is not None and values_of(kind, old) != values_of(kind, new):
            yield f"{name}: {in_words(new, kind.compared)}, was {in_words(old, kind.compared)}"


def in_words(row: models.Model, names: Iterable[str]) -> str:
    values = (getattr(row, name) for name in names)
    return " ".join(
        plain(value) if isinstance(value, Decimal) else str(value)
        for value in values
        if value is not None
    )


def told_together(changes: Iterable[ScopeChange]) -> list[ScopeChange]:
    """One change for each stretch that answers speak of."""
    told: dict[str, ScopeChange] = {}
    for change in changes:
        name = str(change.scope)
        told[name] = told[name] + change if name in told else change
    return list(told.values())


def wider(one: Months, other: Months) -> Months:
    firsts = [months[0] for months in (one, other) if months[0]]
    lasts = [months[1] for months in (one, other) if months[1]]
    return min(firsts, default=None), max(lasts, default=None)


def sum_of_both(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else EXACT.add(one, other)


def added_up(kind: DriverKind, rows: Iterable[models.Model]) -> Decimal | None:
    if kind.measure is None:
        return None
    return exact_sum(kind.measure(row) for row in rows)


def month_text(month: date | None) -> str | None:
    return f"{month:%Y-%m}" if month else None
