"""What of a cost comes with the invoice, as a running month has not got it yet."""

from pathlib import Path

from django.db import migrations, models

SQL = (Path(__file__).parent / "sql" / "0021_invoice_charges.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("allocation", "0020_call_observers")]

    operations = [
        migrations.AddField("costline", "with_invoice", models.TextField(null=True)),
        migrations.RunSQL(SQL, migrations.RunSQL.noop),
    ]
