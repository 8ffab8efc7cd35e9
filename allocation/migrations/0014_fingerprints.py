"""Runs keep what their slices were made of, and snapshots the sums of their charges by day."""

from django.db import migrations, models

from allocation.models.fields import CostField, ExactNumericField


class Migration(migrations.Migration):
    dependencies = [("allocation", "0013_usage_days")]

    operations = [
        migrations.RemoveField(model_name="allocationrun", name="basis"),
        migrations.AddField(
            model_name="runslice", name="fingerprint", field=models.TextField(null=True)
        ),
        migrations.DeleteModel(name="ScopeCharges"),
        migrations.CreateModel(
            name="ScopeCharges",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("scope_id", models.BigIntegerField()),
                ("dimension_id", models.BigIntegerField()),
                ("first_day", models.DateField()),
                ("period_start", models.DateTimeField(null=True)),
                ("period_end", models.DateTimeField(null=True)),
                ("charges", models.BigIntegerField()),
                ("billed_cost", CostField()),
                ("effective_cost", CostField()),
                ("list_cost", CostField(null=True)),
                ("consumed_quantity", ExactNumericField(null=True)),
                ("pricing_quantity", ExactNumericField(null=True)),
            ],
            options={
                "db_table": "scope_charges",
                "indexes": [models.Index(fields=["scope_id"], name="scope_charges_scope")],
            },
        ),
    ]
