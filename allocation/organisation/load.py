"""The tree as allocation needs it, read from the database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from allocation.models import Feature, FeatureAlias, FeaturePlacement, Team, TeamAlias
from allocation.organisation.targets import Aliases, FeaturePlace, NamedFrom, Organisation
from allocation.values.names import normal_name


def names_of(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Slug of every slug and normal name. A name that two of them have is nobody's: money is not
    dealt by alphabet.
    """
    found: dict[str, str] = {}
    owners: dict[str, set[str]] = {}
    listed = list(rows)
    for slug, name in listed:
        owners.setdefault(normal_name(name), set()).add(slug)
    for name, slugs in owners.items():
        if len(slugs) == 1:
            found[name] = min(slugs)
    return found | {slug: slug for slug, _ in listed}


def aliases_of(rows: Iterable[tuple[str, date | None, str]]) -> Aliases:
    found: dict[str, list[NamedFrom]] = {}
    for key, valid_from, slug in rows:
        found.setdefault(key, []).append((valid_from or date.min, slug))
    return {key: tuple(sorted(named)) for key, named in found.items()}


def load_organisation() -> Organisation:
    """The tree as it stands; placements and aliases carry their own dates."""
    places: dict[str, list[FeaturePlace]] = {}
    rows = FeaturePlacement.objects.order_by("feature__slug", "valid_from").values_list(
        "feature__slug", "valid_from", "owner_team__slug", "product__slug"
    )
    for slug, valid_from, team, product in rows:
        places.setdefault(slug, []).append(FeaturePlace(valid_from, team, product))
    return Organisation(
        teams=names_of(Team.objects.values_list("slug", "name")),
        features={slug: tuple(timeline) for slug, timeline in places.items()},
        feature_names=names_of(Feature.objects.values_list("slug", "name")),
        team_aliases=aliases_of(
            TeamAlias.objects.values_list("name_key", "valid_from", "team__slug")
        ),
        feature_aliases=aliases_of(
            FeatureAlias.objects.values_list("name_key", "valid_from", "feature__slug")
        ),
    )
