"""Days that say the same share a slice; what is spread over several days has slices of its own."""

from django.db import migrations, models

SPREAD = """
ALTER TABLE run_slice ADD COLUMN is_spread boolean NOT NULL DEFAULT false;
ALTER TABLE run_slice DROP CONSTRAINT run_slice_pkey;
ALTER TABLE run_slice ADD PRIMARY KEY (run_id, part, day, is_spread);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0011_validity"),
    ]

    operations = [
        migrations.RemoveField(model_name="ledgerslice", name="day"),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(SPREAD, migrations.RunSQL.noop)],
            state_operations=[
                migrations.AddField("runslice", "is_spread", models.BooleanField(default=False)),
                migrations.AlterField(
                    "runslice",
                    "pk",
                    models.CompositePrimaryKey(
                        "run_id",
                        "part",
                        "day",
                        "is_spread",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
            ],
        ),
    ]
