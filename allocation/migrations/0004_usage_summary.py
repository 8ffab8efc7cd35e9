"""Usage per hour by what pages group by, and the hours of it that are stale. The SQL stands in sql/."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "sql" / "0004_usage_summary.sql").read_text(encoding="utf-8")
UNDO = """
DROP VIEW usage_by_subject, latency_by_subject, usage_measured;
DROP FUNCTION note_stale_hours() CASCADE;
DROP TABLE usage_subject, usage_subject_of, usage_summary, latency_summary, usage_stale_hour;
"""


class Migration(migrations.Migration):
    dependencies = [("allocation", "0003_sampling_variance")]

    operations = [migrations.RunSQL(SQL, UNDO)]
