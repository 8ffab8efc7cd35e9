"""`GET /api/v1/teams/`: the teams a caller may read."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.callers import caller_of, readable_team, reads
from portal.api.parameters import NoParameters, parameters_of
from reports.queries.ownership.organisation import teams_in_tree


class TeamLine(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()
    business_unit = serializers.CharField(source="unit", allow_null=True)
    cost_center = serializers.CharField(allow_null=True)


@extend_schema(responses=TeamLine(many=True), operation_id="teams")
@api_view(["GET"])
@permission_classes([reads("showback")])
def teams(request: Request) -> Response:
    """Each readable team with its place in the tree today."""
    parameters_of(request, NoParameters)
    found = teams_in_tree(scope=caller_of(request).scope, day=timezone.now().date())
    return Response(TeamLine(found, many=True).data)


@extend_schema(responses=TeamLine, operation_id="team")
@api_view(["GET"])
@permission_classes([reads("showback")])
def team(request: Request, slug: str) -> Response:
    parameters_of(request, NoParameters)
    readable_team(request, slug)
    scope = caller_of(request).scope.narrowed_to(slug)
    return Response(TeamLine(teams_in_tree(scope=scope, day=timezone.now().date())[0]).data)
