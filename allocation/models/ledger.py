"""The ledger's tables. A run is a set of slices; runs whose slice of a day says the same share it.

Rows stand in `slice_...` tables, written once and never changed. Readers use the views below them,
which give every run its rows as if they were its own.
"""

from __future__ import annotations

from django.db import models

from allocation.models.fields import CostField, ExactNumericField


class ChargeKind(models.TextChoices):
    DIRECT = "direct"
    SHARED = "shared"
    IDLE = "idle"
    UNTRACED = "untraced"
    ADJUSTMENT = "adjustment"
    TAX = "tax"
    CREDIT = "credit"
    COMMITMENT_UNUSED = "commitment_unused"
    UNALLOCATED = "unallocated"


class Evidence(models.IntegerChoices):
    """The rung of evidence behind an allocated line."""

    TRACES = 1
    GATEWAY_LOGS = 2
    PROVIDER_USAGE = 3
    KEY_OWNER = 4
    INFERRED_OWNER = 5
    UNALLOCATED = 6


class LedgerSlice(models.Model):
    """What one or more days of one part of a month's ledger say, in one currency.

    Parts are the stages of a run (0 and up: what later stages are weighted by), FOLLOWERS, and
    USAGE. `content_sha256` covers everything that stands under the slice; NULL while it is written,
    and where it cannot be shared.
    """

    billing_month = models.DateField()
    currency = models.TextField()
    part = models.SmallIntegerField()
    rows = models.BigIntegerField(default=0)
    sha256 = models.TextField(null=True)  # of the canonical CSV of its shares
    content_sha256 = models.TextField(null=True)

    class Meta:
        db_table = "ledger_slice"
        indexes = [models.Index(fields=["billing_month"], name="ledger_slice_month")]


class RunSlice(models.Model):
    """The slices that make a run: one per part and day, and one for what is spread over several
    days.
    """

    pk = models.CompositePrimaryKey("run_id", "part", "day", "is_spread")
    run_id = models.BigIntegerField()
    part = models.SmallIntegerField()
    day = models.DateField()
    is_spread = models.BooleanField(default=False)
    billing_month = models.DateField()
    slice_id = models.BigIntegerField()
    # Of what the stage's slices of the day were made of (allocation.plans.planner); a run that
    # would make them of the same takes them over.
    fingerprint = models.TextField(null=True)

    class Meta:
        db_table = "run_slice"
        indexes = [models.Index(fields=["slice_id"], name="run_slice_slice")]


class SplitTold(models.Model):
    """What a split key's charges have in common."""

    rule = models.TextField()
    method = models.TextField()  # allocation.rules.methods.METHODS
    ai_scope = models.TextField()  # ai, ai_supporting, other
    provider_name = models.TextField(null=True)
    service_name = models.TextField(null=True)
    charge_category = models.TextField()
    # {"provider", "project", "model", "token_class", "owner", ...}; what the driver is matched on
    split_key = models.JSONField()

    class Meta:
        abstract = True


class StoredSplitKey(SplitTold):
    """Charges with equal rule and split key. With a day it is a charge group. Every run that has it
    means this one.
    """

    source = models.ForeignKey("allocation.Source", on_delete=models.PROTECT)
    content_hash = models.BinaryField()  # of all but the source's id: the same in any database

    class Meta:
        db_table = "split_key"
        constraints = [
            models.UniqueConstraint(fields=["source", "content_hash"], name="split_key_once")
        ]


class RunSplitKey(models.Model):
    """The split keys of a run."""

    pk = models.CompositePrimaryKey("run_id", "split_key_id")
    run_id = models.BigIntegerField()
    split_key_id = models.BigIntegerField()

    class Meta:
        db_table = "run_split_key"


class ChargeToSplitKey(models.Model):
    """The run's charge-to-group map: every charge of the run's scopes with this dimension is in
    this split key, on its own days.
    """

    pk = models.CompositePrimaryKey("run_id", "source_id", "dimension_id", "variant")
    run_id = models.BigIntegerField()
    source_id = models.BigIntegerField()
    dimension_id = models.BigIntegerField()
    variant = models.BigIntegerField(
        default=0
    )  # which of the rules' row tests the charges pass (allocation.rules.row_tests)
    split_key_id = models.BigIntegerField()

    class Meta:
        db_table = "charge_to_split_key"


class StoredTarget(models.Model):
    """Who a share belongs to. `reason` is set exactly for the unallocated ones."""

    content_hash = models.BinaryField(unique=True)
    team = models.TextField(null=True)
    model = models.TextField(null=True)
    feature = models.TextField(null=True)
    product = models.TextField(null=True)
    environment = models.TextField(null=True)
    customer = models.TextField(null=True)
    phase = models.TextField(null=True)  # build, run, move
    # The other side of a call between agents: who served it where the caller pays, who asked where
    # the callee does.
    partner_team = models.TextField(null=True)
    partner_feature = models.TextField(null=True)
    reason = models.TextField(
        null=True
    )  # unallocated: untraced, unknown team, no rule, driver is zero ...

    class Meta:
        db_table = "allocation_target"


class ShareOf(models.Model):
    """A target's share of a split key, of one kind."""

    split_key_id = models.BigIntegerField()
    target_id = models.BigIntegerField()
    charge_kind = models.TextField(choices=ChargeKind.choices)
    billed_cost = CostField()
    effective_cost = CostField()
    list_cost = CostField(null=True)
    driver_quantity = ExactNumericField(null=True)
    evidence = models.SmallIntegerField(choices=Evidence.choices)

    class Meta:
        abstract = True


class SliceShare(ShareOf):
    """Charge group x target x kind (partitioned by billing_month)."""

    pk = models.CompositePrimaryKey(
        "billing_month", "slice_id", "split_key_id", "target_id", "charge_kind"
    )
    billing_month = models.DateField()
    slice_id = models.BigIntegerField()

    class Meta:
        db_table = "slice_share"


class GroupMeasures(models.Model):
    """What is split, and by which driver total. Copied, so Explain survives retention."""

    charges = models.BigIntegerField()
    billed_cost = CostField()
    effective_cost = CostField()
    list_cost = CostField(null=True)
    quantity = ExactNumericField(null=True)  # billed quantity in tokens where the unit converts
    driver = models.TextField(null=True)  # input_uncached tokens, list cost ...
    driver_total = ExactNumericField(null=True)
    coverage = ExactNumericField(
        null=True
    )  # traced / billed quantity; NULL where the quantity does not convert
    widened = models.TextField(
        null=True
    )  # month, model, provider: where a narrower join had no data
    note = models.TextField(null=True)

    class Meta:
        abstract = True


class SliceGroup(GroupMeasures):
    """One charge group: a split key on a day that has the slice."""

    pk = models.CompositePrimaryKey("slice_id", "split_key_id")
    slice_id = models.BigIntegerField()
    split_key_id = models.BigIntegerField()

    class Meta:
        db_table = "slice_group"


class LineNames(models.Model):
    """Everything but the day that pages group costs by."""

    currency = models.TextField()
    source_id = models.BigIntegerField()
    ai_scope = models.TextField()
    provider_name = models.TextField(null=True)
    service_name = models.TextField(null=True)
    team = models.TextField(null=True)
    product = models.TextField(null=True)
    feature = models.TextField(null=True)
    model = models.TextField(null=True)
    environment = models.TextField(null=True)
    phase = models.TextField(null=True)
    charge_kind = models.TextField()
    rule = models.TextField()
    reason = models.TextField(null=True)
    with_invoice = models.TextField(null=True)  # what comes with the invoice; NULL: day by day

    class Meta:
        abstract = True


class CostLine(LineNames):
    """One distinct combination of names; daily costs point at it, so that a long ledger is summed
    by numbers.
    """

    content_hash = models.BinaryField(unique=True)
    chargeback_key = models.UUIDField()  # equal for what the chargeback file shows as one line

    class Meta:
        db_table = "cost_line"


class SliceCost(models.Model):
    """Rollup of the slice's shares: line x evidence; customer and split key are summed away."""

    pk = models.CompositePrimaryKey("slice_id", "line_id", "evidence")
    slice_id = models.BigIntegerField()
    line_id = models.BigIntegerField()
    evidence = models.SmallIntegerField()
    billed_cost = CostField()
    effective_cost = CostField()
    list_cost = CostField(null=True)

    class Meta:
        db_table = "slice_cost"


class UsageMeasured(models.Model):
    """Calls and tokens per target."""

    team = models.TextField(null=True)
    feature = models.TextField(null=True)
    model = models.TextField(null=True)
    environment = models.TextField(null=True)
    phase = models.TextField(null=True)
    calls = ExactNumericField()
    tokens_input = ExactNumericField()
    tokens_output = ExactNumericField()
    cost_variance = models.FloatField(
        db_default=0.0
    )  # of the effective cost, by sampling alone (allocation.usage.sampling)

    class Meta:
        abstract = True


class SliceUsage(UsageMeasured):
    """The slice's usage by target."""

    slice_id = models.BigIntegerField()

    class Meta:
        db_table = "slice_usage"
        indexes = [models.Index(fields=["slice_id"], name="slice_usage_slice")]


class SliceBalance(models.Model):
    """A slice's shares by source: what was allocated, what was not, and what of both is outside the
    AI scope.
    """

    pk = models.CompositePrimaryKey("slice_id", "source_id")
    slice_id = models.BigIntegerField()
    source_id = models.BigIntegerField()
    billed_allocated = CostField()
    billed_unallocated = CostField()
    billed_other = CostField()
    effective_allocated = CostField()
    effective_unallocated = CostField()
    effective_other = CostField()

    class Meta:
        db_table = "slice_balance"


class ScopeCharges(models.Model):
    """A published snapshot's charges by dimension and UTC day, kept because they never change.

    Charges that touch several days stand on their first one, with their period. Sums are exact; a
    list cost or a quantity is NULL where any charge lacks it.
    """

    scope_id = models.BigIntegerField()
    dimension_id = models.BigIntegerField()
    first_day = models.DateField()
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    charges = models.BigIntegerField()
    billed_cost = CostField()
    effective_cost = CostField()
    list_cost = CostField(null=True)
    consumed_quantity = ExactNumericField(null=True)
    pricing_quantity = ExactNumericField(null=True)

    class Meta:
        db_table = "scope_charges"
        indexes = [models.Index(fields=["scope_id"], name="scope_charges_scope")]


# ---------------------------------------------------------------- what readers see: runs with rows


class ChargeSplitKey(SplitTold):
    """A run's split keys."""

    pk = models.CompositePrimaryKey("run_id", "split_key_id")
    run = models.ForeignKey("allocation.AllocationRun", on_delete=models.DO_NOTHING)
    split_key_id = models.BigIntegerField()
    source = models.ForeignKey("allocation.Source", on_delete=models.DO_NOTHING)

    class Meta:
        managed = False
        db_table = "charge_split_key"


class LedgerGroup(GroupMeasures):
    """Run x split key x day."""

    pk = models.CompositePrimaryKey("run_id", "split_key_id", "day")
    run_id = models.BigIntegerField()
    split_key_id = models.BigIntegerField()
    day = models.DateField()

    class Meta:
        managed = False
        db_table = "charge_group"


class AllocatedCost(ShareOf):
    """Run x charge group x target x kind: the ledger."""

    pk = models.CompositePrimaryKey(
        "billing_month", "run_id", "split_key_id", "day", "target_id", "charge_kind"
    )
    billing_month = models.DateField()
    run_id = models.BigIntegerField()
    day = models.DateField()

    class Meta:
        managed = False
        db_table = "allocated_cost"


class CostDaily(LineNames):
    """Run x day x everything pages group by: the rollup that pages read. A test compares it with
    allocated_cost.

    A line may have two rows on a day, one of charges of several days: their costs add up.
    """

    pk = models.CompositePrimaryKey("run_id", "day", "line_id", "evidence")
    run_id = models.BigIntegerField()
    billing_month = models.DateField()
    day = models.DateField()
    line_id = models.BigIntegerField()
    chargeback_key = models.UUIDField()
    evidence = models.SmallIntegerField()
    billed_cost = CostField()
    effective_cost = CostField()
    list_cost = CostField(null=True)

    class Meta:
        managed = False
        db_table = "cost_daily"


class UsageDaily(UsageMeasured):
    """Run x day x target: what unit costs divide by. A cache of usage at the time of the run.

    Days that say the same have the same `id`: a row is known by it and by its run and day.
    """

    run_id = models.BigIntegerField()
    day = models.DateField()

    class Meta:
        managed = False
        db_table = "usage_daily"
