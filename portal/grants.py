"""What the application's role may do: read and write rows. It owns nothing and has no TRUNCATE."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connections
from psycopg import sql

STATEMENTS = (
    "GRANT USAGE ON SCHEMA public TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
    # Partitions and tables made later by the owner.
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public"
    " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {role}",
)


def grant_to_application(*, using: str, **_: Any) -> None:
    """After each migration, by the owner. With one role for both there is nothing to grant."""
    role = str(settings.DATABASES["default"]["USER"])
    if using != "owner" or role == settings.DATABASES["owner"]["USER"]:
        return
    with connections[using].cursor() as cursor:
        for statement in STATEMENTS:
            cursor.execute(sql.SQL(statement).format(role=sql.Identifier(role)).as_string(None))
