"""Other names of teams and features."""

import django.db.models.deletion
from django.db import migrations, models


def alias(owner: str) -> list[tuple[str, models.Field]]:
    return [
        (
            "id",
            models.BigAutoField(
                auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
            ),
        ),
        ("name", models.TextField()),
        ("name_key", models.TextField()),
        ("valid_from", models.DateField(null=True)),
        (
            owner,
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="aliases",
                to=f"allocation.{owner}",
            ),
        ),
    ]


def once(name: str) -> dict[str, list[models.BaseConstraint]]:
    constraint = models.UniqueConstraint(
        fields=("name_key", "valid_from"), name=name, nulls_distinct=False
    )
    return {"constraints": [constraint]}


class Migration(migrations.Migration):
    dependencies = [("allocation", "0005_drivers")]

    operations = [
        migrations.CreateModel(
            name="TeamAlias", fields=alias("team"), options=once("team_alias_once")
        ),
        migrations.CreateModel(
            name="FeatureAlias", fields=alias("feature"), options=once("feature_alias_once")
        ),
    ]
