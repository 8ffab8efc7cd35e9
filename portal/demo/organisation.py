"""The demo company's tree in the ledger: entities, units, cost centres, teams, products, features
and who owns them.
"""

from __future__ import annotations

from datetime import date

from django.db import transaction

from allocation.models import (
    BusinessUnit,
    CostCenter,
    Feature,
    FeaturePlacement,
    LegalEntity,
    Product,
    Team,
    TeamPlacement,
)
from portal.demo import company
from portal.demo.features import FEATURES


@transaction.atomic
def ensure_organisation(*, valid_from: date) -> None:
    """Make what is missing, leave what is there: people may have changed the demo's tree."""
    entities = {
        slug: LegalEntity.objects.get_or_create(slug=slug, defaults={"name": name})[0]
        for slug, name in company.LEGAL_ENTITIES.items()
    }
    units = {
        slug: BusinessUnit.objects.get_or_create(
            slug=slug, defaults={"name": name, "legal_entity": entities[entity]}
        )[0]
        for slug, (name, entity) in company.BUSINESS_UNITS.items()
    }
    centers = {
        code: CostCenter.objects.get_or_create(
            code=code, defaults={"name": name, "legal_entity": entities[entity], "mode": mode}
        )[0]
        for code, (name, entity, mode) in company.COST_CENTERS.items()
    }
    teams = {}
    for team in company.TEAMS:
        row, created = Team.objects.get_or_create(slug=team.slug, defaults={"name": team.name})
        teams[team.slug] = row
        if created:
            TeamPlacement.objects.create(
                team=row,
                business_unit=units[team.business_unit],
                cost_center=centers[team.cost_center],
                valid_from=valid_from,
            )
    products = {
        slug: Product.objects.get_or_create(slug=slug, defaults={"name": name})[0]
        for slug, name in company.PRODUCTS.items()
    }
    for feature in FEATURES:
        feature_row, created = Feature.objects.get_or_create(
            slug=feature.slug, defaults={"name": feature.name}
        )
        if created:
            FeaturePlacement.objects.create(
                feature=feature_row,
                owner_team=teams[feature.team],
                product=products[feature.product],
                criticality=feature.criticality,
                has_sla=feature.has_sla,
                valid_from=valid_from,
            )
