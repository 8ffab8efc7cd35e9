"""`/api/v1/runs/` and `/api/v1/reconcile/`: allocation runs and the balance of a month."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.models import AllocationRun, RunStatus
from portal.api.callers import reads_everything_of
from portal.api.parameters import MonthField, PageParameters, parameters_of


class RunParameters(PageParameters):
    period = MonthField(required=False)
    status = serializers.ChoiceField(choices=RunStatus.choices, required=False)


class RunLine(serializers.ModelSerializer[AllocationRun]):
    period = MonthField(source="billing_month")
    rule_set = serializers.IntegerField(source="rule_set.number")

    class Meta:
        model = AllocationRun
        fields = [
            "id",
            "period",
            "currency",
            "rule_set",
            "status",
            "is_current",
            "rows",
            "sha256",
            "detail",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields


@extend_schema(parameters=[RunParameters], responses=RunLine(many=True), operation_id="runs")
@api_view(["GET"])
@permission_classes([reads_everything_of("rules")])
def runs(request: Request) -> Response:
    """Newest first."""
    asked = parameters_of(request, RunParameters)
    columns = {"status": "status", "period": "billing_month"}
    picked = {column: asked[name] for name, column in columns.items() if name in asked}
    found = AllocationRun.objects.select_related("rule_set").filter(**picked).order_by("-id")
    return Response(RunLine(found[asked["offset"] : asked["offset"] + asked["limit"]], many=True).data)
