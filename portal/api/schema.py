"""How the API describes itself to programs (OpenAPI). Apart from authentication.py, which DRF's
settings import.
"""

from __future__ import annotations

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import IsAuthenticated

from portal.api.authentication import ApiKeyAuthentication


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "apn_<scope>_<secret>"}


class SchemaView(SpectacularAPIView):
    """The description names every address, so it is for callers who have a key or an account."""

    permission_classes = [IsAuthenticated]
