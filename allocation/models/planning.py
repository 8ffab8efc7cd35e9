"""What is planned to be spent, in versions that are never altered."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from allocation.models.fields import COST_LIMIT, CostField
from allocation.models.organisation import CostCenter, Team


class SpendPlanVersion(models.Model):
    """One change of the plans: by whom, when, and where it came from. Never altered: a trigger
    refuses it, too.
    """

    number = models.PositiveIntegerField(unique=True)
    created_at = models.DateTimeField()
    created_by = models.TextField(null=True)
    origin = models.TextField()  # the name of the file, or "typed"


class SpendPlanAmount(models.Model):
    """What a version says of one month, one team or cost centre, and one account.

    In force is what the newest version says, see view `spend_plan`; an amount of NULL takes the
    plan away. Never altered.
    """

    version = models.ForeignKey(SpendPlanVersion, on_delete=models.PROTECT, related_name="amounts")
    month = models.DateField()
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True)
    cost_center = models.ForeignKey(CostCenter, on_delete=models.PROTECT, null=True)
    account = models.TextField(default="")
    amount = CostField(null=True)
    currency = models.TextField(null=True)  # ISO 4217

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "month", "team", "cost_center", "account"],
                nulls_distinct=False,
                name="spend_plan_once_a_version",
            ),
            models.CheckConstraint(
                condition=Q(team__isnull=True) ^ Q(cost_center__isnull=True),
                name="spend_plan_of_one_holder",
            ),
            models.CheckConstraint(
                condition=Q(amount__isnull=True, currency__isnull=True)
                | Q(amount__gte=0, amount__lt=COST_LIMIT, currency__isnull=False),
                name="spend_plan_amount",
            ),
        ]
