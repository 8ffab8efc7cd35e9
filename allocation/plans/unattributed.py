"""Calls that name no team, and whose they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from allocation.organisation.targets import Target
from allocation.plans.plan import Part
from allocation.plans.traced import TracedLine
from allocation.usage.index import Key, UsageIndex
from allocation.values.reasons import NO_TEAM


class Book(Protocol):
    """Numbers of targets."""

    targets: list[Target]
    rank: list[int]

    def number(self, target: Target) -> int: ...


@dataclass
class Adoption:
    """Calls that name no team are the project owner's, where it has one: the trace says what, the
    key says who.
    """

    index: UsageIndex
    book: Book
    adopted: dict[tuple[int, str], int] = field(
        default_factory=dict
    )  # (target without team, owner's team) -> target
    named: set[tuple[Key, str]] = field(default_factory=set)

    def name(self, line: TracedLine) -> None:
        """Make the targets that this line may need."""
        team = self._team(line)
        if team is None or (line.key, team) in self.named:
            return
        self.named.add((line.key, team))
        for usage in self.index.known_of_provider(line.key):
            target = self.book.targets[usage.target]
            if target.reason == NO_TEAM and (usage.target, team) not in self.adopted:
                number = self.book.number(target._replace(team=team, reason=None))
                self.adopted[usage.target, team] = number

    def parts(self, line: TracedLine, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        team = self._team(line)
        if team is None or not self.adopted:
            return parts
        return tuple([part._replace(entries=self._entries(part.entries, team)) for part in parts])

    def _team(self, line: TracedLine) -> str | None:
        return self.book.targets[line.owner].team if line.owner is not None else None

    def _entries(
        self, entries: tuple[tuple[int, int, int], ...], team: str
    ) -> tuple[tuple[int, int, int], ...]:
        if not any((target, team) in self.adopted for target, _, _ in entries):
            return entries
        merged: dict[int, tuple[int, int]] = {}
        for target, weight, rung in entries:
            owned = self.adopted.get((target, team))
            number = target if owned is None else owned
            before = merged.get(number, (0, 0))
            # The call is known by its trace; whose it is, only by the key.
            merged[number] = (before[0] + weight, max(before[1], rung if owned is None else 4))
        return tuple(
            (number, *merged[number]) for number in sorted(merged, key=self.book.rank.__getitem__)
        )
