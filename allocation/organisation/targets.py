"""Who a share belongs to, as a value, and how names from tags and traces become one."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from typing import NamedTuple, Protocol

from allocation.values.names import NO_TEAM, UNKNOWN_TEAM, canonical_cells, name_key, normal_name

NAMED, INFERRED = (
    4,
    5,
)  # rungs of evidence: said by a person, a tag or an uploaded list; guessed from a pattern


TARGET_FIELDS = ("team", "feature", "product", "environment", "customer", "phase")


@dataclass(frozen=True)
class Owner:
    """Targets as text, as the rule or the row names them; `rung` is the evidence (4 named or
    tagged, 5 inferred).
    """

    team: str | None = None
    feature: str | None = None
    product: str | None = None
    environment: str | None = None
    customer: str | None = None
    phase: str | None = None
    rung: int = NAMED
    partner_team: str | None = None  # the other side of a call between agents
    partner_feature: str | None = None


class Target(NamedTuple):
    """One row of allocation.models.StoredTarget. `reason` is set exactly for unallocated cost,
    which has no team.
    """

    team: str | None = None
    model: str | None = None
    feature: str | None = None
    product: str | None = None
    environment: str | None = None
    customer: str | None = None
    phase: str | None = None
    reason: str | None = None
    partner_team: str | None = None
    partner_feature: str | None = None

    @property
    def is_allocated(self) -> bool:
        return self.reason is None

    def order(self) -> tuple[tuple[bool, str], ...]:
        """Sorts as SQL does with NULLS FIRST and COLLATE "C"."""
        return tuple((value is not None, value or "") for value in self)

    def content_hash(self) -> bytes:
        return hashlib.md5(self.cells().encode(), usedforsecurity=False).digest()

    def cells(self) -> str:
        """The target's part of a canonical CSV line."""
        return _canonical_target(self)


class Numbers(Protocol):
    """What gives targets their numbers."""

    targets: list[Target]
    teamless: set[int]  # numbers of targets that name no team

    def number(self, target: Target) -> int: ...


@dataclass(frozen=True)
class FeaturePlace:
    """From `valid_from` on, until the feature's next place."""

    valid_from: date
    owner_team: str | None
    product: str | None


NamedFrom = tuple[date, str]  # from that day on the name means this slug
Aliases = Mapping[
    str, tuple[NamedFrom, ...]
]  # by allocation.values.names.name_key, in order of days


@dataclass(frozen=True)
class Organisation:
    """The tree as allocation needs it. `teams` maps normal names and slugs to slugs; empty while no
    tree exists.

    An alias stands above a team's own name from its day on, so that a merged team's name means its
    heir.
    """

    teams: Mapping[str, str]
    features: Mapping[str, tuple[FeaturePlace, ...]]  # by slug, ordered by valid_from
    feature_names: Mapping[str, str]  # normal name or slug -> slug
    team_aliases: Aliases = field(default_factory=dict)
    feature_aliases: Aliases = field(default_factory=dict)

    def team(self, text: str, day: date = date.max) -> str | None:
        """The team's slug on a day; None where unknown. Without any tree, names are taken as they
        are told.
        """
        name, key = normal_name(text), name_key(text)
        if not self.teams:
            return key or None
        return (
            _meant(self.team_aliases.get(key), day) or self.teams.get(name) or self.teams.get(key)
        )

    def feature(self, text: str, day: date = date.max) -> str:
        name = normal_name(text)
        known = _meant(self.feature_aliases.get(name_key(text)), day) or self.feature_names.get(
            name
        )
        return known or " ".join(text.split())

    def place(self, feature: str | None, day: date) -> FeaturePlace | None:
        places = self.features.get(feature or "", ())
        index = bisect_right(places, day, key=lambda place: place.valid_from)
        return places[index - 1] if index else None

    @cached_property
    def turning_days(self) -> tuple[date, ...]:
        """Days on which some feature moves or some name gets another meaning; between two of them
        answers stay.
        """
        moves = {place.valid_from for places in self.features.values() for place in places}
        meanings = [*self.team_aliases.values(), *self.feature_aliases.values()]
        return tuple(sorted(moves | {day for named in meanings for day, _ in named}))

    def epoch(self, day: date) -> int:
        return bisect_right(self.turning_days, day)

    def digest(self) -> str:
        parts = (
            self.teams,
            self.features,
            self.feature_names,
            self.team_aliases,
            self.feature_aliases,
        )
        text = repr(tuple(sorted(part.items()) for part in parts))
        return hashlib.sha256(text.encode()).hexdigest()


def _meant(named: Sequence[NamedFrom] | None, day: date) -> str | None:
    index = bisect_right(named, day, key=lambda one: one[0]) if named else 0
    return named[index - 1][1] if named and index else None


def resolve(organisation: Organisation, told: Owner, *, model: str | None, day: date) -> Target:
    """The target that names as told on a row or a span mean on that day.

    A missing product, and a missing team, come from the feature's place. No team at all, or one
    that the tree does not know, makes unallocated cost that keeps everything else it was told.
    """
    feature = organisation.feature(told.feature, day) if told.feature else None
    place = organisation.place(feature, day)
    team, reason = None, None
    if told.team:
        team = organisation.team(told.team, day)
        reason = None if team else f"{UNKNOWN_TEAM}: {' '.join(told.team.split())}"
    elif place and place.owner_team:
        team = place.owner_team
    else:
        reason = NO_TEAM
    partner_team, partner_feature = _partner(organisation, told, day)
    if (partner_team, partner_feature) == (team, feature):
        partner_team = partner_feature = None
    return Target(
        team=team,
        model=model,
        feature=feature,
        product=told.product or (place.product if place else None),
        environment=told.environment,
        customer=told.customer,
        phase=told.phase,
        reason=reason,
        partner_team=partner_team,
        partner_feature=partner_feature,
    )


def _partner(organisation: Organisation, told: Owner, day: date) -> tuple[str | None, str | None]:
    """Team and feature on the other side of a call between agents; a team that the tree doesn't
    know keeps its text.
    """
    if told.partner_team is None and told.partner_feature is None:
        return None, None
    feature = organisation.feature(told.partner_feature) if told.partner_feature else None
    if told.partner_team:
        return organisation.team(told.partner_team) or " ".join(told.partner_team.split()), feature
    place = organisation.place(feature, day)
    return place.owner_team if place else None, feature


@lru_cache(maxsize=200_000)
def _canonical_target(target: Target) -> str:
    return canonical_cells(target)


def at_level(target: Target, level: str) -> Target | None:
    """The target as a split names it: team, or team with feature and product; None for what no team
    owns.
    """
    if target.team is None:
        return None
    if level == "team":
        return Target(team=target.team)
    return Target(team=target.team, feature=target.feature, product=target.product)
