"""Plans of spend in versions that are never altered, and those in force."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

import allocation.models.fields

SQL = (Path(__file__).parent / "sql" / "0022_spend_plan.sql").read_text(encoding="utf-8")
UNDO = "DROP VIEW spend_plan; DROP FUNCTION refuse_altered_plan() CASCADE;"


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0021_invoice_charges"),
    ]

    operations = [
        migrations.CreateModel(
            name="SpendPlanVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField(unique=True)),
                ("created_at", models.DateTimeField()),
                ("created_by", models.TextField(null=True)),
                ("origin", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="SpendPlanAmount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("month", models.DateField()),
                ("account", models.TextField(default="")),
                (
                    "amount",
                    allocation.models.fields.CostField(
                        decimal_places=60, max_digits=120, null=True
                    ),
                ),
                ("currency", models.TextField(null=True)),
                (
                    "cost_center",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="allocation.costcenter",
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, to="allocation.team"
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="amounts",
                        to="allocation.spendplanversion",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("version", "month", "team", "cost_center", "account"),
                        name="spend_plan_once_a_version",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("team__isnull", True), ("cost_center__isnull", True), _connector="XOR"
                        ),
                        name="spend_plan_of_one_holder",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("amount__isnull", True), ("currency__isnull", True)),
                            models.Q(
                                ("amount__gte", 0),
                                ("amount__lt", 1000000000000000),
                                ("currency__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="spend_plan_amount",
                    ),
                ],
            },
        ),
        migrations.RunSQL(SQL, UNDO),
    ]
