"""Who costs belong to: entities, units, cost centres, teams, products, features, their places and
other names.
"""

from __future__ import annotations

from django.db import models


class LegalEntity(models.Model):
    slug = models.SlugField(unique=True)
    name = models.TextField()


class BusinessUnit(models.Model):
    """`legal_entity` is the one from the beginning; BusinessUnitPlacement has those from a later
    day on.
    """

    slug = models.SlugField(unique=True)
    name = models.TextField()
    legal_entity = models.ForeignKey(LegalEntity, on_delete=models.PROTECT)


class BusinessUnitPlacement(models.Model):
    """Of which legal entity a unit is from a day on, until its next placement."""

    business_unit = models.ForeignKey(
        BusinessUnit, on_delete=models.PROTECT, related_name="placements"
    )
    legal_entity = models.ForeignKey(LegalEntity, on_delete=models.PROTECT)
    valid_from = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["business_unit", "valid_from"], name="unit_placement_once_a_day"
            )
        ]


class CostCenterMode(models.TextChoices):
    SHOWBACK = "showback"
    CHARGEBACK = "chargeback"


class CostCenter(models.Model):
    """`legal_entity` and `mode` are those from the beginning; CostCenterPlacement has those from a
    later day on.
    """

    code = models.TextField(unique=True)
    name = models.TextField()
    legal_entity = models.ForeignKey(LegalEntity, on_delete=models.PROTECT)
    mode = models.TextField(choices=CostCenterMode.choices, default=CostCenterMode.SHOWBACK)


class CostCenterPlacement(models.Model):
    """Legal entity and mode of a cost centre from a day on, until its next placement."""

    cost_center = models.ForeignKey(CostCenter, on_delete=models.PROTECT, related_name="placements")
    legal_entity = models.ForeignKey(LegalEntity, on_delete=models.PROTECT)
    mode = models.TextField(choices=CostCenterMode.choices)
    valid_from = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cost_center", "valid_from"], name="center_placement_once_a_day"
            )
        ]


class Team(models.Model):
    slug = models.SlugField(unique=True)
    name = models.TextField()


class TeamPlacement(models.Model):
    """Where a team stands from a day on; valid until its next placement (see view
    `team_placement_period`).
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="placements")
    business_unit = models.ForeignKey(BusinessUnit, on_delete=models.PROTECT)
    cost_center = models.ForeignKey(CostCenter, on_delete=models.PROTECT, null=True)
    valid_from = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "valid_from"], name="team_placement_once_a_day")
        ]


class Product(models.Model):
    """Groups features across teams."""

    slug = models.SlugField(unique=True)
    name = models.TextField()


class Feature(models.Model):
    slug = models.SlugField(unique=True)
    name = models.TextField()


class FeaturePlacement(models.Model):
    feature = models.ForeignKey(Feature, on_delete=models.PROTECT, related_name="placements")
    owner_team = models.ForeignKey(Team, on_delete=models.PROTECT)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, null=True)
    criticality = models.TextField(null=True)
    has_sla = models.BooleanField(default=False)
    valid_from = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["feature", "valid_from"], name="feature_placement_once_a_day"
            )
        ]


class TeamAlias(models.Model):
    """Another name that tags and traces use for a team: always (NULL), or from a day until its next
    meaning.
    """

    name = models.TextField()
    name_key = models.TextField()  # as names are compared: allocation.values.names.name_key
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="aliases")
    valid_from = models.DateField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name_key", "valid_from"], name="team_alias_once", nulls_distinct=False
            )
        ]


class FeatureAlias(models.Model):
    """Another name of a feature, as TeamAlias."""

    name = models.TextField()
    name_key = models.TextField()
    feature = models.ForeignKey(Feature, on_delete=models.PROTECT, related_name="aliases")
    valid_from = models.DateField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name_key", "valid_from"], name="feature_alias_once", nulls_distinct=False
            )
        ]
