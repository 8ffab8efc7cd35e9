"""Late changes: where only the bills or the usage of a few days changed, only these days are read
and split again.

A run remembers in its `basis` what each day's usage was, and which months' sums its splits went by.
The next run, where everything else it depends on is the same, takes over the slices of all days
that can't have changed. Wherever that is in doubt, the month is read whole: slices that say the
same are then shared all the same, only found less quickly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Any, TypeVar

from django.db import connection

from allocation.charges.groups import (
    Extent,
    Group,
    former_tokens,
    has_long_charges,
    kept_groups,
    merged,
)
from allocation.charges.split_key_map import Members, Namer, late_members
from allocation.charges.split_keys import Bucket
from allocation.models import AllocationRun
from allocation.plans.planner import ZERO, Asked, Asking, BilledKey, Engine, LateDays, billed_key
from allocation.plans.traced import MonthSums
from allocation.runs.changes import bill_causes
from allocation.runs.inputs import Drivers, charge_days
from allocation.usage.driver_data import Reports
from allocation.usage.facts import LateUsage, UsageFacts, usage_versions
from allocation.usage.index import ALL_USAGE, Key, UsageIndex, WholeMonthNeeded, month_name
from allocation.values.periods import DAY, Period
from allocation.values.stages import BY_REPORTS

V = TypeVar("V")

# Columns of the line's tokens, and what each day says.
AskedByDay = dict[Asking, tuple[tuple[int, ...], dict[date, MonthSums]]]

MOST_DAYS = 7  # from which reading the whole month is not slower by much

# What late changes may touch; all other inputs must be those of the former run.
MAY_DIFFER = frozenset({"scopes", "usage_sha256", "drivers_sha256", "drivers_look"})

TOUCHED_SQL = """
-- First and last days of the charges of some snapshots.
SELECT DISTINCT first_day, last_day FROM scope_charges WHERE scope_id = ANY(%(scopes)s)
"""


@dataclass(frozen=True)
class LateChanges:
    """What changed since the current runs of a month."""

    former: Mapping[str, AllocationRun]  # by currency
    days: frozenset[date]
    usage_days: frozenset[date]  # those of which the usage changed
    scopes: tuple[int, ...]  # snapshots that came
    adds_up: bool  # what they have of a day is added to what the former run knows of it
    usage: LateUsage
    asked: Mapping[str, AskedByDay]  # by currency: whose usual coverage the former run asked for

    def reason(self, month: date) -> str:
        """What is split again and why, for people."""
        former = next(iter(self.former.values()))
        causes = bill_causes(month=month, before=former.inputs["scopes"])
        if self.usage_days:
            causes.append("calls came")
        days = ", ".join(f"{day:%d %b}" for day in sorted(self.days))
        return f"{'; '.join(causes)}: splitting {days} again" if days else "nothing came"

    def members(self, namer: Namer, *, scopes: Sequence[int]) -> Members:
        """Buckets of the charges; raises WholeMonthNeeded where they are matched with usage in
        another way.
        """
        extent = Extent(self.scopes) if self.adds_up else Extent(tuple(scopes), self.days)
        found = late_members(namer, extent=extent, scopes=self.scopes, former=self.former)
        if any(run.basis["lines"] != found.lines for run in self.former.values()):
            raise WholeMonthNeeded("other lines to match calls with")
        return found

    def with_all_reports(self) -> LateChanges:
        """The same, with the providers' reports to be read whole."""
        return replace(self, usage=replace(self.usage, reports=None))

    def check(self, drivers: Drivers, members: Members) -> None:
        """Raises WholeMonthNeeded where another day's split goes by what changed."""
        self._check_answered(drivers.index, members.buckets)
        changed = self._changed_names(drivers.facts, members.touched)
        for former in self.former.values():
            seen = (former.inputs["drivers_sha256"], former.inputs["drivers_look"])
            if seen != (drivers.other_sha256, drivers.look.to_json()):
                raise WholeMonthNeeded("drivers other than traces changed")
            for day, reads in former.basis["month_reads"].items():
                if date.fromisoformat(day) not in self.days and not changed.isdisjoint(reads):
                    raise WholeMonthNeeded(f"{day} goes by {sorted(changed.intersection(reads))}")

    def _check_answered(self, now: UsageIndex, buckets: Collection[Bucket]) -> None:
        """The first or last calls under a key decide which calls, or whose report, answer its lines
        on every day.
        """
        keys = {key for facts in self.usage.known.days.values() for key in facts.keys}
        if keys == now.days.keys():
            return
        before = UsageIndex(0, (), {key: {date.min: []} for key in keys})
        for bucket in buckets:
            if bucket.key and _answers(bucket.key, before) != _answers(bucket.key, now):
                raise WholeMonthNeeded(f"first or last calls of {bucket.key}")

    def _changed_names(self, now: UsageFacts, touched: Iterable[Bucket]) -> set[str]:
        keys = {
            key
            for facts in (self.usage.known, now)
            for day in self.usage_days
            if day in facts.days
            for key in facts.days[day].keys
        }
        names = {ALL_USAGE} if self.usage_days else set()
        for key in keys | {bucket.key for bucket in touched if bucket.key}:
            names |= {month_name(key.provider, key.model), month_name(key.provider, None)}
        return names

    def with_kept(self, groups: list[Group], former: int) -> list[Group]:
        """The groups that were read with the former run's: those of the late days, unless these
        were read anew, and of the later parts those of all days.
        """
        kept = kept_groups(run_id=former, days=self.days)
        if not self.adds_up:
            kept = [group for group in kept if group.day not in self.days]
        return merged([*kept, *groups])

    def staying_parts(self, members: Members, drivers: Drivers) -> frozenset[int]:
        """Later parts that say on all days what they said: what goes by the providers' reports of
        the month, which are the same, where it is billed as it was.
        """
        billed = {billed_key(bucket) for bucket in members.touched if bucket.key}
        stays = all(
            billed_key(bucket) not in billed
            and drivers.usage_of(bucket.key, bucket.method) is drivers.reported
            for bucket in members.buckets
            if bucket.part == BY_REPORTS and bucket.key
        )
        return frozenset({BY_REPORTS} if stays else ())

    def scope(
        self, currency: str, numbers: Mapping[Bucket, int], staying: frozenset[int]
    ) -> LateDays:
        """What the engine has to know of what stays. `numbers` are the buckets' ids."""
        run = self.former[currency].pk
        tokens = former_tokens(run_id=run, but=self.days)
        billed: dict[BilledKey, Fraction | None] = {}
        for bucket, number in numbers.items():
            if bucket.key and number in tokens:
                own, known = tokens[number], billed.get(billed_key(bucket), ZERO)
                billed[billed_key(bucket)] = (
                    None if own is None or known is None else known + Fraction(own)
                )
        asked = {
            name: Asked(columns, _month_sums(days.values()), _month_sums(others.values()), others)
            for name, (columns, days) in self.asked[currency].items()
            for others in [self._of_others(days)]
        }
        return LateDays(run, self.days, staying, billed, asked)

    def basis(
        self, currency: str, drivers: Drivers, engine: Engine
    ) -> tuple[dict[str, list[str]], AskedByDay]:
        """Month reads and asked coverage, of the other days as the former run knew them."""
        former = self.former[currency].basis["month_reads"]
        reads = self._of_others({date.fromisoformat(day): names for day, names in former.items()})
        asked = {
            name: (
                columns,
                self._of_others(days) | _day_sums(name, columns, self.days, drivers, engine),
            )
            for name, (columns, days) in self.asked[currency].items()
        }
        return {str(day): names for day, names in reads.items()}, asked

    def _of_others(self, by_day: Mapping[date, V]) -> dict[date, V]:
        return {day: value for day, value in by_day.items() if day not in self.days}


def late_changes(
    *,
    month: date,
    scopes: Sequence[int],
    inputs: Mapping[str, Mapping[str, Any]],
) -> LateChanges | None:
    """What changed since the month's current runs, if that is no more than bills that came and
    usage of a few days.

    `inputs` are those of a new run by currency, as far as they are known before usage is read.
    """
    former = {
        run.currency: run
        for run in AllocationRun.objects.filter(billing_month=month, is_current=True)
    }
    if former.keys() != inputs.keys() or not all(
        run.basis and _fixed(run.inputs) == _fixed(inputs[currency])
        for currency, run in former.items()
    ):
        return None
    first = next(iter(former.values()))
    if any(
        run.basis["usage"] != first.basis["usage"] or run.inputs["scopes"] != first.inputs["scopes"]
        for run in former.values()
    ):
        return None
    known = UsageFacts.of_json(first.basis["usage"])
    start, end = charge_days(month, scopes)
    before = set(first.inputs["scopes"])
    if known.is_sampled or (known.start, known.end) != (start, end) or not before <= set(scopes):
        return None
    usage_days = frozenset(known.changed_days(usage_versions(start, end)))
    new = tuple(sorted(set(scopes) - before))
    days = _touched(new) | usage_days
    if len(days) > MOST_DAYS:
        return None
    return LateChanges(
        former=former,
        days=frozenset(days),
        usage_days=usage_days,
        scopes=new,
        adds_up=not has_long_charges(month, new),
        usage=LateUsage(frozenset(days), known, Reports(*first.basis["reports"])),
        asked={currency: _asked_of(run.basis) for currency, run in former.items()},
    )


def _answers(key: Key, index: UsageIndex) -> list[bool]:
    """Which of the keys that a line looks for, narrow to wide, have calls in the month."""
    any_tier = key._replace(is_reserved=False)
    asked = [index.of_model(key), index.of_model(any_tier._replace(region=None))]
    if key.is_reserved:
        asked += [index.of_capacity(key), index.of_capacity(any_tier)]
    return [bool(days) for days in asked]


def _fixed(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if name not in MAY_DIFFER}


def _touched(scopes: Sequence[int]) -> set[date]:
    with connection.cursor() as cursor:
        cursor.execute(TOUCHED_SQL, {"scopes": list(scopes)})
        return {
            day for first, last in cursor.fetchall() for day in Period(first, last + DAY).days()
        }


def basis_of(
    drivers: Drivers, lines: str, engine: Engine, late: LateChanges | None, currency: str
) -> dict[str, Any]:
    """What the next run has to know of this one."""
    reads = {str(day): sorted(names) for day, names in engine.month_reads.items() if names}
    if late:
        others, asked = late.basis(currency, drivers, engine)
        reads = {
            day: names for day, names in reads.items() if date.fromisoformat(day) in late.days
        } | others
    else:
        asked = {
            name: (
                columns,
                _day_sums(name, columns, _days_of(name, drivers, engine), drivers, engine),
            )
            for name, columns in engine.asked.items()
        }
    return {
        "usage": drivers.facts.as_json(),
        "reports": list(drivers.reports),
        "lines": lines,
        "month_reads": dict(sorted(reads.items())),
        "asked": [
            [*asking, columns, {str(day): list(map(_text, sums)) for day, sums in days.items()}]
            for asking, (columns, days) in asked.items()
        ],
    }


def _days_of(asking: Asking, drivers: Drivers, engine: Engine) -> set[date]:
    used = asking.usage(drivers).of_model(asking.key)
    return {*used, *engine.billed[asking.key, asking.token_class].by_day}


def _day_sums(
    asking: Asking, columns: tuple[int, ...], days: Iterable[date], drivers: Drivers, engine: Engine
) -> dict[date, MonthSums]:
    index, billed = asking.usage(drivers), engine.billed.get((asking.key, asking.token_class))
    return {
        day: MonthSums(
            index.traced(asking.key, day, columns),
            index.calls(asking.key, day, columns),
            billed.by_day.get(day, ZERO) if billed else ZERO,
        )
        for day in sorted(days)
    }


def _asked_of(basis: Mapping[str, Any]) -> AskedByDay:
    return {
        Asking(Key(*key), token_class, is_reported): (
            tuple(columns),
            {
                date.fromisoformat(day): MonthSums(*map(_number, cells))
                for day, cells in days.items()
            },
        )
        for key, token_class, is_reported, columns, days in basis["asked"]
    }


def _month_sums(days: Iterable[MonthSums]) -> MonthSums:
    listed = list(days)
    billed = [sums.billed for sums in listed]
    return MonthSums(
        sum((sums.traced for sums in listed), ZERO),
        sum((sums.calls for sums in listed), ZERO),
        None if None in billed else sum((tokens for tokens in billed if tokens), ZERO),
    )


def _text(number: Fraction | None) -> str | None:
    return None if number is None else str(number)


def _number(text: str | None) -> Any:
    return None if text is None else Fraction(text)
