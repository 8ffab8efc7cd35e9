"""The targets of a run: their numbers, canonical order and database ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date

from allocation.models import Feature, FeatureAlias, FeaturePlacement, StoredTarget, Team, TeamAlias
from allocation.organisation.targets import Aliases, FeaturePlace, NamedFrom, Organisation, Target
from allocation.storage.rows import ensure_rows
from allocation.values.names import NO_TEAM, normal_name


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


class TargetBook:
    """Numbers for the targets of a run, their canonical order and their ids in the database."""

    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.numbers: dict[Target, int] = {}
        self.rank: list[int] = []
        self.ids: list[int] = []
        self.cells: list[str] = []
        self.is_allocated: list[bool] = []
        self.teamless: set[int] = set()
        self._order: list[tuple[tuple[bool, str], ...]] = []

    def number(self, target: Target) -> int:
        number = self.numbers.get(target)
        if number is None:
            number = self.numbers[target] = len(self.targets)
            self.targets.append(target)
            if target.reason == NO_TEAM:
                self.teamless.add(number)
        return number

    def settle(self) -> None:
        """Give every target so far a rank and a database id; call again after adding more."""
        new = self.targets[len(self.ids) :]
        if not new:
            return
        self._order += [target.order() for target in new]
        order = sorted(range(len(self.targets)), key=self._order.__getitem__)
        self.rank[:] = [0] * len(order)
        for rank, number in enumerate(order):
            self.rank[number] = rank
        self.cells += [target.cells() for target in new]
        self.is_allocated += [target.is_allocated for target in new]
        self.ids += ensure_targets(new)

    def by_id(self, wanted: Collection[int]) -> dict[int, Target]:
        """Targets by database id: the run's own, and those of slices that it took over."""
        found = dict(zip(self.ids, self.targets, strict=False))
        others = StoredTarget.objects.filter(pk__in=[pk for pk in wanted if pk not in found])
        return found | {
            pk: Target(*names) for pk, *names in others.values_list("pk", *Target._fields)
        }


def ensure_targets(targets: Sequence[Target]) -> list[int]:
    """Ids of these targets, made where they are new."""
    keys = [(target.content_hash(),) for target in targets]
    ids = ensure_rows(StoredTarget, dict(zip(keys, targets, strict=True)), Target._asdict)
    return [ids[key] for key in keys]
