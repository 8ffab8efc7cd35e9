"""Who else tells of a service's calls, and when."""

from pathlib import Path

from django.db import migrations, models

SQL = (Path(__file__).parent / "sql" / "0020_call_observers.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("allocation", "0019_persons")]

    operations = [
        migrations.RunSQL(SQL),
        migrations.AddIndex(
            "usagedimension",
            models.Index(
                models.F("service"),
                models.F("scope"),
                condition=models.Q(is_inference=True),
                name="dimension_of_observers",
            ),
        ),
    ]
