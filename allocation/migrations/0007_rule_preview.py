"""Previews of rules that are not in force yet, and drafts kept apart from rule sets that were applied."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("allocation", "0006_aliases")]

    operations = [
        migrations.CreateModel(
            name="RulePreview",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("text", models.TextField()),
                ("content_sha256", models.TextField(db_index=True)),
                ("effective_from", models.DateField()),
                ("base_number", models.IntegerField()),
                ("months", models.JSONField()),
                ("outcome", models.JSONField(null=True)),
                ("created_by", models.TextField(null=True)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
            ],
        ),
    ]
