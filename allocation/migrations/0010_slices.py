"""The ledger in slices that runs share. Ledgers of runs are made anew: what stood there is a result, not a source."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

import allocation.models.fields

SQL = (Path(__file__).parent / "sql" / "0010_slices.sql").read_text(encoding="utf-8")
DROP = """
DROP TABLE allocated_cost, charge_group, cost_daily, usage_daily, charge_split_key;
DROP FUNCTION ensure_allocated_cost_partition(date);
DELETE FROM charge_to_split_key;
UPDATE allocation_allocationrun SET is_current = false;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0009_attribution"),
    ]

    operations = [
        migrations.RunSQL(DROP, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterModelOptions(
                    name="allocatedcost",
                    options={"managed": False},
                ),
                migrations.AlterModelOptions(
                    name="chargesplitkey",
                    options={"managed": False},
                ),
                migrations.AlterModelOptions(
                    name="ledgergroup",
                    options={"managed": False},
                ),
                migrations.AlterModelOptions(
                    name="costdaily",
                    options={"managed": False},
                ),
                migrations.AlterModelOptions(
                    name="usagedaily",
                    options={"managed": False},
                ),
            ]
        ),
        migrations.AddField(
            model_name="allocationrun", name="basis", field=models.JSONField(default=dict)
        ),
        migrations.CreateModel(
            name="CostLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("currency", models.TextField()),
                ("source_id", models.BigIntegerField()),
                ("ai_scope", models.TextField()),
                ("provider_name", models.TextField(null=True)),
                ("service_name", models.TextField(null=True)),
                ("team", models.TextField(null=True)),
                ("product", models.TextField(null=True)),
                ("feature", models.TextField(null=True)),
                ("model", models.TextField(null=True)),
                ("environment", models.TextField(null=True)),
                ("phase", models.TextField(null=True)),
                ("charge_kind", models.TextField()),
                ("rule", models.TextField()),
                ("reason", models.TextField(null=True)),
                ("content_hash", models.BinaryField(unique=True)),
                ("chargeback_key", models.UUIDField()),
            ],
            options={
                "db_table": "cost_line",
            },
        ),
        migrations.CreateModel(
            name="RunSplitKey",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "run_id",
                        "split_key_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("run_id", models.BigIntegerField()),
                ("split_key_id", models.BigIntegerField()),
            ],
            options={
                "db_table": "run_split_key",
            },
        ),
        migrations.CreateModel(
            name="ScopeCharges",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "scope_id",
                        "dimension_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("scope_id", models.BigIntegerField()),
                ("dimension_id", models.BigIntegerField()),
                ("charges", models.BigIntegerField()),
                (
                    "billed_cost",
                    allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                ),
                (
                    "effective_cost",
                    allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                ),
                ("first_day", models.DateField()),
                ("last_day", models.DateField()),
            ],
            options={
                "db_table": "scope_charges",
            },
        ),
        migrations.CreateModel(
            name="SliceBalance",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "slice_id",
                        "source_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("slice_id", models.BigIntegerField()),
                ("source_id", models.BigIntegerField()),
                (
                    "billed_allocated",
                    allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                ),
                (
                    "billed_unallocated",
                    allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                ),
                (
                    "billed_other",
                    allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                ),
                (
                    "effective_allocated",
                    allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                ),
                (
                    "effective_unallocated",
                    allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                ),
                (
                    "effective_other",
                    allocation.models.fields.CostField(decimal_places=60, max_digits=120),
                ),
            ],
            options={
                "db_table": "slice_balance",
            },
        ),
        migrations.CreateModel(
            name="SliceCost",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "slice_id",
                        "line_id",
                        "evidence",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("slice_id", models.BigIntegerField()),
                ("line_id", models.BigIntegerField()),
                ("evidence", models.SmallIntegerField()),
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
            ],
            options={
                "db_table": "slice_cost",
            },
        ),
        migrations.CreateModel(
            name="SliceGroup",
            fields=[
                ("charges", models.BigIntegerField()),
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
                    "quantity",
                    allocation.models.fields.ExactNumericField(
                        decimal_places=60, max_digits=120, null=True
                    ),
                ),
                ("driver", models.TextField(null=True)),
                (
                    "driver_total",
                    allocation.models.fields.ExactNumericField(
                        decimal_places=60, max_digits=120, null=True
                    ),
                ),
                (
                    "coverage",
                    allocation.models.fields.ExactNumericField(
                        decimal_places=60, max_digits=120, null=True
                    ),
                ),
                ("widened", models.TextField(null=True)),
                ("note", models.TextField(null=True)),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "slice_id",
                        "split_key_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("slice_id", models.BigIntegerField()),
                ("split_key_id", models.BigIntegerField()),
            ],
            options={
                "db_table": "slice_group",
            },
        ),
        migrations.AlterField(
            model_name="chargetosplitkey",
            name="split_key_id",
            field=models.BigIntegerField(),
        ),
        migrations.CreateModel(
            name="StoredSplitKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("content_hash", models.BinaryField()),
                ("rule", models.TextField()),
                ("method", models.TextField()),
                ("ai_scope", models.TextField()),
                ("provider_name", models.TextField(null=True)),
                ("service_name", models.TextField(null=True)),
                ("charge_category", models.TextField()),
                ("split_key", models.JSONField()),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="allocation.source"
                    ),
                ),
            ],
            options={
                "db_table": "split_key",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source", "content_hash"), name="split_key_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LedgerSlice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("billing_month", models.DateField()),
                ("currency", models.TextField()),
                ("part", models.SmallIntegerField()),
                ("day", models.DateField()),
                ("rows", models.BigIntegerField(default=0)),
                ("sha256", models.TextField(null=True)),
                ("content_sha256", models.TextField(null=True)),
            ],
            options={
                "db_table": "ledger_slice",
                "indexes": [models.Index(fields=["billing_month"], name="ledger_slice_month")],
            },
        ),
        migrations.CreateModel(
            name="RunSlice",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "run_id",
                        "part",
                        "day",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("run_id", models.BigIntegerField()),
                ("part", models.SmallIntegerField()),
                ("day", models.DateField()),
                ("billing_month", models.DateField()),
                ("slice_id", models.BigIntegerField()),
            ],
            options={
                "db_table": "run_slice",
                "indexes": [models.Index(fields=["slice_id"], name="run_slice_slice")],
            },
        ),
        migrations.CreateModel(
            name="SliceUsage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("team", models.TextField(null=True)),
                ("feature", models.TextField(null=True)),
                ("model", models.TextField(null=True)),
                ("environment", models.TextField(null=True)),
                ("phase", models.TextField(null=True)),
                (
                    "calls",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "tokens_input",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "tokens_output",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                ("cost_variance", models.FloatField(db_default=0.0)),
                ("slice_id", models.BigIntegerField()),
            ],
            options={
                "db_table": "slice_usage",
                "indexes": [models.Index(fields=["slice_id"], name="slice_usage_slice")],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(SQL, migrations.RunSQL.noop)],
            state_operations=[
                migrations.CreateModel(
                    name="SliceShare",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "billing_month",
                                "slice_id",
                                "split_key_id",
                                "target_id",
                                "charge_kind",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("billing_month", models.DateField()),
                        ("slice_id", models.BigIntegerField()),
                        ("split_key_id", models.BigIntegerField()),
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
                        "db_table": "slice_share",
                    },
                ),
            ],
        ),
    ]
