"""Who sends: the ingest key of a request. One prepared statement; the ORM would take as long as ten
spans.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest
from django.utils import timezone

from portal.accounts.keys import USE_NOTED_EVERY, bearer_secret, digest, note_use
from portal.accounts.models import ApiKey, KeyScope
from portal.ingest.otlp.traces.known import cursor
from portal.ingest.otlp.traces.normalise import Sender

INGEST_SCOPES = (KeyScope.INGEST, KeyScope.ADMIN)

# The same keys as portal.accounts.keys.key_from_request finds; a test compares the two.
LIVE_KEY: Final[LiteralString] = """
SELECT k.id, k.scope, t.slug, k.last_used_at
FROM accounts_apikey AS k LEFT JOIN allocation_team AS t ON t.id = k.team_id
WHERE k.key_sha256 = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)
"""


@dataclass(frozen=True)
class NoSender:
    """Why nobody may send with this request."""

    is_known: bool  # a live key, but not for ingest


def sender_of(request: HttpRequest) -> Sender | NoSender:
    """The sender, looked up on every request: a revoked key stops with the next one."""
    secret = bearer_secret(request)
    if secret is None:
        return NoSender(is_known=False)
    now = timezone.now()
    row = find(secret, now)
    if row is None:
        return NoSender(is_known=False)
    number, scope, team, last_used_at = row
    if scope not in INGEST_SCOPES:
        return NoSender(is_known=True)
    if last_used_at is None or last_used_at < now - USE_NOTED_EVERY:
        note_use(ApiKey(pk=number), now)
    return Sender(api_key_id=number, team=team)


def find(secret: str, now: datetime) -> tuple[Any, ...] | None:
    """The key's row. Asked once more on a new connection, since the kept one may be from before a
    database restart.
    """
    try:
        return ask(secret, now)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        connection.close()
        return ask(secret, now)


def ask(secret: str, now: datetime) -> tuple[Any, ...] | None:
    with cursor() as c:
        return c.execute(LIVE_KEY, [digest(secret), now], prepare=True).fetchone()
