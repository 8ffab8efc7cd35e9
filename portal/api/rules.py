"""`GET /api/v1/rules/schema/`: the language of allocation rules, for editors and programs that
write them.
"""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.rules.schema import rules_schema
from portal.api.parameters import NoParameters, parameters_of


@extend_schema(responses=OpenApiTypes.OBJECT, operation_id="rules_schema")
@api_view(["GET"])
@permission_classes([IsAuthenticated])
def rules_language(request: Request) -> Response:
    """JSON Schema (draft 2020-12) of a rules document; it says nothing about this organisation's
    own rules.
    """
    parameters_of(request, NoParameters)
    return Response(rules_schema())
