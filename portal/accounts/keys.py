"""API keys: made once, shown once, found again by the hash of what the caller presents."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from allocation.models import Team
from portal.accounts import audit
from portal.accounts.models import ApiKey, KeyScope

SECRET_SHAPE = re.compile(r"apn_(?:ingest|read|gate|admin)_[A-Za-z0-9_-]{43}")
SHOWN_CHARACTERS = 6  # of the random part: enough to tell keys apart, 220 bits left to guess
USE_NOTED_EVERY = timedelta(minutes=1)


@transaction.atomic
def create_key(
    name: str,
    scope: KeyScope | str,
    team: Team | None,
    created_by: str | None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """The stored key and its secret, `apn_<scope>_<43 characters>`. The secret is not kept and
    can't be shown again.
    """
    scope = KeyScope(scope)
    random_part = secrets.token_urlsafe(32)
    secret = f"apn_{scope.value}_{random_part}"
    key = ApiKey.objects.create(
        name=name,
        prefix=f"apn_{scope.value}_{random_part[:SHOWN_CHARACTERS]}",
        key_sha256=digest(secret),
        scope=scope,
        team=team,
        created_by=created_by,
        expires_at=expires_at,
    )
    detail = {"name": name, "scope": scope.value, "team": team.slug if team else None}
    audit.record(created_by, "api key created", key.prefix, detail)
    return key, secret


@transaction.atomic
def revoke_key(key: ApiKey, revoked_by: str | None) -> bool:
    """Whether this call revoked it; False for a key that was revoked before."""
    changed = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
    if changed:
        audit.record(revoked_by, "api key revoked", key.prefix, {"name": key.name})
    return bool(changed)


def key_from_request(request: HttpRequest, scopes: Iterable[KeyScope | str]) -> ApiKey | None:
    """The live key of `Authorization: Bearer <secret>` if it has one of the scopes, else None.

    One indexed look-up, on every request: a revoked key stops with the next one. The header is the
    only place a key is read from; addresses end up in logs. Looking up a hash leaks nothing by time
    that helps to find 256 random bits.
    """
    secret = bearer_secret(request)
    if secret is None:
        return None
    now = timezone.now()
    key = (
        ApiKey.objects.select_related("team")
        .filter(
            Q(expires_at=None) | Q(expires_at__gt=now), key_sha256=digest(secret), revoked_at=None
        )
        .first()
    )
    if key is None or key.scope not in {str(scope) for scope in scopes}:
        return None
    if key.last_used_at is None or key.last_used_at < now - USE_NOTED_EVERY:
        note_use(key, now)
    return key


def bearer_secret(request: HttpRequest) -> str | None:
    scheme, _, secret = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer" or not SECRET_SHAPE.fullmatch(secret):
        return None
    return str(secret)


def note_use(key: ApiKey, now: datetime) -> None:
    """Conditional, so that a burst of first requests writes once."""
    before = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
    ApiKey.objects.filter(before, pk=key.pk).update(last_used_at=now)


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
