"""Tables that are partitioned, and the functions that make and drop their partitions. The SQL stands in sql/."""

from pathlib import Path

from django.db import migrations, models

import allocation.models.fields

SQL = (Path(__file__).parent / "sql" / "0002_partitioned_tables.sql").read_text(encoding="utf-8")
UNDO = """
DROP TABLE allocated_cost, span, charge CASCADE;
DROP FUNCTION ensure_charge_partition(date), ensure_allocated_cost_partition(date), ensure_span_partition(date),
    drop_span_partition(date);
"""


class Migration(migrations.Migration):
    dependencies = [("allocation", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(SQL, UNDO)],
            state_operations=[
                migrations.CreateModel(
                    name="Charge",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "scope_id",
                                "line",
                                "file_number",
                                "billing_month",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("billing_month", models.DateField()),
                        ("file_number", models.SmallIntegerField(db_default=0, default=0)),
                        ("scope_id", models.BigIntegerField()),
                        ("line", models.BigIntegerField()),
                        ("dimension_id", models.BigIntegerField()),
                        ("charge_period_start", models.DateTimeField()),
                        ("charge_period_end", models.DateTimeField()),
                        (
                            "billed_cost",
                            allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                        ),
                        (
                            "effective_cost",
                            allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                        ),
                        (
                            "list_cost",
                            allocation.models.fields.CostField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        (
                            "contracted_cost",
                            allocation.models.fields.CostField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        (
                            "list_unit_price",
                            allocation.models.fields.ExactNumericField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        (
                            "contracted_unit_price",
                            allocation.models.fields.ExactNumericField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        (
                            "consumed_quantity",
                            allocation.models.fields.ExactNumericField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        (
                            "pricing_quantity",
                            allocation.models.fields.ExactNumericField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        (
                            "commitment_discount_quantity",
                            allocation.models.fields.ExactNumericField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        (
                            "pricing_currency_effective_cost",
                            allocation.models.fields.ExactNumericField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        (
                            "pricing_currency_list_unit_price",
                            allocation.models.fields.ExactNumericField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        (
                            "pricing_currency_contracted_unit_price",
                            allocation.models.fields.ExactNumericField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        ("extra", models.JSONField(null=True)),
                    ],
                    options={
                        "db_table": "charge",
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("billed_cost__lt", 1000000000000000),
                                    ("billed_cost__gt", -1000000000000000),
                                    ("effective_cost__lt", 1000000000000000),
                                    ("effective_cost__gt", -1000000000000000),
                                ),
                                name="charge_cost_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "charge_period_end__gt",
                                        models.F("charge_period_start"),
                                    )
                                ),
                                name="charge_period_ordered",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Span",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "span_day",
                                "trace_id",
                                "span_id",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("span_day", models.DateField()),
                        ("trace_id", models.UUIDField()),
                        ("span_id", models.BigIntegerField()),
                        ("parent_span_id", models.BigIntegerField(null=True)),
                        ("dimension_id", models.BigIntegerField()),
                        ("started_at", models.DateTimeField()),
                        ("duration_us", models.BigIntegerField()),
                        ("received_at", models.DateTimeField()),
                        ("name", models.TextField()),
                        ("status_code", models.SmallIntegerField(default=0)),
                        ("error_type", models.TextField(null=True)),
                        ("counted", models.BooleanField()),
                        ("not_counted", models.TextField(null=True)),
                        (
                            "adjusted_count",
                            allocation.models.fields.ExactNumericField(
                                decimal_places=60, default=1, max_digits=120
                            ),
                        ),
                        ("input_uncached", models.BigIntegerField(default=0)),
                        ("cache_read", models.BigIntegerField(default=0)),
                        ("cache_write_5m", models.BigIntegerField(default=0)),
                        ("cache_write_1h", models.BigIntegerField(default=0)),
                        ("output_text", models.BigIntegerField(default=0)),
                        ("reasoning", models.BigIntegerField(default=0)),
                        ("input_audio", models.BigIntegerField(default=0)),
                        ("input_image", models.BigIntegerField(default=0)),
                        ("output_audio", models.BigIntegerField(default=0)),
                        ("output_image", models.BigIntegerField(default=0)),
                        ("has_usage", models.BooleanField(default=False)),
                        ("usage_shape", models.TextField(null=True)),
                        ("session_id", models.TextField(null=True)),
                        ("response_id", models.TextField(null=True)),
                        ("time_to_first_chunk_us", models.BigIntegerField(null=True)),
                        ("finish_reason", models.TextField(null=True)),
                        (
                            "client_cost",
                            allocation.models.fields.ExactNumericField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        ("attributes", models.JSONField(null=True)),
                    ],
                    options={
                        "db_table": "span",
                    },
                ),
                migrations.CreateModel(
                    name="AllocatedCost",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "billing_month",
                                "run_id",
                                "split_key_id",
                                "day",
                                "target_id",
                                "charge_kind",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("billing_month", models.DateField()),
                        ("run_id", models.BigIntegerField()),
                        ("split_key_id", models.IntegerField()),
                        ("day", models.DateField()),
                        ("target_id", models.BigIntegerField()),
                        (
                            "charge_kind",
                            models.TextField(
                                choices=[
                                    ("direct", "Direct"),
                                    ("shared", "Shared"),
                                    ("idle", "Idle"),
                                    ("untraced", "Untraced"),
                                    ("adjustment", "Adjustment"),
                                    ("tax", "Tax"),
                                    ("credit", "Credit"),
                                    ("commitment_unused", "Commitment Unused"),
                                    ("unallocated", "Unallocated"),
                                ]
                            ),
                        ),
                        (
                            "billed_cost",
                            allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                        ),
                        (
                            "effective_cost",
                            allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                        ),
                        (
                            "list_cost",
                            allocation.models.fields.CostField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        (
                            "driver_quantity",
                            allocation.models.fields.ExactNumericField(
                                decimal_places=60, max_digits=120, null=True
                            ),
                        ),
                        (
                            "evidence",
                            models.SmallIntegerField(
                                choices=[
                                    (1, "Traces"),
                                    (2, "Gateway Logs"),
                                    (3, "Provider Usage"),
                                    (4, "Key Owner"),
                                    (5, "Inferred Owner"),
                                    (6, "Unallocated"),
                                ]
                            ),
                        ),
                    ],
                    options={
                        "db_table": "allocated_cost",
                    },
                ),
            ],
        ),
    ]
