"""Rates of one month between two currencies, never changed once frozen; and the kinds of delivered driver files."""

from django.db import migrations, models

import allocation.models.fields

FREEZE = """
CREATE FUNCTION refuse_frozen_rate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the rate % to % of % is frozen', OLD.base, OLD.quote, to_char(OLD.month, 'YYYY-MM')
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER exchange_rate_frozen BEFORE UPDATE OR DELETE ON allocation_exchangerate
    FOR EACH ROW WHEN (OLD.frozen_at IS NOT NULL) EXECUTE FUNCTION refuse_frozen_rate();
"""
UNDO = "DROP TRIGGER exchange_rate_frozen ON allocation_exchangerate; DROP FUNCTION refuse_frozen_rate();"


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0007_rule_preview"),
    ]

    operations = [
        migrations.AlterField(
            model_name="import",
            name="kind",
            field=models.TextField(
                choices=[
                    ("bill", "bill"),
                    ("traces", "traces"),
                    ("series", "driver series"),
                    ("gpu_usage", "GPU usage"),
                    ("provider_usage", "provider usage"),
                    ("identity_owners", "identity owners"),
                    ("exchange_rates", "exchange rates"),
                ],
                default="bill",
            ),
        ),
        migrations.CreateModel(
            name="ExchangeRate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("month", models.DateField()),
                ("base", models.TextField()),
                ("quote", models.TextField()),
                (
                    "rate",
                    allocation.models.fields.ExactNumericField(decimal_places=60, max_digits=120),
                ),
                ("source", models.TextField()),
                ("uploaded_at", models.DateTimeField()),
                ("frozen_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("month", "base", "quote"), name="exchange_rate_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rate__gt", 0), ("rate__lt", 1000000000000000)),
                        name="exchange_rate_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("base", models.F("quote")), _negated=True),
                        name="exchange_rate_of_two_currencies",
                    ),
                ],
            },
        ),
        migrations.RunSQL(FREEZE, UNDO),
    ]
