"""Model calls: spans, partitioned by day, and the rollup that adds them up by the hour."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from allocation.models.fields import CostField, ExactNumericField


class UsageDimension(models.Model):
    """One distinct combination of what a model call is about; spans and rollups point at it."""

    content_hash = models.BinaryField(unique=True)
    is_inference = models.BooleanField()
    operation = models.TextField(null=True)
    provider = models.TextField(
        null=True
    )  # normalised OTel name: openai, anthropic, aws.bedrock, gcp.vertex_ai ...
    project = models.TextField(
        null=True
    )  # provider's project / account / workspace the call was billed to
    region = models.TextField(null=True)
    model_requested = models.TextField(null=True)
    model_answered = models.TextField(null=True)
    model = models.TextField(
        null=True
    )  # canonical name, shared with the bill side (allocation.catalogue.canonical)
    tier = models.TextField(null=True)  # standard, batch, priority, flex
    context_band = models.IntegerField(
        default=0
    )  # lower end, in input tokens, of the price band the call falls in
    service = models.TextField(null=True)
    team = models.TextField(
        null=True
    )  # slug as told by key or attribute; may be unknown to the tree
    feature = models.TextField(null=True)
    product = models.TextField(null=True)
    environment = models.TextField(null=True)
    customer = models.TextField(null=True)
    phase = models.TextField(null=True)  # build, run, move
    entry_team = models.TextField(
        null=True
    )  # who asked, where an agent of another team serves the call
    entry_feature = models.TextField(null=True)
    caller = models.TextField(
        null=True
    )  # a gateway's virtual key (or end user, where told), as its logs name it
    prompt_name = models.TextField(null=True)
    prompt_version = models.TextField(null=True)
    observer = models.TextField(null=True)  # application, gateway
    scope = models.TextField(null=True)  # instrumentation scope that told of the call
    api_key_id = models.BigIntegerField(
        null=True
    )  # the ingest key; not a foreign key, since `allocation` knows no accounts

    class Meta:
        indexes = [
            # Who else tells of a service's calls, asked for every batch of spans.
            models.Index("service", "scope", name="dimension_of_observers",
                         condition=models.Q(is_inference=True)),
        ]  # fmt: skip


class UsageWho(models.Model):
    """Who calls were made by, and for which repository, as far as they tell. Apart from usage
    dimensions: there are many, and no money is split by them.
    """

    person = models.TextField(null=True)  # a pseudonym (allocation.values.persons)
    repository = models.TextField(null=True)

    class Meta:
        db_table = "usage_who"
        constraints = [
            models.UniqueConstraint(
                fields=["person", "repository"], nulls_distinct=False, name="usage_who_once"
            ),
        ]


class PersonName(models.Model):
    """The name behind a pseudonym, kept while the setting PERSON_NAMES is on."""

    person = models.TextField(primary_key=True)
    name = models.TextField()

    class Meta:
        db_table = "person_name"


class Span(models.Model):
    """One span (partitioned by span_day; a default partition keeps spans outside the time window,
    not counted).
    """

    pk = models.CompositePrimaryKey("span_day", "trace_id", "span_id")
    span_day = models.DateField()  # UTC day of the span's own start
    trace_id = models.UUIDField()  # the 16 bytes
    span_id = models.BigIntegerField()  # the 8 bytes as a signed integer
    parent_span_id = models.BigIntegerField(null=True)
    dimension_id = models.BigIntegerField()
    who_id = models.BigIntegerField(null=True)  # NULL: tells neither person nor repository
    started_at = models.DateTimeField()
    duration_us = models.BigIntegerField()
    received_at = models.DateTimeField()
    name = models.TextField()
    status_code = models.SmallIntegerField(default=0)  # OTel: 0 unset, 1 ok, 2 error
    error_type = models.TextField(null=True)
    counted = models.BooleanField()  # is in usage_delta
    not_counted = models.TextField(
        null=True
    )  # reason: not inference, outside the time window, nested duplicate
    adjusted_count = ExactNumericField(default=1)
    input_uncached = models.BigIntegerField(default=0)
    cache_read = models.BigIntegerField(default=0)
    cache_write_5m = models.BigIntegerField(default=0)
    cache_write_1h = models.BigIntegerField(default=0)
    output_text = models.BigIntegerField(default=0)
    reasoning = models.BigIntegerField(default=0)
    input_audio = models.BigIntegerField(default=0)
    input_image = models.BigIntegerField(default=0)
    output_audio = models.BigIntegerField(default=0)
    output_image = models.BigIntegerField(default=0)
    has_usage = models.BooleanField(default=False)
    usage_shape = models.TextField(null=True)  # inclusive, exclusive_inferred, ...
    session_id = models.TextField(null=True)
    response_id = models.TextField(null=True)
    time_to_first_chunk_us = models.BigIntegerField(null=True)
    finish_reason = models.TextField(null=True)
    client_cost = ExactNumericField(null=True)  # as claimed by the client; never used as cost
    attributes = models.JSONField(null=True)  # allow-listed rest, content dropped

    class Meta:
        db_table = "span"


class MergedCall(models.Model):
    """A call that several spans tell of, or that takes words from the spans above it: what counts
    in place of what its leading span says. A call of one span has no row here.
    """

    pk = models.CompositePrimaryKey("span_day", "trace_id", "span_id")  # of the leading span
    span_day = models.DateField()
    trace_id = models.UUIDField()
    span_id = models.BigIntegerField()
    dimension_id = models.BigIntegerField()
    who_id = models.BigIntegerField(null=True)
    adjusted_count = ExactNumericField()
    status_code = models.SmallIntegerField()
    has_usage = models.BooleanField()
    input_uncached = models.BigIntegerField()
    cache_read = models.BigIntegerField()
    cache_write_5m = models.BigIntegerField()
    cache_write_1h = models.BigIntegerField()
    output_text = models.BigIntegerField()
    reasoning = models.BigIntegerField()
    input_audio = models.BigIntegerField()
    input_image = models.BigIntegerField()
    output_audio = models.BigIntegerField()
    output_image = models.BigIntegerField()
    client_cost = ExactNumericField(null=True)
    spans = models.IntegerField()  # that tell of it
    doubt = models.TextField(null=True)  # what its spans do not agree about

    class Meta:
        db_table = "merged_call"
        indexes = [
            models.Index(fields=["span_day"], condition=~Q(doubt=None), name="merged_call_in_doubt")
        ]


class SpanSkeleton(models.Model):
    """Spans of one request that say nothing but where they stand in their trace."""

    pk = models.CompositePrimaryKey("span_day", "trace_id", "content_hash")
    span_day = models.DateField()
    trace_id = models.UUIDField()
    content_hash = models.BinaryField()  # of the two lists
    span_ids = ArrayField(models.BigIntegerField())
    parent_span_ids = ArrayField(models.BigIntegerField())  # 0: none

    class Meta:
        db_table = "span_skeleton"


class UsageValue(models.Model):
    """A value that a field of usage dimensions may have, of those that are told without end; past
    the limit they count under one.
    """

    pk = models.CompositePrimaryKey("field", "value")
    field = models.TextField()
    value = models.TextField()


class TraceFinding(models.Model):
    """How many spans of an ingest key had something wrong with them, on the day they came."""

    day = models.DateField()
    api_key_id = models.BigIntegerField(null=True)  # NULL: loaded from a file
    finding = models.TextField()
    spans = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["day", "api_key_id", "finding"],
                nulls_distinct=False,
                name="trace_finding_once",
            )
        ]


class CallMeasures(models.Model):
    """What calls add up to, weighted by adjusted count."""

    hour = models.DateTimeField()
    dimension_id = models.BigIntegerField()
    calls = ExactNumericField()
    calls_without_usage = ExactNumericField()
    errors = ExactNumericField()
    input_uncached = ExactNumericField()
    cache_read = ExactNumericField()
    cache_write_5m = ExactNumericField()
    cache_write_1h = ExactNumericField()
    output_text = ExactNumericField()
    reasoning = ExactNumericField()
    input_audio = ExactNumericField()
    input_image = ExactNumericField()
    output_audio = ExactNumericField()
    output_image = ExactNumericField()
    # Answers that came out of a cache of the application's own: no calls, no tokens.
    cached_answers = ExactNumericField(db_default=0)
    client_cost = ExactNumericField(db_default=0)  # of the calls that tell what they cost
    client_cost_calls = ExactNumericField(db_default=0)

    class Meta:
        abstract = True


class UsageMeasures(CallMeasures):
    """The same with stored spans, which are not weighted, time, and the error of sampling."""

    spans = models.BigIntegerField()
    duration_us = ExactNumericField()
    # Sampling variance terms, sums of w(w-1)xx, for the sampling error a page shows.
    variance_input = models.FloatField(default=0)
    variance_output = models.FloatField(default=0)
    covariance = models.FloatField(default=0)

    class Meta:
        abstract = True


class UsageDelta(UsageMeasures):
    """What one accepted batch adds to an hour; appended in the batch's own transaction, merged by
    one merger.
    """

    class Meta:
        db_table = "usage_delta"


class UsageHourly(UsageMeasures):
    """Hour x usage dimension. `list_cost` is NULL where any of it is unpriced."""

    pk = models.CompositePrimaryKey("hour", "dimension_id")
    list_cost = CostField(null=True)  # USD, by price version `price_version_id`
    price_version_id = models.BigIntegerField(null=True)  # NULL: changed since it was priced last

    class Meta:
        db_table = "usage_hourly"
        indexes = [
            models.Index(
                fields=["hour"], condition=Q(price_version_id=None), name="usage_hourly_to_price"
            )
        ]


class WhoDelta(CallMeasures):
    """What one batch adds to an hour, of calls that tell a person or a repository; written by the
    statement that writes their usage.
    """

    who_id = models.BigIntegerField()

    class Meta:
        db_table = "who_delta"


class WhoDaily(CallMeasures):
    """UTC day x usage dimension x who. `hour` is the day's first; a day is cut only where the price
    of its model changes with the time of day, so that the sums can be priced.
    """

    pk = models.CompositePrimaryKey("hour", "dimension_id", "who_id")
    who_id = models.BigIntegerField()
    list_cost = CostField(null=True)  # as of UsageHourly
    price_version_id = models.BigIntegerField(null=True)

    class Meta:
        db_table = "who_daily"
        indexes = [
            models.Index(
                fields=["hour"], condition=Q(price_version_id=None), name="who_daily_to_price"
            )
        ]


class LatencyDelta(models.Model):
    """Calls per latency bin of one batch. Bin b holds durations in [2^(b/2), 2^((b+1)/2)) ms."""

    hour = models.DateTimeField()
    dimension_id = models.BigIntegerField()
    bin = models.SmallIntegerField()
    calls = ExactNumericField()

    class Meta:
        db_table = "latency_delta"


class LatencyHourly(models.Model):
    pk = models.CompositePrimaryKey("hour", "dimension_id", "bin")
    hour = models.DateTimeField()
    dimension_id = models.BigIntegerField()
    bin = models.SmallIntegerField()
    calls = ExactNumericField()

    class Meta:
        db_table = "latency_hourly"


class SealedDay(models.Model):
    """A day whose spans are gone, or going: its rollup is final, and spans that arrive for it are
    kept uncounted.
    """

    day = models.DateField(primary_key=True)
    spans = models.BigIntegerField()
    content_sha256 = models.TextField()  # over the day's rows of usage_hourly
    sealed_at = models.DateTimeField(auto_now_add=True)
    dropped_at = models.DateTimeField(null=True)


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
