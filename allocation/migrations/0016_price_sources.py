"""Prices of several sources, each price with its own."""

from django.db import migrations, models

from allocation.models.fields import ExactNumericField

NAMED = """
UPDATE allocation_price AS p SET source = v.source
FROM allocation_priceversion AS v WHERE v.id = p.version_id
"""


class Migration(migrations.Migration):
    dependencies = [("allocation", "0015_calls")]

    operations = [
        migrations.AlterField("priceversion", "content_sha256", models.TextField()),
        migrations.AddField("price", "source", models.TextField(default="", db_default="")),
        migrations.RunSQL(NAMED, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="SourcePrice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.TextField()),
                ("provider", models.TextField()),
                ("model", models.TextField()),
                ("tier", models.TextField(null=True)),
                ("token_class", models.TextField()),
                ("context_from", models.IntegerField(default=0)),
                ("valid_from", models.DateField(null=True)),
                ("per_million", ExactNumericField()),
                ("overrides", models.BooleanField(default=False)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=(
                            "kind",
                            "provider",
                            "model",
                            "tier",
                            "token_class",
                            "context_from",
                            "valid_from",
                        ),
                        nulls_distinct=False,
                        name="source_price_once",
                    )
                ]
            },
        ),
    ]
