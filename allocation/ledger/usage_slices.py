"""The usage side of a run's rollup: a unit cost divides by the calls the run itself knew."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import lru_cache

from django.db import connection

from allocation.catalogue.token_classes import SIDES
from allocation.ledger.slices import Place, SliceStore
from allocation.organisation.targets import Target
from allocation.storage.copy_text import copy_cell
from allocation.usage.facts import Number
from allocation.usage.index import UsageIndex
from allocation.values.money import exact_text
from allocation.values.vocabulary import USAGE

Names = tuple[str | None, ...]  # team, feature, model, environment, phase
INPUT, OUTPUT = SIDES


def usage_lines(index: UsageIndex, targets: Sequence[Target], day: date) -> list[str]:
    """Rows of slice_usage without the slice's id, in order: calls, input and output tokens of the
    day by target, named as the ledger names it.
    """
    by_number: dict[int, list[Number]] = {}
    for rows in index.days.get(day, {}).values():
        for row in rows:
            sums = by_number.get(row.target)
            if sums is None:
                sums = by_number[row.target] = [0, 0, 0]
            sums[0] += row.calls
            sums[1] += sum([row.tokens[n] for n in INPUT])
            sums[2] += sum([row.tokens[n] for n in OUTPUT])
    by_names: dict[Names, list[Number]] = {}
    for number, sums in by_number.items():
        target = targets[number]
        names = (target.team, target.feature, target.model, target.environment, target.phase)
        known = by_names.setdefault(names, [0, 0, 0])
        known[:] = map(sum, zip(known, sums, strict=True))
    scale = 10**index.facts.places
    return sorted(
        f"{_cells(names)}\t{_text(calls)}\t{_text(went_in, scale)}\t{_text(out, scale)}\n"
        for names, (calls, went_in, out) in by_names.items()
    )


@lru_cache(maxsize=100_000)  # days have the same names over and over
def _cells(names: Names) -> str:
    return "\t".join(map(copy_cell, names))


def _text(number: Number, scale: int = 1) -> str:
    return (
        str(number)
        if scale == 1 and isinstance(number, int)
        else exact_text(Fraction(number, scale))
    )


def write_usage_daily(
    slices: SliceStore, days: Mapping[date, list[str]], *, is_shared: bool
) -> None:
    """Slices of usage from the lines of each day; `is_shared` where other days and later runs that
    say the same may have them too.
    """
    places = [Place(USAGE, day) for day in sorted(days)]
    reserved = slices.reserve(USAGE, places)
    with connection.cursor() as cursor, cursor.copy(USAGE_COPY) as copy:
        for place in places:
            lines = days[place.day]
            content = hashlib.sha256("".join(lines).encode()).hexdigest() if is_shared else None
            number = reserved.settle(place, hashes=(None, content))
            if number is not None:
                start = f"{number}\t"
                copy.write(start + start.join(lines))
    reserved.close()


USAGE_COPY = """COPY slice_usage (slice_id, team, feature, model, environment, phase, calls,
    tokens_input, tokens_output) FROM STDIN"""
