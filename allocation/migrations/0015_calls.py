"""Calls as they count: merged of the spans that tell of them; skeletons of thinned spans."""

from pathlib import Path

import django.contrib.postgres.fields
from django.db import migrations, models

import allocation.models.fields

SQL = (Path(__file__).parent / "sql" / "0015_calls.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0014_fingerprints"),
    ]

    operations = [
        migrations.CreateModel(
            name="SpanSkeleton",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "span_day",
                        "trace_id",
                        "content_hash",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("span_day", models.DateField()),
                ("trace_id", models.UUIDField()),
                ("content_hash", models.BinaryField()),
                (
                    "span_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), size=None
                    ),
                ),
                (
                    "parent_span_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), size=None
                    ),
                ),
            ],
            options={
                "db_table": "span_skeleton",
            },
        ),
        migrations.AddField(
            model_name="usagedelta",
            name="cached_answers",
            field=allocation.models.fields.ExactNumericField(
                db_default=0, decimal_places=60, max_digits=120
            ),
        ),
        migrations.AddField(
            model_name="usagedelta",
            name="client_cost",
            field=allocation.models.fields.ExactNumericField(
                db_default=0, decimal_places=60, max_digits=120
            ),
        ),
        migrations.AddField(
            model_name="usagedelta",
            name="client_cost_calls",
            field=allocation.models.fields.ExactNumericField(
                db_default=0, decimal_places=60, max_digits=120
            ),
        ),
        migrations.AddField(
            model_name="usagedimension",
            name="scope",
            field=models.TextField(null=True),
        ),
        migrations.AddField(
            model_name="usagehourly",
            name="cached_answers",
            field=allocation.models.fields.ExactNumericField(
                db_default=0, decimal_places=60, max_digits=120
            ),
        ),
        migrations.AddField(
            model_name="usagehourly",
            name="client_cost",
            field=allocation.models.fields.ExactNumericField(
                db_default=0, decimal_places=60, max_digits=120
            ),
        ),
        migrations.AddField(
            model_name="usagehourly",
            name="client_cost_calls",
            field=allocation.models.fields.ExactNumericField(
                db_default=0, decimal_places=60, max_digits=120
            ),
        ),
        migrations.CreateModel(
            name="MergedCall",
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
                ("dimension_id", models.BigIntegerField()),
                (
                    "adjusted_count",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                ("status_code", models.SmallIntegerField()),
                ("has_usage", models.BooleanField()),
                ("input_uncached", models.BigIntegerField()),
                ("cache_read", models.BigIntegerField()),
                ("cache_write_5m", models.BigIntegerField()),
                ("cache_write_1h", models.BigIntegerField()),
                ("output_text", models.BigIntegerField()),
                ("reasoning", models.BigIntegerField()),
                ("input_audio", models.BigIntegerField()),
                ("input_image", models.BigIntegerField()),
                ("output_audio", models.BigIntegerField()),
                ("output_image", models.BigIntegerField()),
                (
                    "client_cost",
                    allocation.models.fields.ExactNumericField(
                        decimal_places=60, max_digits=120, null=True
                    ),
                ),
                ("spans", models.IntegerField()),
                ("doubt", models.TextField(null=True)),
            ],
            options={
                "db_table": "merged_call",
                "indexes": [
                    models.Index(
                        condition=models.Q(("doubt", None), _negated=True),
                        fields=["span_day"],
                        name="merged_call_in_doubt",
                    )
                ],
            },
        ),
        migrations.RunSQL(SQL, "DROP VIEW call_as_counted; DROP INDEX span_response"),
    ]
