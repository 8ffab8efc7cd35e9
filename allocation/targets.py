"""Who a share belongs to, as a value; how names from tags and traces become one; why cost stays unallocated."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import NamedTuple

from allocation.conditions import normal_name
from allocation.models import Feature, FeaturePlacement, Team
from allocation.owners import Owner

NO_RULE = "no rule"
OUTSIDE_SCOPE = "outside AI scope"
UNTRACED = "untraced"
NO_TEAM = "no team"
UNKNOWN_TEAM = "unknown team"
NOTHING_TO_FOLLOW = "nothing to follow"


class Target(NamedTuple):
    """One row of allocation.models.Target. `reason` is set exactly for unallocated cost, which has no team."""

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
        return hashlib.md5(canonical_cells(self).encode(), usedforsecurity=False).digest()


def canonical_cells(values: Iterable[str | None]) -> str:
    """Cells of a CSV line as COPY writes them with FORCE_QUOTE: NULL is empty, text always quoted."""
    return ",".join(["" if value is None else '"' + value.replace('"', '""') + '"' for value in values])


@dataclass(frozen=True)
class FeaturePlace:
    """From `valid_from` on, until the feature's next place."""

    valid_from: date
    owner_team: str | None
    product: str | None


@dataclass(frozen=True)
class Organisation:
    """The tree as allocation needs it. `teams` maps normal names and slugs to slugs; empty while no tree exists."""

    teams: Mapping[str, str]
    features: Mapping[str, tuple[FeaturePlace, ...]]  # by slug, ordered by valid_from
    feature_names: Mapping[str, str]  # normal name or slug -> slug

    def team(self, text: str) -> str | None:
        """The team's slug; None where unknown. Without any tree, names are taken as they are told."""
        name = normal_name(text)
        if not self.teams:
            return "-".join(name.split()) or None
        return self.teams.get(name) or self.teams.get("-".join(name.split()))

    def feature(self, text: str) -> str:
        return self.feature_names.get(normal_name(text), " ".join(text.split()))

    def place(self, feature: str | None, day: date) -> FeaturePlace | None:
        places = self.features.get(feature or "", ())
        index = bisect_right(places, day, key=lambda place: place.valid_from)
        return places[index - 1] if index else None

    @cached_property
    def turning_days(self) -> tuple[date, ...]:
        """Days on which some feature moves; between two of them every answer stays the same."""
        return tuple(sorted({place.valid_from for places in self.features.values() for place in places}))

    def epoch(self, day: date) -> int:
        return bisect_right(self.turning_days, day)

    def digest(self) -> str:
        text = repr((sorted(self.teams.items()), sorted(self.features.items()), sorted(self.feature_names.items())))
        return hashlib.sha256(text.encode()).hexdigest()


def resolve(organisation: Organisation, told: Owner, *, model: str | None, day: date) -> Target:
    """The target that names as told on a row or a span mean on that day.

    A missing product, and a missing team, come from the feature's place. No team at all, or one that the tree does not
    know, makes unallocated cost that keeps everything else it was told.
    """
    feature = organisation.feature(told.feature) if told.feature else None
    place = organisation.place(feature, day)
    team, reason = None, None
    if told.team:
        team = organisation.team(told.team)
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
    """Team and feature on the other side of a call between agents; a team that the tree doesn't know keeps its text."""
    if told.partner_team is None and told.partner_feature is None:
        return None, None
    feature = organisation.feature(told.partner_feature) if told.partner_feature else None
    if told.partner_team:
        return organisation.team(told.partner_team) or " ".join(told.partner_team.split()), feature
    place = organisation.place(feature, day)
    return place.owner_team if place else None, feature


@lru_cache(maxsize=200_000)
def canonical_target(target: Target) -> str:
    return canonical_cells(target)


def load_organisation() -> Organisation:
    """The tree as it stands; placements carry their own dates."""
    teams: dict[str, str] = {}
    for slug, name in Team.objects.order_by("slug").values_list("slug", "name"):
        teams.setdefault(normal_name(name), slug)
        teams[slug] = slug
    names: dict[str, str] = {}
    for slug, name in Feature.objects.order_by("slug").values_list("slug", "name"):
        names.setdefault(normal_name(name), slug)
        names[slug] = slug
    places: dict[str, list[FeaturePlace]] = {}
    rows = FeaturePlacement.objects.order_by("feature__slug", "valid_from").values_list(
        "feature__slug", "valid_from", "owner_team__slug", "product__slug"
    )
    for slug, valid_from, team, product in rows:
        places.setdefault(slug, []).append(FeaturePlace(valid_from, team, product))
    return Organisation(teams=teams, features={k: tuple(v) for k, v in places.items()}, feature_names=names)
