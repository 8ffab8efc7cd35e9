"""`GET /api/v1/prices/unpriced/`: models in use that no price list knows."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.callers import caller_of, reads
from portal.api.parameters import AmountField, StrictSerializer, parameters_of
from reports.queries.usage.picked import UsageFilter
from reports.queries.usage.unpriced import usage_unpriced
from reports.window import HourWindow


class UnpricedParameters(StrictSerializer):
    days = serializers.IntegerField(
        min_value=1, max_value=366, default=30, help_text="how far back to look"
    )


class UnpricedLine(serializers.Serializer[Any]):
    provider = serializers.CharField(allow_null=True)
    model_requested = serializers.CharField(allow_null=True)
    model_answered = serializers.CharField(allow_null=True)
    calls = AmountField()
    tokens = AmountField()
    last_hour = serializers.DateTimeField()


@extend_schema(
    parameters=[UnpricedParameters],
    responses=UnpricedLine(many=True),
    operation_id="prices_unpriced",
)
@api_view(["GET"])
@permission_classes([reads("debug")])
def unpriced(request: Request) -> Response:
    """At most 100 models, most calls first. Their list-price cost is unknown, which is not zero."""
    days = parameters_of(request, UnpricedParameters)["days"]
    end = datetime.combine(
        timezone.now().astimezone(UTC).date() + timedelta(days=1), time(0), tzinfo=UTC
    )
    window = HourWindow(end - timedelta(days=days), end)
    found = usage_unpriced(window=window, picked=UsageFilter(), teams=caller_of(request).scope)
    return Response(UnpricedLine(found, many=True).data)
