"""Drivers that are not traces: series, GPU usage, providers' reports, and whose identities are."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from allocation.models.fields import ExactNumericField


class DriverPoint(models.Model):
    """How much of an uploaded series (seats, queries, GB ...) one target had on a day, or in a
    month where `day` is NULL.
    """

    series = models.TextField()
    month = models.DateField()
    day = models.DateField(null=True)
    team = models.TextField(null=True)  # as told; resolved like a tag
    feature = models.TextField(null=True)
    quantity = ExactNumericField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quantity__gte=0) & Q(quantity__lt=10**30),
                name="driver_point_not_negative",
            ),
            models.UniqueConstraint(
                fields=["series", "month", "day", "team", "feature"],
                nulls_distinct=False,
                name="driver_point_once",
            ),
        ]


class GpuUsage(models.Model):
    """GPU-seconds of one workload on one node in one hour, or of the whole node where `workload` is
    NULL.

    A node's own row carries `capacity_seconds`, what it could have given; a workload's row what it
    booked (reserved for it), requested and kept active.
    """

    hour = models.DateTimeField()
    cluster = models.TextField()
    node = models.TextField()  # the name that bills know it by: ResourceId or ResourceName
    workload = models.TextField(null=True)
    run = models.TextField(null=True)  # job or run id
    gpu_model = models.TextField(null=True)
    team = models.TextField(null=True)
    feature = models.TextField(null=True)
    environment = models.TextField(null=True)
    phase = models.TextField(null=True)
    capacity_seconds = ExactNumericField(null=True)
    booked_seconds = ExactNumericField(default=0)
    requested_seconds = ExactNumericField(default=0)
    active_seconds = ExactNumericField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["hour", "cluster", "node", "workload", "run"],
                nulls_distinct=False,
                name="gpu_usage_once",
            ),
            models.CheckConstraint(
                condition=Q(booked_seconds__gte=0)
                & Q(requested_seconds__gte=0)
                & Q(booked_seconds__lt=10**15)
                & (Q(capacity_seconds__isnull=True) | Q(capacity_seconds__gte=0)),
                name="gpu_usage_not_negative",
            ),
        ]
        indexes = [models.Index(fields=["node", "hour"], name="gpu_usage_node_hour")]


class ProviderUsage(models.Model):
    """A provider's own usage report: one day of one key, project, user, workspace, model, and batch
    or not.
    """

    day = models.DateField()
    provider = models.TextField()  # normalised, as UsageDimension.provider
    project = models.TextField(null=True)
    model = models.TextField(null=True)  # canonical
    is_batch = models.BooleanField(default=False)
    api_key = models.TextField(null=True)
    user = models.TextField(null=True)
    workspace = models.TextField(null=True)
    requests = ExactNumericField(default=0)
    input_uncached = ExactNumericField(default=0)
    cache_read = ExactNumericField(default=0)
    cache_write_5m = ExactNumericField(default=0)
    cache_write_1h = ExactNumericField(default=0)
    output_text = ExactNumericField(default=0)
    reasoning = ExactNumericField(default=0)
    input_audio = ExactNumericField(default=0)
    input_image = ExactNumericField(default=0)
    output_audio = ExactNumericField(default=0)
    output_image = ExactNumericField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "day",
                    "provider",
                    "project",
                    "model",
                    "is_batch",
                    "api_key",
                    "user",
                    "workspace",
                ],
                nulls_distinct=False,
                name="provider_usage_once",
            )
        ]


class UsageIdentity(models.TextChoices):
    """What a provider's report may know a caller by, narrow to wide."""

    API_KEY = "api_key"
    USER = "user"
    WORKSPACE = "workspace"
    PROJECT = "project"


class IdentityOwner(models.Model):
    """Whose a key, user, workspace or project of a provider is, from a day on until the identity's
    next row.
    """

    provider = models.TextField()
    kind = models.TextField(choices=UsageIdentity.choices)
    value = models.TextField()
    team = models.TextField()  # as told; resolved like a tag
    feature = models.TextField(null=True)
    valid_from = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "kind", "value", "valid_from"], name="identity_owner_once"
            )
        ]
