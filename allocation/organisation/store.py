"""The organisation in the database: read as one tree, and a previewed file carried out exactly as
it was shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from django.db import connection, transaction

from allocation.models import (
    BusinessUnit,
    BusinessUnitPlacement,
    CostCenter,
    CostCenterPlacement,
    Feature,
    FeatureAlias,
    FeaturePlacement,
    LegalEntity,
    Product,
    Team,
    TeamAlias,
    TeamPlacement,
)
from allocation.organisation.tree import NEVER_BEFORE, Key, Place, Tree
from allocation.organisation.tree_changes import TreePlan, plan_changes
from allocation.organisation.tree_file import TreeProblem

TABLES = (
    LegalEntity,
    BusinessUnit,
    BusinessUnitPlacement,
    CostCenter,
    CostCenterPlacement,
    Team,
    TeamPlacement,
    Product,
    Feature,
    FeaturePlacement,
    TeamAlias,
    FeatureAlias,
)


class OrganisationError(Exception):
    """A file can't be carried out; nothing has changed. `problems` name lines, where the file
    itself is wrong.
    """

    def __init__(self, text: str, problems: tuple[TreeProblem, ...] = ()) -> None:
        super().__init__("; ".join([text, *map(str, problems)]))
        self.text = text
        self.problems = problems


def read_tree() -> Tree:
    """The whole organisation as it stands; twelve statements."""
    names: dict[Key, str] = {}
    places: dict[Key, dict[date, Place]] = {}
    for kind, own, name, day, place in _rows():
        names[kind, own] = name
        if place is not None:
            places.setdefault((kind, own), {})[day or NEVER_BEFORE] = place
    return Tree(names, places)


Standing = tuple[str, str, str, date | None, Place | None]  # kind, id, name, since when, where


def _rows() -> Iterator[Standing]:
    """Everything with its name, and where it stands from which day on (None: always)."""
    for slug, name in LegalEntity.objects.values_list("slug", "name"):
        yield "legal_entity", slug, name, None, None
    yield from _business_units()
    yield from _cost_centers()
    for slug, name in Team.objects.values_list("slug", "name"):
        yield "team", slug, name, None, None
    for slug, name, since, unit, center in TeamPlacement.objects.values_list(
        "team__slug", "team__name", "valid_from", "business_unit__slug", "cost_center__code"
    ):
        yield "team", slug, name, since, Place(parent=unit, cost_center=center)
    for slug, name in Product.objects.values_list("slug", "name"):
        yield "product", slug, name, None, None
    yield from _features()
    for key, name, day, team in TeamAlias.objects.values_list(
        "name_key", "name", "valid_from", "team__slug"
    ):
        yield "team_alias", key, name, day, Place(parent=team)
    for key, name, day, feature in FeatureAlias.objects.values_list(
        "name_key", "name", "valid_from", "feature__slug"
    ):
        yield "feature_alias", key, name, day, Place(parent=feature)


def _business_units() -> Iterator[Standing]:
    for slug, name, entity in BusinessUnit.objects.values_list(
        "slug", "name", "legal_entity__slug"
    ):
        yield "business_unit", slug, name, None, Place(parent=entity)
    for slug, name, since, entity in BusinessUnitPlacement.objects.values_list(
        "business_unit__slug", "business_unit__name", "valid_from", "legal_entity__slug"
    ):
        yield "business_unit", slug, name, since, Place(parent=entity)


def _cost_centers() -> Iterator[Standing]:
    for code, name, entity, mode in CostCenter.objects.values_list(
        "code", "name", "legal_entity__slug", "mode"
    ):
        yield "cost_center", code, name, None, Place(parent=entity, mode=mode)
    for code, name, since, entity, mode in CostCenterPlacement.objects.values_list(
        "cost_center__code", "cost_center__name", "valid_from", "legal_entity__slug", "mode"
    ):
        yield "cost_center", code, name, since, Place(parent=entity, mode=mode)


def _features() -> Iterator[Standing]:
    for slug, name in Feature.objects.values_list("slug", "name"):
        yield "feature", slug, name, None, None
    for slug, name, since, team, product, criticality, sla in FeaturePlacement.objects.values_list(
        "feature__slug",
        "feature__name",
        "valid_from",
        "owner_team__slug",
        "product__slug",
        "criticality",
        "has_sla",
    ):
        has_sla = "yes" if sla else "no"
        place = Place(parent=team, product=product, criticality=criticality, sla=has_sla)
        yield "feature", slug, name, since, place


def preview_organisation(*, text: str, today: date) -> TreePlan:
    """What the file would change now."""
    return plan_changes(text=text, tree=read_tree(), today=today)


def apply_organisation(*, text: str, previewed: str, rewrite: bool, today: date) -> TreePlan:
    """Carry out what was previewed as `previewed` (TreePlan.token), whole or not at all, in one
    transaction.

    Raises OrganisationError where the file or the organisation is another one than previewed, has
    problems, or where it changes recorded places and `rewrite` does not say that this is meant.
    """
    with transaction.atomic():
        _lock()
        plan = preview_organisation(text=text, today=today)
        _check(plan, previewed, rewrite)
        _write(read_tree(), plan.after)
        if read_tree().sha256() != plan.after.sha256():
            raise OrganisationError(
                "the organisation is not what was previewed; nothing has changed, tell your admin"
            )
    return plan


def _lock() -> None:
    """Nobody else changes the organisation until the transaction ends; readers go on."""
    tables = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in TABLES)
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE")


def _check(plan: TreePlan, previewed: str, rewrite: bool) -> None:
    content, _, state = previewed.partition("-")
    if not content or not plan.content_sha256.startswith(content) or len(content) < 20:
        raise OrganisationError("this file is not the one that was previewed; preview it first")
    if len(state) < 20 or not plan.state_sha256.startswith(state):
        raise OrganisationError(
            "the organisation has changed since the preview; look at the new difference first"
        )
    if plan.problems:
        raise OrganisationError(
            "the file has problems; put them right and preview it again", plan.problems
        )
    if plan.rewrites and not rewrite:
        first = plan.rewrites[0]
        raise OrganisationError(
            f"{len(plan.rewrites)} rows change what is recorded of the past (line {first.line}: "
            f"{first.words}); say that this is meant, or give them a later valid_from"
        )


# ---------------------------------------------------------------- writing


def _write(before: Tree, after: Tree) -> None:
    """Add and update what differs, parents first. Nothing is deleted."""
    for kind, write_name in NAME_WRITERS.items():
        for own in after.ids(kind):
            places = after.places.get((kind, own), {})
            is_known = (kind, own) in before.names
            if not is_known or after.names[kind, own] != before.names[kind, own]:
                write_name(own, after.names[kind, own], places.get(NEVER_BEFORE, Place()))
            known = before.places.get((kind, own), {})
            for day in sorted(places):
                if known.get(day) != places[day] and kind in PLACE_WRITERS:
                    PLACE_WRITERS[kind](own, after.names[kind, own], day, places[day])


def _entity(slug: str | None) -> LegalEntity:
    return LegalEntity.objects.get(slug=slug)


def _name_unit(own: str, name: str, place: Place) -> None:
    entity = _entity(place.parent)
    BusinessUnit.objects.update_or_create(slug=own, defaults={"name": name, "legal_entity": entity})


def _name_center(own: str, name: str, place: Place) -> None:
    values = {"name": name, "legal_entity": _entity(place.parent), "mode": place.mode}
    CostCenter.objects.update_or_create(code=own, defaults=values)


def _no_name(_own: str, _name: str, _place: Place) -> None:
    """An alias is nothing but its places, which carry its name."""


def _place_unit(own: str, name: str, day: date, place: Place) -> None:
    if day == NEVER_BEFORE:
        _name_unit(own, name, place)
    else:
        BusinessUnitPlacement.objects.update_or_create(
            business_unit=BusinessUnit.objects.get(slug=own),
            valid_from=day,
            defaults={"legal_entity": _entity(place.parent)},
        )


def _place_center(own: str, name: str, day: date, place: Place) -> None:
    if day == NEVER_BEFORE:
        _name_center(own, name, place)
    else:
        values = {"legal_entity": _entity(place.parent), "mode": place.mode}
        center = CostCenter.objects.get(code=own)
        CostCenterPlacement.objects.update_or_create(
            cost_center=center, valid_from=day, defaults=values
        )


def _place_team(own: str, _name: str, day: date, place: Place) -> None:
    TeamPlacement.objects.update_or_create(
        team=Team.objects.get(slug=own),
        valid_from=day,
        defaults={
            "business_unit": BusinessUnit.objects.get(slug=place.parent),
            "cost_center": CostCenter.objects.get(code=place.cost_center)
            if place.cost_center
            else None,
        },
    )


def _place_feature(own: str, _name: str, day: date, place: Place) -> None:
    FeaturePlacement.objects.update_or_create(
        feature=Feature.objects.get(slug=own),
        valid_from=day,
        defaults={
            "owner_team": Team.objects.get(slug=place.parent),
            "product": Product.objects.get(slug=place.product) if place.product else None,
            "criticality": place.criticality,
            "has_sla": place.sla == "yes",
        },
    )


def _place_team_alias(own: str, name: str, day: date, place: Place) -> None:
    since = None if day == NEVER_BEFORE else day
    defaults = {"name": name, "team": Team.objects.get(slug=place.parent)}
    TeamAlias.objects.update_or_create(name_key=own, valid_from=since, defaults=defaults)


def _place_feature_alias(own: str, name: str, day: date, place: Place) -> None:
    since = None if day == NEVER_BEFORE else day
    defaults = {"name": name, "feature": Feature.objects.get(slug=place.parent)}
    FeatureAlias.objects.update_or_create(name_key=own, valid_from=since, defaults=defaults)


NAME_WRITERS: dict[str, Callable[[str, str, Place], object]] = {
    "legal_entity": lambda own, name, _: LegalEntity.objects.update_or_create(
        slug=own, defaults={"name": name}
    ),
    "business_unit": _name_unit,
    "cost_center": _name_center,
    "team": lambda own, name, _: Team.objects.update_or_create(slug=own, defaults={"name": name}),
    "product": lambda own, name, _: Product.objects.update_or_create(
        slug=own, defaults={"name": name}
    ),
    "feature": lambda own, name, _: Feature.objects.update_or_create(
        slug=own, defaults={"name": name}
    ),
    "team_alias": _no_name,
    "feature_alias": _no_name,
}
PLACE_WRITERS: dict[str, Callable[[str, str, date, Place], None]] = {
    "business_unit": _place_unit,
    "cost_center": _place_center,
    "team": _place_team,
    "feature": _place_feature,
    "team_alias": _place_team_alias,
    "feature_alias": _place_feature_alias,
}
