"""Calls that name no project, placed in the projects of a bill. Pure.

A bill tells projects apart; most telemetry does not. What the calls that name a project leave
uncovered of its bill is room for calls that name none. These are placed where they most likely
belong: first in the projects of their own team, then in projects that nobody owns, and only then in
those of other teams, which is an inference. Calls that find no room have no part in the bill.

Within a step, rooms fill in proportion to what they have uncovered and teams take in proportion to
what they have left, so the outcome depends on no order, and one call more that names its project
changes no more than it covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

ZERO = Fraction(0)


class ProjectRoom(NamedTuple):
    """What one project's bill has beyond the calls that name the project."""

    project: str | None
    owner: str | None  # the team; None: nobody, or several teams
    uncovered: Fraction


class Placed(NamedTuple):
    """Calls of a team in a project; inferred where the project is another team's."""

    team: str | None
    amount: Fraction
    is_inferred: bool


@dataclass
class Placement:
    """Where the calls of each team went, and what of them found no room."""

    in_project: dict[str | None, list[Placed]] = field(default_factory=dict)
    left: dict[str | None, Fraction] = field(default_factory=dict)

    def total(self, project: str | None) -> Fraction:
        return sum((placed.amount for placed in self.in_project.get(project, ())), ZERO)


def place(calls: Mapping[str | None, Fraction], rooms: Sequence[ProjectRoom]) -> Placement:
    """The calls of each team, None for those that name none, in the rooms of a key and day.

    Never more in a room than it has uncovered, and everything as long as there is room. A project
    stands in one room.
    """
    free = {room.project: max(room.uncovered, ZERO) for room in rooms}
    found = Placement(left={team: amount for team, amount in calls.items() if amount > 0})
    for team in list(found.left):
        if team is not None:
            own = [room.project for room in rooms if room.owner == team]
            _fill(found, free, [team], own, is_inferred=False)
    nobodys = [room.project for room in rooms if room.owner is None]
    _fill(found, free, list(found.left), nobodys, is_inferred=False)
    # A team that has calls left has filled its own projects, so those that remain are others'.
    others = [room.project for room in rooms if room.owner is not None]
    _fill(found, free, list(found.left), others, is_inferred=True)
    return found


def _fill(
    found: Placement,
    free: dict[str | None, Fraction],
    teams: Iterable[str | None],
    projects: Sequence[str | None],
    *,
    is_inferred: bool,
) -> None:
    """Moves calls of these teams into these projects, as many as both sides allow."""
    wanted = {team: found.left[team] for team in teams if team in found.left}
    demand = sum(wanted.values(), ZERO)
    room = sum((free[project] for project in projects), ZERO)
    if not demand or not room:
        return
    part = min(demand, room)
    for project in projects:
        share = free[project] / room
        free[project] -= part * share
        placed = [
            Placed(team, amount * part * share / demand, is_inferred)
            for team, amount in wanted.items()
        ]
        found.in_project.setdefault(project, []).extend(one for one in placed if one.amount)
    for team, amount in wanted.items():
        left = amount - amount * part / demand
        if left:
            found.left[team] = left
        else:
            del found.left[team]
