"""Bearer keys for programs."""

from __future__ import annotations

from dataclasses import dataclass

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from portal.accounts.keys import key_from_request
from portal.accounts.models import ApiKey, KeyScope


@dataclass(frozen=True)
class KeyHolder:
    """The `request.user` of a program: a key, nobody's account."""

    key: ApiKey

    is_authenticated = True
    is_active = True
    is_anonymous = False
    pk = None

    @property
    def username(self) -> str:
        return f"key {self.key.prefix}"


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>`. A wrong, expired or revoked key is refused, never passed over
    to a session.
    """

    def authenticate(self, request: Request) -> tuple[KeyHolder, ApiKey] | None:
        if not request.META.get("HTTP_AUTHORIZATION"):
            return None
        key = key_from_request(request._request, KeyScope.values)
        if key is None:
            raise AuthenticationFailed(
                "The Authorization header holds no live API key. It reads: Bearer apn_..."
            )
        return KeyHolder(key), key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="apportion"'
