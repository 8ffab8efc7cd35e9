"""Where bills come from, what was delivered, and the charges, partitioned by billing month (SQL of
migration 0002).
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from allocation.models.fields import CostField, ExactNumericField, within_range


class SourceRole(models.TextChoices):
    INVOICE = "invoice"
    USAGE_DETAIL = "usage_detail"
    ESTIMATE = "estimate"


class Delivery(models.TextChoices):
    OVERWRITE = "overwrite"
    APPEND = "append"


class UntracedPolicy(models.TextChoices):
    """What happens to the part of a bill line that no span explains."""

    AUTO = "auto"  # spread where coverage is at least 80%, else owner, else unallocated
    SPREAD = "spread"
    OWNER = "owner"
    UNALLOCATED = "unallocated"


class ProjectMatch(models.TextChoices):
    """How projects of a bill meet those of calls."""

    AUTO = "auto"  # calls without one are placed where the bill has room for them
    STRICT = "strict"  # no project is a project of its own
    OFF = "off"  # projects are not compared


class Source(models.Model):
    """One place bills or telemetry come from."""

    name = models.TextField(unique=True)
    role = models.TextField(choices=SourceRole.choices, default=SourceRole.INVOICE)
    delivery = models.TextField(choices=Delivery.choices, default=Delivery.OVERWRITE)
    billing_timezone = models.TextField(default="UTC")
    project_match = models.TextField(choices=ProjectMatch.choices, default=ProjectMatch.AUTO)
    untraced = models.TextField(choices=UntracedPolicy.choices, default=UntracedPolicy.AUTO)
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
    """One delivery: a file, or the files of one bill."""

    source = models.ForeignKey(Source, on_delete=models.PROTECT, null=True)
    kind = models.TextField(choices=ImportKind.choices, default=ImportKind.BILL)
    status = models.TextField(choices=ImportStatus.choices, default=ImportStatus.LOADING)
    file_name = models.TextField()
    files = models.JSONField(default=list)  # of a bill: name, sha256, rows read, loaded, rejected
    content_sha256 = models.TextField(null=True)  # of the content; of several: over their hashes
    content_bytes = models.BigIntegerField(null=True)
    focus_version = models.TextField(null=True)
    rows_read = models.BigIntegerField(default=0)
    rows_loaded = models.BigIntegerField(default=0)
    rows_rejected = models.BigIntegerField(default=0)
    rows_duplicate = models.BigIntegerField(default=0)  # traces: spans already known
    totals = models.JSONField(default=list)  # per currency, amounts as strings
    # Of rejected rows by account, month and currency: rows, readable billed cost, unreadable rows.
    rejected_money = models.JSONField(default=list)
    # Of charges that began before their billing period: by month and currency.
    earlier_months = models.JSONField(default=list)
    unread = models.JSONField(default=list)  # values loaded as null: by column and reason
    repairs = models.JSONField(default=dict)  # {"rule": count}
    changes = models.JSONField(
        default=list
    )  # per replaced scope (of bills, and currency): before, after, difference
    refusal = models.TextField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    created_by = models.TextField(null=True)

    class Meta:
        indexes = [models.Index(fields=["source", "-created_at"], name="import_source_created")]


class RejectedRow(models.Model):
    """One problem of one row of a delivered file."""

    bill_import = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="rejected")
    file = models.TextField(null=True)  # its name, in a delivery of several files
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
    """The rows of one import that belong to one (source, billing account, billing period): the unit
    of overwrite.

    Publishing moves `state` in one short transaction. For overwrite sources at most one scope of a
    key is current.
    """

    source = models.ForeignKey(Source, on_delete=models.PROTECT)
    bill_import = models.ForeignKey(Import, on_delete=models.PROTECT, related_name="scopes")
    billing_account_id = models.TextField()
    billing_period_start = models.DateTimeField()
    billing_period_end = models.DateTimeField()
    billing_month = (
        models.DateField()
    )  # first day; calendar month of billing_period_start in the source's zone
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

    A month of a million hourly rows has some ten thousand of these, so rules are evaluated once per
    combination.
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
    provider_name = models.TextField(
        null=True
    )  # ProviderName, or ServiceProviderName where a file has only that
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

    # In an order in which an entry of the index has no padding.
    pk = models.CompositePrimaryKey("scope_id", "line", "file_number", "billing_month")
    billing_month = models.DateField()
    # Of a delivery of several files: which of Import.files.
    file_number = models.SmallIntegerField(default=0, db_default=0)
    scope_id = models.BigIntegerField()  # charge_scope.id
    line = (
        models.BigIntegerField()
    )  # line of the delivered file (data row ordinal + header for Parquet)
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
