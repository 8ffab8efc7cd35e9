"""What a unit of a bill is in tokens, and previews of a catalogue."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("allocation", "0017_trace_findings")]

    operations = [
        migrations.AddField("catalogueentry", "tokens", models.TextField(null=True)),
        migrations.AddField("rulepreview", "catalogue", models.TextField(null=True)),
    ]
