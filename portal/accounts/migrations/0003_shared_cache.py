"""The table behind Django's cache: sign-in limits are counted here, so that all web processes count together."""

from django.db import migrations

TABLE = """
CREATE TABLE shared_cache (
    cache_key varchar(255) PRIMARY KEY,
    value text NOT NULL,
    expires timestamptz NOT NULL
);
CREATE INDEX shared_cache_expires ON shared_cache (expires);
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_audit_entry")]

    operations = [migrations.RunSQL(TABLE, "DROP TABLE shared_cache;")]
