"""The usage side of a run's rollup, so that a unit cost divides by the calls the run itself knew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from allocation.catalogue.token_classes import TOKEN_COLUMNS
from allocation.ledger.slices import Place, SliceStore
from allocation.organisation.targets import Organisation, Target, resolve
from allocation.storage.copy_text import copy_cell
from allocation.usage.keys import DeclaredUsage, declared_owner
from allocation.values.periods import Period
from allocation.values.vocabulary import USAGE

INPUT = tuple(n for n, name in enumerate(TOKEN_COLUMNS) if name.startswith(("input", "cache")))
OUTPUT = tuple(n for n in range(len(TOKEN_COLUMNS)) if n not in INPUT)


Number = int | Decimal


class DailyKey(NamedTuple):
    day: date
    team: str | None
    feature: str | None
    model: str | None
    environment: str | None
    phase: str | None = None


def daily_usage(
    rows: Iterable[DeclaredUsage], *, period: Period, organisation: Organisation
) -> dict[DailyKey, list[Number]]:
    """Calls, input and output tokens per day and target, teams named as the ledger names them."""
    found: dict[DailyKey, list[Number]] = {}
    targets: dict[tuple[object, ...], Target] = {}
    for row in rows:
        if not period.start <= row.day < period.end:
            continue
        name = (row.attributes, row.key.model, organisation.epoch(row.day))
        target = targets.get(name)
        if target is None:
            target = targets[name] = resolve(
                organisation, declared_owner(row), model=row.key.model, day=row.day
            )
        daily = DailyKey(
            row.day, target.team, target.feature, target.model, target.environment, target.phase
        )
        sums = found.get(daily)
        if sums is None:
            sums = found[daily] = [0, 0, 0]
        numbers = _numbers(row.tokens)
        sums[0] += _numbers([row.calls])[0]
        sums[1] += sum([numbers[n] for n in INPUT])
        sums[2] += sum([numbers[n] for n in OUTPUT])
    return found


def _numbers(texts: Sequence[str]) -> list[Number]:
    """Whole numbers as int, which is quicker by much."""
    try:
        return [int(text) for text in texts]
    except ValueError:
        return [Decimal(text) for text in texts]


def write_usage_daily(
    slices: SliceStore, daily: Mapping[DailyKey, list[Number]], *, is_shared: bool
) -> None:
    """Slices of usage by day; `is_shared` where other days and later runs that say the same may
    have them too.
    """
    days: dict[date, list[str]] = {}
    starts: dict[tuple[str | None, ...], str] = {}
    for key, sums in daily.items():
        names = key[1:]
        start = starts.get(names) or starts.setdefault(
            names, "".join(copy_cell(name) + "\t" for name in names)
        )
        numbers = [str(n) if isinstance(n, int) else format(n, "f") for n in sums]
        days.setdefault(key.day, []).append(start + "\t".join(numbers) + "\n")
    places = [Place(USAGE, day) for day in sorted(days)]
    reserved = slices.reserve(USAGE, places)
    with connection.cursor() as cursor, cursor.copy(USAGE_COPY) as copy:
        for place in places:
            lines = sorted(days[place.day])
            content = hashlib.sha256("".join(lines).encode()).hexdigest() if is_shared else None
            number = reserved.settle(place, hashes=(None, content))
            if number is not None:
                start = f"{number}\t"
                copy.write(start + start.join(lines))
    reserved.close()


USAGE_COPY = """COPY slice_usage (slice_id, team, feature, model, environment, phase, calls, tokens_input,
    tokens_output) FROM STDIN"""
