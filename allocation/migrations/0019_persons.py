"""Who made calls, and for which repository: on the spans, and in a daily rollup of their own."""

from pathlib import Path

from django.db import migrations, models

import allocation.models.fields

FOLDER = Path(__file__).parent / "sql"
SQL = (FOLDER / "0019_persons.sql").read_text(encoding="utf-8")
FORMER = (FOLDER / "0015_calls.sql").read_text(encoding="utf-8")
FORMER_VIEW = FORMER[FORMER.index("CREATE VIEW call_as_counted") :]


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0018_teaching"),
    ]

    operations = [
        migrations.CreateModel(
            name="PersonName",
            fields=[
                ("person", models.TextField(primary_key=True, serialize=False)),
                ("name", models.TextField()),
            ],
            options={
                "db_table": "person_name",
            },
        ),
        migrations.CreateModel(
            name="WhoDelta",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("dimension_id", models.BigIntegerField()),
                (
                    "calls",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "calls_without_usage",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "errors",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "input_uncached",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "cache_read",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "cache_write_5m",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "cache_write_1h",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "output_text",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "reasoning",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "input_audio",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "input_image",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "output_audio",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "output_image",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "cached_answers",
                    allocation.models.fields.ExactNumericField(
                        db_default=0, decimal_places=60, max_digits=120
                    ),
                ),
                (
                    "client_cost",
                    allocation.models.fields.ExactNumericField(
                        db_default=0, decimal_places=60, max_digits=120
                    ),
                ),
                (
                    "client_cost_calls",
                    allocation.models.fields.ExactNumericField(
                        db_default=0, decimal_places=60, max_digits=120
                    ),
                ),
                ("who_id", models.BigIntegerField()),
            ],
            options={
                "db_table": "who_delta",
            },
        ),
        migrations.AddField(
            model_name="mergedcall",
            name="who_id",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="span",
            name="who_id",
            field=models.BigIntegerField(null=True),
        ),
        migrations.CreateModel(
            name="UsageWho",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("person", models.TextField(null=True)),
                ("repository", models.TextField(null=True)),
            ],
            options={
                "db_table": "usage_who",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("person", "repository"), name="usage_who_once", nulls_distinct=False
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WhoDaily",
            fields=[
                ("hour", models.DateTimeField()),
                ("dimension_id", models.BigIntegerField()),
                (
                    "calls",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "calls_without_usage",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "errors",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "input_uncached",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "cache_read",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "cache_write_5m",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "cache_write_1h",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "output_text",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "reasoning",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "input_audio",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "input_image",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "output_audio",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "output_image",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                (
                    "cached_answers",
                    allocation.models.fields.ExactNumericField(
                        db_default=0, decimal_places=60, max_digits=120
                    ),
                ),
                (
                    "client_cost",
                    allocation.models.fields.ExactNumericField(
                        db_default=0, decimal_places=60, max_digits=120
                    ),
                ),
                (
                    "client_cost_calls",
                    allocation.models.fields.ExactNumericField(
                        db_default=0, decimal_places=60, max_digits=120
                    ),
                ),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "hour",
                        "dimension_id",
                        "who_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("who_id", models.BigIntegerField()),
                (
                    "list_cost",
                    allocation.models.fields.CostField(
                        decimal_places=60, max_digits=120, null=True
                    ),
                ),
                ("price_version_id", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": "who_daily",
                "indexes": [
                    models.Index(
                        condition=models.Q(("price_version_id", None)),
                        fields=["hour"],
                        name="who_daily_to_price",
                    )
                ],
            },
        ),
        migrations.RunSQL(SQL, "DROP VIEW call_as_counted;" + FORMER_VIEW),
    ]
