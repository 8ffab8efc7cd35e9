"""From which day on a business unit, or a cost centre with its mode, is of which legal entity."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0010_slices"),
    ]

    operations = [
        migrations.CreateModel(
            name="BusinessUnitPlacement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("valid_from", models.DateField()),
                (
                    "business_unit",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="placements",
                        to="allocation.businessunit",
                    ),
                ),
                (
                    "legal_entity",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="allocation.legalentity"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("business_unit", "valid_from"), name="unit_placement_once_a_day"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CostCenterPlacement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "mode",
                    models.TextField(
                        choices=[("showback", "Showback"), ("chargeback", "Chargeback")]
                    ),
                ),
                ("valid_from", models.DateField()),
                (
                    "cost_center",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="placements",
                        to="allocation.costcenter",
                    ),
                ),
                (
                    "legal_entity",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="allocation.legalentity"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("cost_center", "valid_from"), name="center_placement_once_a_day"
                    )
                ],
            },
        ),
    ]
