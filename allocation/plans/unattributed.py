"""Calls that name no team are the project owner's, where it has one: the trace says what, the key
says who. Pure.
"""

from __future__ import annotations

from allocation.organisation.owners import NAMED
from allocation.organisation.target_book import Numbers
from allocation.plans.plan import Entry, Part


def given_to_owner(parts: tuple[Part, ...], owner: int | None, book: Numbers) -> tuple[Part, ...]:
    """The parts with the owner's team in place of none; the owner is a target's number."""
    team = book.targets[owner].team if owner is not None else None
    if team is None or not book.teamless:
        return parts
    if all(book.teamless.isdisjoint([target for target, _, _ in p.entries]) for p in parts):
        return parts
    return tuple([part._replace(entries=_owned(part.entries, team, book)) for part in parts])


def _owned(entries: tuple[Entry, ...], team: str, book: Numbers) -> tuple[Entry, ...]:
    merged: dict[int, tuple[int, int]] = {}
    for target, weight, rung in entries:
        number = target
        if target in book.teamless:
            number = book.number(book.targets[target]._replace(team=team, reason=None))
            rung = NAMED  # the call is known by its trace; whose it is, only by the key
        before, weakest = merged.get(number, (0, 0))
        merged[number] = (before + weight, max(weakest, rung))
    order = sorted(merged, key=lambda number: book.targets[number].order())
    return tuple((number, *merged[number]) for number in order)
