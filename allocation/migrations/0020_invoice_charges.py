"""What of a cost comes with the invoice, as a running month has not got it yet."""

from pathlib import Path

from django.db import migrations, models

SQL = (Path(__file__).parent / "sql" / "0020_invoice_charges.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("allocation", "0019_persons")]

    operations = [
        migrations.AddField("costline", "with_invoice", models.TextField(null=True)),
        migrations.RunSQL(SQL, migrations.RunSQL.noop),
    ]
