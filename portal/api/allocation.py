"""`/api/v1/runs/`, `reconcile/` and `chargeback/`: runs, the balance of a month, and what is
charged back.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.models import AllocationRun, RunStatus
from allocation.values.periods import Period
from portal.api.callers import caller_of, reads, reads_everything_of
from portal.api.parameters import (
    AmountField,
    MonthField,
    PageParameters,
    StrictSerializer,
    parameters_of,
)
from portal.exports import chargeback_file, export_formats
from reports.exports.format import NotAllocated
from reports.queries.reconcile.ledger import reconcile_period


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
    found = (
        AllocationRun.objects.select_related("rule_set")
        .filter(rule_set__number__gt=0, **picked)
        .order_by("-id")
    )
    return Response(
        RunLine(found[asked["offset"] : asked["offset"] + asked["limit"]], many=True).data
    )


class MonthParameters(StrictSerializer):
    period = MonthField()


class RejectedBalance(serializers.Serializer[Any]):
    """Of rejected rows: the sum of the billed cost that can be read, and rows without any."""

    rows = serializers.IntegerField()
    billed_cost = AmountField()
    unreadable = serializers.IntegerField()


class BalanceLine(serializers.Serializer[Any]):
    source = serializers.CharField()  # type: ignore[assignment]
    currency = serializers.CharField()
    metric = serializers.CharField()
    run = serializers.IntegerField(allow_null=True)
    charges = AmountField()
    allocated = AmountField()
    attributed = AmountField()
    shared_out = AmountField(help_text="untraced cost that the traced shares took over")
    owner = AmountField(help_text="whose owner is only inferred")
    unknown_coverage = AmountField(help_text="of which nobody knows what is traced")
    unallocated = AmountField()
    difference = AmountField()
    rejected = RejectedBalance()


class Balance(serializers.Serializer[Any]):
    period = serializers.CharField()
    balanced = serializers.BooleanField()
    rows = BalanceLine(many=True)


@extend_schema(parameters=[MonthParameters], responses=Balance, operation_id="reconcile")
@api_view(["GET"])
@permission_classes([reads_everything_of("chargeback")])
def reconcile(request: Request) -> Response:
    """Per source, currency and metric: charges = allocated + unallocated, or by how much they
    differ. What is allocated is attributed, shared out, of an inferred owner or of unknown
    coverage.
    """
    period = Period.month(parameters_of(request, MonthParameters)["period"])
    found = reconcile_period(period=period)
    return Response(
        Balance({"period": str(period), "balanced": found.is_balanced, "rows": found.rows}).data
    )


class ExportField(serializers.ChoiceField):
    """One of the registered formats. Each request gets a field of its own, with those of then."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=list(export_formats()), **options)


class ChargebackParameters(MonthParameters):
    basis = serializers.ChoiceField(
        choices=["effective", "billed"],
        default="effective",
        help_text="which cost is charged: a detail file holds both, whichever is named",
    )
    export = ExportField(default="csv", help_text="which kind of file")


@extend_schema(
    parameters=[ChargebackParameters],
    responses={
        (200, each.content_type.split(";")[0]): OpenApiTypes.BINARY
        for each in export_formats().values()
    },
    operation_id="chargeback",
)
@api_view(["GET"])
@permission_classes([reads("showback")])
def chargeback(request: Request) -> StreamingHttpResponse:
    """The chargeback of the caller's teams, exact; its last rows are control totals, one for each
    currency.
    """
    asked = parameters_of(request, ChargebackParameters)
    try:
        return chargeback_file(
            export_formats()[asked["export"]],
            period=Period.month(asked["period"]),
            scope=caller_of(request).scope,
        )
    except NotAllocated as missing:
        raise Http404(str(missing)) from missing
