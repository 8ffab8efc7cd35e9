"""Usage by day, summed up once for every run that reads it."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "sql" / "0013_usage_days.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0012_slices_of_days"),
    ]

    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
