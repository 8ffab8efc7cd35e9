"""The ledger's tables. Partitioned ones and functions are made by SQL in migration 0001; grain stands in each
docstring."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from allocation.fields import CostField, ExactNumericField, within_range

# ---------------------------------------------------------------- organisation


class LegalEntity(models.Model):
    slug = models.SlugField(unique=True)
    name = models.TextField()


class BusinessUnit(models.Model):
    """`legal_entity` is the one from the beginning; BusinessUnitPlacement has those from a later day on."""

    slug = models.SlugField(unique=True)
    name = models.TextField()
    legal_entity = models.ForeignKey(LegalEntity, on_delete=models.PROTECT)


class BusinessUnitPlacement(models.Model):
    """Of which legal entity a unit is from a day on, until its next placement."""

    business_unit = models.ForeignKey(BusinessUnit, on_delete=models.PROTECT, related_name="placements")
    legal_entity = models.ForeignKey(LegalEntity, on_delete=models.PROTECT)
    valid_from = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["business_unit", "valid_from"], name="unit_placement_once_a_day")
        ]


class CostCenterMode(models.TextChoices):
    SHOWBACK = "showback"
    CHARGEBACK = "chargeback"


class CostCenter(models.Model):
    """`legal_entity` and `mode` are those from the beginning; CostCenterPlacement has those from a later day on."""

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
            models.UniqueConstraint(fields=["cost_center", "valid_from"], name="center_placement_once_a_day")
        ]


class Team(models.Model):
    slug = models.SlugField(unique=True)
    name = models.TextField()


class TeamPlacement(models.Model):
    """Where a team stands from a day on; valid until its next placement (see view `team_placement_period`)."""

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="placements")
    business_unit = models.ForeignKey(BusinessUnit, on_delete=models.PROTECT)
    cost_center = models.ForeignKey(CostCenter, on_delete=models.PROTECT, null=True)
    valid_from = models.DateField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "valid_from"], name="team_placement_once_a_day")]


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
        constraints = [models.UniqueConstraint(fields=["feature", "valid_from"], name="feature_placement_once_a_day")]


class TeamAlias(models.Model):
    """Another name that tags and traces use for a team: always (NULL), or from a day until its next meaning."""

    name = models.TextField()
    name_key = models.TextField()  # as names are compared: allocation.organisation.name_key
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="aliases")
    valid_from = models.DateField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name_key", "valid_from"], name="team_alias_once", nulls_distinct=False)
        ]


class FeatureAlias(models.Model):
    """Another name of a feature, as TeamAlias."""

    name = models.TextField()
    name_key = models.TextField()
    feature = models.ForeignKey(Feature, on_delete=models.PROTECT, related_name="aliases")
    valid_from = models.DateField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name_key", "valid_from"], name="feature_alias_once", nulls_distinct=False)
        ]


# ---------------------------------------------------------------- bills


class SourceRole(models.TextChoices):
    INVOICE = "invoice"
    USAGE_DETAIL = "usage_detail"
    ESTIMATE = "estimate"


class Delivery(models.TextChoices):
    OVERWRITE = "overwrite"
    APPEND = "append"


class Untraced(models.TextChoices):
    """What happens to the part of a bill line that no span explains."""

    AUTO = "auto"  # spread where coverage is at least 80%, else owner, else unallocated
    SPREAD = "spread"
    OWNER = "owner"
    UNALLOCATED = "unallocated"


class Source(models.Model):
    """One place bills or telemetry come from."""

    name = models.TextField(unique=True)
    role = models.TextField(choices=SourceRole.choices, default=SourceRole.INVOICE)
    delivery = models.TextField(choices=Delivery.choices, default=Delivery.OVERWRITE)
    billing_timezone = models.TextField(default="UTC")
    project_match = models.BooleanField(default=True)
    untraced = models.TextField(choices=Untraced.choices, default=Untraced.AUTO)
    created_at = models.DateTimeField(auto_now_add=True)


class ImportStatus(models.TextChoices):
    LOADING = "loading"
    LOADED = "loaded"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    FAILED = "failed"


class ImportKind(models.TextChoices):
    """What a delivered file holds; the last five are driver data (portal.ingest.drivers)."""

    BILL = "bill", "bill"
    TRACES = "traces", "traces"
    SERIES = "series", "driver series"
    GPU_USAGE = "gpu_usage", "GPU usage"
    PROVIDER_USAGE = "provider_usage", "provider usage"
    IDENTITY_OWNERS = "identity_owners", "identity owners"
    RATES = "exchange_rates", "exchange rates"


class Import(models.Model):
    """One delivered file."""

    source = models.ForeignKey(Source, on_delete=models.PROTECT, null=True)
    kind = models.TextField(choices=ImportKind.choices, default=ImportKind.BILL)
    status = models.TextField(choices=ImportStatus.choices, default=ImportStatus.LOADING)
    file_name = models.TextField()
    content_sha256 = models.TextField(null=True)  # of the decompressed content
    content_bytes = models.BigIntegerField(null=True)
    focus_version = models.TextField(null=True)
    rows_read = models.BigIntegerField(default=0)
    rows_loaded = models.BigIntegerField(default=0)
    rows_rejected = models.BigIntegerField(default=0)
    rows_duplicate = models.BigIntegerField(default=0)  # traces: spans already known
    totals = models.JSONField(default=list)  # per currency, amounts as strings
    repairs = models.JSONField(default=dict)  # {"rule": count}
    changes = models.JSONField(default=list)  # per replaced scope (of bills, and currency): before, after, difference
    refusal = models.TextField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    created_by = models.TextField(null=True)

    class Meta:
        indexes = [models.Index(fields=["source", "-created_at"], name="import_source_created")]


class RejectedRow(models.Model):
    """One problem of one row of a delivered file."""

    bill_import = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="rejected")
    line = models.BigIntegerField()
    column = models.TextField(null=True)
    value = models.TextField(null=True)
    reason = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["bill_import", "line"], name="rejected_import_line")]


class ScopeState(models.TextChoices):
    STAGED = "staged"  # loaded, not published: no reader joins it
    CURRENT = "current"
    SUPERSEDED = "superseded"


class ChargeScope(models.Model):
    """The rows of one import that belong to one (source, billing account, billing period): the unit of overwrite.

    Publishing moves `state` in one short transaction. For overwrite sources at most one scope of a key is current.
    """

    source = models.ForeignKey(Source, on_delete=models.PROTECT)
    bill_import = models.ForeignKey(Import, on_delete=models.PROTECT, related_name="scopes")
    billing_account_id = models.TextField()
    billing_period_start = models.DateTimeField()
    billing_period_end = models.DateTimeField()
    billing_month = models.DateField()  # first day; calendar month of billing_period_start in the source's zone
    delivery = models.TextField(choices=Delivery.choices)
    state = models.TextField(choices=ScopeState.choices, default=ScopeState.STAGED)
    rows = models.BigIntegerField(default=0)
    totals = models.JSONField(default=list)  # per currency, as Import.totals
    published_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "billing_account_id", "billing_period_start"],
                condition=Q(state="current", delivery="overwrite"),
                name="one_current_snapshot_per_scope",
            ),
            models.UniqueConstraint(
                fields=["bill_import", "billing_account_id", "billing_period_start"],
                name="scope_once_per_import",
            ),
        ]
        indexes = [models.Index(fields=["billing_month", "state"], name="scope_month_state")]


class ChargeDimension(models.Model):
    """One distinct combination of a charge's descriptive FOCUS columns; charges point at it.

    A month of a million hourly rows has some ten thousand of these, so rules are evaluated once per combination.
    """

    content_hash = models.BinaryField(unique=True)  # 16 bytes over every column below
    billing_period_start = models.DateTimeField()
    billing_period_end = models.DateTimeField()
    billing_account_id = models.TextField()
    billing_account_name = models.TextField(null=True)
    billing_account_type = models.TextField(null=True)
    billing_currency = models.TextField()
    charge_category = models.TextField()
    charge_class = models.TextField(null=True)
    charge_description = models.TextField(null=True)
    charge_frequency = models.TextField(null=True)
    availability_zone = models.TextField(null=True)
    capacity_reservation_id = models.TextField(null=True)
    capacity_reservation_status = models.TextField(null=True)
    commitment_discount_category = models.TextField(null=True)
    commitment_discount_id = models.TextField(null=True)
    commitment_discount_name = models.TextField(null=True)
    commitment_discount_status = models.TextField(null=True)
    commitment_discount_type = models.TextField(null=True)
    commitment_discount_unit = models.TextField(null=True)
    commitment_program_eligibility_details = models.TextField(null=True)
    consumed_unit = models.TextField(null=True)
    contract_applied = models.TextField(null=True)
    host_provider_name = models.TextField(null=True)
    invoice_detail_id = models.TextField(null=True)
    invoice_id = models.TextField(null=True)
    invoice_issuer_name = models.TextField(null=True)
    pricing_category = models.TextField(null=True)
    pricing_currency = models.TextField(null=True)
    pricing_unit = models.TextField(null=True)
    principal_id = models.TextField(null=True)
    provider_name = models.TextField(null=True)  # ProviderName, or ServiceProviderName where a file has only that
    publisher_name = models.TextField(null=True)
    region_id = models.TextField(null=True)
    region_name = models.TextField(null=True)
    resource_id = models.TextField(null=True)
    resource_name = models.TextField(null=True)
    resource_type = models.TextField(null=True)
    service_category = models.TextField(null=True)
    service_name = models.TextField(null=True)
    service_provider_name = models.TextField(null=True)
    service_subcategory = models.TextField(null=True)
    sku_id = models.TextField(null=True)
    sku_meter = models.TextField(null=True)
    sku_price_details = models.TextField(null=True)
    sku_price_id = models.TextField(null=True)
    sub_account_id = models.TextField(null=True)
    sub_account_name = models.TextField(null=True)
    sub_account_type = models.TextField(null=True)
    allocated_method_id = models.TextField(null=True)
    allocated_method_details = models.TextField(null=True)
    allocated_resource_id = models.TextField(null=True)
    allocated_resource_name = models.TextField(null=True)
    allocated_tags = models.TextField(null=True)
    tags = models.JSONField(null=True)


class Charge(models.Model):
    """One FOCUS row as delivered (partitioned by billing_month; no foreign keys point here)."""

    pk = models.CompositePrimaryKey("billing_month", "scope_id", "line")
    billing_month = models.DateField()
    scope_id = models.BigIntegerField()  # charge_scope.id
    line = models.BigIntegerField()  # line of the delivered file (data row ordinal + header for Parquet)
    dimension_id = models.BigIntegerField()  # charge_dimension.id
    charge_period_start = models.DateTimeField()
    charge_period_end = models.DateTimeField()
    billed_cost = CostField()
    effective_cost = CostField()
    list_cost = CostField(null=True)
    contracted_cost = CostField(null=True)
    list_unit_price = ExactNumericField(null=True)
    contracted_unit_price = ExactNumericField(null=True)
    consumed_quantity = ExactNumericField(null=True)
    pricing_quantity = ExactNumericField(null=True)
    commitment_discount_quantity = ExactNumericField(null=True)
    pricing_currency_effective_cost = ExactNumericField(null=True)
    pricing_currency_list_unit_price = ExactNumericField(null=True)
    pricing_currency_contracted_unit_price = ExactNumericField(null=True)
    extra = models.JSONField(null=True)  # x_ and unknown columns, as delivered

    class Meta:
        db_table = "charge"
        constraints = [
            within_range("billed_cost", "effective_cost", name="charge_cost_in_range"),
            models.CheckConstraint(
                condition=Q(charge_period_end__gt=models.F("charge_period_start")),
                name="charge_period_ordered",
            ),
        ]


# ---------------------------------------------------------------- usage


class UsageDimension(models.Model):
    """One distinct combination of what a model call is about; spans and rollups point at it."""

    content_hash = models.BinaryField(unique=True)
    is_inference = models.BooleanField()
    operation = models.TextField(null=True)
    provider = models.TextField(null=True)  # normalised OTel name: openai, anthropic, aws.bedrock, gcp.vertex_ai ...
    project = models.TextField(null=True)  # provider's project / account / workspace the call was billed to
    region = models.TextField(null=True)
    model_requested = models.TextField(null=True)
    model_answered = models.TextField(null=True)
    model = models.TextField(null=True)  # canonical name, shared with the bill side (allocation.catalogue)
    tier = models.TextField(null=True)  # standard, batch, priority, flex
    context_band = models.IntegerField(default=0)  # lower end, in input tokens, of the price band the call falls in
    service = models.TextField(null=True)
    team = models.TextField(null=True)  # slug as told by key or attribute; may be unknown to the tree
    feature = models.TextField(null=True)
    product = models.TextField(null=True)
    environment = models.TextField(null=True)
    customer = models.TextField(null=True)
    phase = models.TextField(null=True)  # build, run, move
    entry_team = models.TextField(null=True)  # who asked, where an agent of another team serves the call
    entry_feature = models.TextField(null=True)
    caller = models.TextField(null=True)  # a gateway's virtual key (or end user, where told), as its logs name it
    prompt_name = models.TextField(null=True)
    prompt_version = models.TextField(null=True)
    observer = models.TextField(null=True)  # application, gateway
    api_key_id = models.BigIntegerField(
        null=True
    )  # the ingest key; not a foreign key, since `allocation` knows no accounts


class Span(models.Model):
    """One span (partitioned by span_day; a default partition keeps spans outside the time window, not counted)."""

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
    not_counted = models.TextField(null=True)  # reason: not inference, outside the time window, nested duplicate
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
    """What one accepted batch adds to an hour; appended in the batch's own transaction, merged by one folder."""

    class Meta:
        db_table = "usage_delta"


class UsageHourly(UsageMeasures):
    """Hour x usage dimension. `list_cost` is NULL where any of it is unpriced."""

    pk = models.CompositePrimaryKey("hour", "dimension_id")
    list_cost = CostField(null=True)  # USD, by price version `price_version_id`
    price_version_id = models.BigIntegerField(null=True)  # NULL: changed since it was priced last

    class Meta:
        db_table = "usage_hourly"
        indexes = [models.Index(fields=["hour"], condition=Q(price_version_id=None), name="usage_hourly_to_price")]


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
    """A day whose spans are gone, or going: its rollup is final, and spans that arrive for it are kept uncounted."""

    day = models.DateField(primary_key=True)
    spans = models.BigIntegerField()
    content_sha256 = models.TextField()  # over the day's rows of usage_hourly
    sealed_at = models.DateTimeField(auto_now_add=True)
    dropped_at = models.DateTimeField(null=True)


# ---------------------------------------------------------------- prices


class PriceVersion(models.Model):
    """One imported price list, immutable."""

    source = models.TextField()  # "genai-prices 0.2.3"
    content_sha256 = models.TextField(unique=True)
    imported_at = models.DateTimeField(auto_now_add=True)


class Price(models.Model):
    """USD per million tokens of one token class of one listed model, valid from a time until the next of the same
    key."""

    version = models.ForeignKey(PriceVersion, on_delete=models.CASCADE)
    provider = models.TextField()
    model = models.TextField()  # the price list's own model id
    tier = models.TextField(null=True)  # NULL: every tier without a price of its own
    token_class = models.TextField()  # a token column of UsageMeasures, or calls
    context_from = models.IntegerField(default=0)  # input tokens, inclusive lower end of the band
    time_of_day_from = models.TimeField(null=True)  # UTC window, both or neither
    time_of_day_to = models.TimeField(null=True)
    valid_from = models.DateField(null=True)
    is_undated = models.BooleanField(default=True)
    per_million = ExactNumericField()

    class Meta:
        indexes = [models.Index(fields=["version", "provider", "model"], name="price_version_model")]


class PriceMatch(models.Model):
    """Which listed model a usage dimension's (provider, model) resolves to; resolved once per distinct pair."""

    version = models.ForeignKey(PriceVersion, on_delete=models.CASCADE)
    provider = models.TextField()
    model_text = models.TextField()
    price_provider = models.TextField(null=True)
    price_model = models.TextField(null=True)  # NULL: unpriced

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "provider", "model_text"], name="price_match_once")]


# ---------------------------------------------------------------- drivers that are not traces


class DriverPoint(models.Model):
    """How much of an uploaded series (seats, queries, GB ...) one target had on a day, or in a month where `day` is
    NULL."""

    series = models.TextField()
    month = models.DateField()
    day = models.DateField(null=True)
    team = models.TextField(null=True)  # as told; resolved like a tag
    feature = models.TextField(null=True)
    quantity = ExactNumericField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quantity__gte=0) & Q(quantity__lt=10**30), name="driver_point_not_negative"
            ),
            models.UniqueConstraint(
                fields=["series", "month", "day", "team", "feature"],
                nulls_distinct=False,
                name="driver_point_once",
            ),
        ]


class GpuUsage(models.Model):
    """GPU-seconds of one workload on one node in one hour, or of the whole node where `workload` is NULL.

    A node's own row carries `capacity_seconds`, what it could have given; a workload's row what it booked (reserved for
    it), requested and kept active.
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
                fields=["hour", "cluster", "node", "workload", "run"], nulls_distinct=False, name="gpu_usage_once"
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
    """A provider's own usage report: one day of one key, project, user, workspace, model, and batch or not."""

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
                fields=["day", "provider", "project", "model", "is_batch", "api_key", "user", "workspace"],
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
    """Whose a key, user, workspace or project of a provider is, from a day on until the identity's next row."""

    provider = models.TextField()
    kind = models.TextField(choices=UsageIdentity.choices)
    value = models.TextField()
    team = models.TextField()  # as told; resolved like a tag
    feature = models.TextField(null=True)
    valid_from = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "kind", "value", "valid_from"], name="identity_owner_once")
        ]


# ---------------------------------------------------------------- exchange rates


class ExchangeRate(models.Model):
    """What one unit of `base` is in `quote` for one month. Frozen rates never change: a trigger refuses it, too."""

    month = models.DateField()
    base = models.TextField()  # ISO 4217
    quote = models.TextField()
    rate = ExactNumericField()
    source = models.TextField()  # who published it
    uploaded_at = models.DateTimeField()
    frozen_at = models.DateTimeField(null=True)  # set when the month closes

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["month", "base", "quote"], name="exchange_rate_once"),
            models.CheckConstraint(condition=Q(rate__gt=0) & Q(rate__lt=10**15), name="exchange_rate_positive"),
            models.CheckConstraint(condition=~Q(base=models.F("quote")), name="exchange_rate_of_two_currencies"),
        ]


# ---------------------------------------------------------------- catalogue


class CatalogueVersion(models.Model):
    """One immutable version of the organisation's own catalogue; the highest number is in force."""

    number = models.IntegerField(unique=True)
    content_sha256 = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.TextField(null=True)
    note = models.TextField(default="")


class CatalogueEntry(models.Model):
    """What wording on bills or in traces means, asked before the built-in wording; the first that matches decides."""

    version = models.ForeignKey(CatalogueVersion, on_delete=models.CASCADE, related_name="entries")
    position = models.IntegerField()
    side = models.TextField()  # bill, trace
    seen_provider = models.TextField(null=True)  # only where the provider, as normalised, is this one; NULL: any
    pattern = models.TextField()  # RE2, looked for in lower-case wording
    provider = models.TextField(null=True)  # what it means; NULL: what the built-in wording says
    model = models.TextField(null=True)
    token_class = models.TextField(null=True)
    tier = models.TextField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "position"], name="catalogue_entry_once")]


# ---------------------------------------------------------------- allocation


class AppliedRuleSets(models.Manager["RuleSet"]):
    def get_queryset(self) -> models.QuerySet[RuleSet]:
        return super().get_queryset().filter(number__gt=0)


class DraftRuleSets(models.Manager["RuleSet"]):
    def get_queryset(self) -> models.QuerySet[RuleSet]:
        return super().get_queryset().filter(number__lt=0)


class RuleSet(models.Model):
    """One immutable version of the rules. `objects` finds those that were applied; `drafts` are only ever previewed."""

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
    """What a draft would change, by the real engine. Only a text with a fresh preview is applied, exactly that one."""

    text = models.TextField()
    content_sha256 = models.TextField(db_index=True)
    effective_from = models.DateField()  # month
    base_number = models.IntegerField()  # the latest rule set it was drawn up against
    months = models.JSONField()  # "2026-10" ... whose charges it was tried on
    outcome = models.JSONField(null=True)  # allocation.rule_preview; NULL while it is being made
    created_by = models.TextField(null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()


class RunStatus(models.TextChoices):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class AllocationRun(models.Model):
    """One immutable, reproducible execution for a billing month and currency. Readers use the latest succeeded one."""

    billing_month = models.DateField()
    currency = models.TextField()
    rule_set = models.ForeignKey(RuleSet, on_delete=models.PROTECT)
    status = models.TextField(choices=RunStatus.choices, default=RunStatus.RUNNING)
    is_current = models.BooleanField(default=False)
    inputs = models.JSONField(default=dict)  # scope ids, price version, usage watermark, catalogue, tree, code version
    basis = models.JSONField(default=dict)  # what the next run has to know to read only what changed (allocation.late)
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
    """The balance of one run, source and metric: charges = allocated + unallocated, checked before publishing."""

    run = models.ForeignKey(AllocationRun, on_delete=models.CASCADE, related_name="balances")
    source = models.ForeignKey(Source, on_delete=models.PROTECT)
    metric = models.TextField()  # billed_cost, effective_cost
    charges = CostField()
    allocated = CostField()
    unallocated = CostField()
    other = CostField(default=0)  # part of `charges` whose AI scope is other (for the AI share)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "source", "metric"], name="run_source_metric_once"),
            models.CheckConstraint(
                condition=Q(charges=models.F("allocated") + models.F("unallocated")),
                name="run_source_balances",
            ),
        ]


# ruff: noqa: E402 - the ledger's tables point at the ones above
from allocation.ledger_tables import AllocatedCost as AllocatedCost
from allocation.ledger_tables import Bucket as Bucket
from allocation.ledger_tables import BucketMember as BucketMember
from allocation.ledger_tables import ChargeBucket as ChargeBucket
from allocation.ledger_tables import ChargeGroup as ChargeGroup
from allocation.ledger_tables import ChargeKind as ChargeKind
from allocation.ledger_tables import CostDaily as CostDaily
from allocation.ledger_tables import CostLine as CostLine
from allocation.ledger_tables import Evidence as Evidence
from allocation.ledger_tables import LedgerSlice as LedgerSlice
from allocation.ledger_tables import RunBucket as RunBucket
from allocation.ledger_tables import RunSlice as RunSlice
from allocation.ledger_tables import ScopeCharges as ScopeCharges
from allocation.ledger_tables import SliceBalance as SliceBalance
from allocation.ledger_tables import SliceCost as SliceCost
from allocation.ledger_tables import SliceGroup as SliceGroup
from allocation.ledger_tables import SliceShare as SliceShare
from allocation.ledger_tables import SliceUsage as SliceUsage
from allocation.ledger_tables import Target as Target
from allocation.ledger_tables import UsageDaily as UsageDaily
