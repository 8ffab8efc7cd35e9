"""What late runs build upon: what was given by the day, quantities of groups, and the state of reports."""

from pathlib import Path

from django.db import migrations, models

import allocation.models.fields

SQL = (Path(__file__).parent / "sql" / "0014_reports.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0013_usage_days"),
    ]

    operations = [
        migrations.CreateModel(
            name="RunGiven",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "run_id",
                        "bucket",
                        "target_id",
                        "evidence",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("run_id", models.BigIntegerField()),
                ("bucket", models.BigIntegerField()),
                ("target_id", models.BigIntegerField()),
                ("evidence", models.SmallIntegerField()),
                ("shares", models.BigIntegerField()),
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
                "db_table": "run_given",
            },
        ),
        migrations.AddField(
            model_name="slicegroup",
            name="consumed_quantity",
            field=allocation.models.fields.ExactNumericField(
                decimal_places=60, max_digits=120, null=True
            ),
        ),
        migrations.AddField(
            model_name="slicegroup",
            name="pricing_quantity",
            field=allocation.models.fields.ExactNumericField(
                decimal_places=60, max_digits=120, null=True
            ),
        ),
        migrations.RunSQL(SQL, migrations.RunSQL.noop),
    ]
