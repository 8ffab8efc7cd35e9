"""Rules and their versions, previews, and the runs that carry them out."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from allocation.models.bills import Source
from allocation.models.fields import CostField


class AppliedRuleSets(models.Manager["RuleSet"]):
    def get_queryset(self) -> models.QuerySet[RuleSet]:
        return super().get_queryset().filter(number__gt=0)


class DraftRuleSets(models.Manager["RuleSet"]):
    def get_queryset(self) -> models.QuerySet[RuleSet]:
        return super().get_queryset().filter(number__lt=0)


class RuleSet(models.Model):
    """One immutable version of the rules. `objects` finds those that were applied; `drafts` are
    only ever previewed.
    """

    number = models.IntegerField(unique=True)  # from 1; of a draft the preview's id, negative
    text = models.TextField()  # YAML
    content_sha256 = models.TextField()
    effective_from = models.DateField()  # month
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.TextField(null=True)
    note = models.TextField(default="")

    objects = AppliedRuleSets()
    drafts = DraftRuleSets()


class RulePreview(models.Model):
    """What a draft would change, by the real engine. Only a text with a fresh preview is applied,
    exactly that one.
    """

    text = models.TextField()
    content_sha256 = models.TextField(db_index=True)
    # CSV, of a draft of the organisation's catalogue beside the rules in force; NULL: rules alone
    catalogue = models.TextField(null=True)
    effective_from = models.DateField()  # month
    base_number = models.IntegerField()  # the latest rule set it was drawn up against
    months = models.JSONField()  # "2026-10" ... whose charges it was tried on
    outcome = models.JSONField(null=True)  # allocation.preview.preview; NULL while it is being made
    created_by = models.TextField(null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()


class RunStatus(models.TextChoices):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class AllocationRun(models.Model):
    """One immutable, reproducible execution for a billing month and currency. Readers use the
    latest succeeded one.
    """

    billing_month = models.DateField()
    currency = models.TextField()
    rule_set = models.ForeignKey(RuleSet, on_delete=models.PROTECT)
    status = models.TextField(choices=RunStatus.choices, default=RunStatus.RUNNING)
    is_current = models.BooleanField(default=False)
    inputs = models.JSONField(
        default=dict
    )  # scope ids, price version, usage watermark, catalogue, tree, code version
    rows = models.BigIntegerField(default=0)
    sha256 = models.TextField(null=True)
    detail = models.TextField(null=True)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["billing_month", "currency"],
                condition=Q(is_current=True),
                name="one_current_run",
            )
        ]


class RunSource(models.Model):
    """The balance of one run, source and metric: charges = allocated + unallocated, checked before
    publishing.
    """

    run = models.ForeignKey(AllocationRun, on_delete=models.CASCADE, related_name="balances")
    source = models.ForeignKey(Source, on_delete=models.PROTECT)
    metric = models.TextField()  # billed_cost, effective_cost
    charges = CostField()
    allocated = CostField()
    unallocated = CostField()
    other = CostField(default=0)  # part of `charges` whose AI scope is other (for the AI share)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "source", "metric"], name="run_source_metric_once"
            ),
            models.CheckConstraint(
                condition=Q(charges=models.F("allocated") + models.F("unallocated")),
                name="run_source_balances",
            ),
        ]
