"""The list of access changes, and the trigger that keeps it append-only."""

from django.db import migrations, models

APPEND_ONLY = """
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit entries are never changed or removed' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
"""
UNDO = "DROP TRIGGER audit_entry_append_only ON accounts_auditentry; DROP FUNCTION refuse_audit_change();"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(auto_now_add=True)),
                ("actor", models.TextField(null=True)),
                ("action", models.TextField()),
                ("subject", models.TextField()),
                ("detail", models.JSONField(default=dict)),
            ],
        ),
        migrations.RunSQL(APPEND_ONLY, UNDO),
    ]
