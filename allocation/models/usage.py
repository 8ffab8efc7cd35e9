"""Model calls: spans, partitioned by day, and the rollup that adds them up by the hour."""

from __future__ import annotations

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
    api_key_id = models.BigIntegerField(
        null=True
    )  # the ingest key; not a foreign key, since `allocation` knows no accounts


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


class UsageMeasures(models.Model):
    """Counts weighted by adjusted count, except `spans` (stored spans)."""

    hour = models.DateTimeField()
    dimension_id = models.BigIntegerField()
    spans = models.BigIntegerField()
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
    duration_us = ExactNumericField()
    # Sampling variance terms, sums of w(w-1)xx, for the sampling error a page shows.
    variance_input = models.FloatField(default=0)
    variance_output = models.FloatField(default=0)
    covariance = models.FloatField(default=0)

    class Meta:
        abstract = True


class UsageDelta(UsageMeasures):
    """What one accepted batch adds to an hour; appended in the batch's own transaction, merged by
    one folder.
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


class LatencyDelta(models.Model):
    """Calls per latency bucket of one batch. Bucket b holds durations in [2^(b/2), 2^((b+1)/2)) ms."""

    hour = models.DateTimeField()
    dimension_id = models.BigIntegerField()
    bucket = models.SmallIntegerField()
    calls = ExactNumericField()

    class Meta:
        db_table = "latency_delta"


class LatencyHourly(models.Model):
    pk = models.CompositePrimaryKey("hour", "dimension_id", "bucket")
    hour = models.DateTimeField()
    dimension_id = models.BigIntegerField()
    bucket = models.SmallIntegerField()
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
