"""`GET /api/v1/reconcile/gap/`: billed minus the estimate of the traces, by named causes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.allocation import MonthParameters
from portal.api.callers import caller_of, reads_everything_of
from portal.api.parameters import AmountField, MonthField, parameters_of
from reports.cost_question.runs import current_runs
from reports.queries.reconcile.gaps import SourceGap, month_gaps


class GapCause(serializers.Serializer[Any]):
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    amount = AmountField()
    evidence = serializers.CharField()
    fix = serializers.CharField()


class GapSource(serializers.Serializer[Any]):
    """`start` plus the causes' amounts is `billed`, exactly. `start` is the estimate, or, where
    that cannot be compared for want of a rate, the bill at its own list prices.
    """

    source = serializers.CharField()  # type: ignore[assignment]
    currency = serializers.CharField()
    billed = AmountField()
    estimate_usd = AmountField()
    compared = serializers.BooleanField()
    start = AmountField()
    gap = AmountField()
    traces_through = serializers.DateField(allow_null=True)
    causes = GapCause(many=True)


class OffTheBillLine(serializers.Serializer[Any]):
    provider = serializers.CharField(allow_null=True)
    project = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    calls = AmountField()
    unpriced_calls = AmountField()
    estimate_usd = AmountField(source="estimate")
    reason = serializers.CharField()


class MonthGap(serializers.Serializer[Any]):
    period = MonthField()
    sources = GapSource(many=True)
    off_the_bill = OffTheBillLine(many=True)


@extend_schema(parameters=[MonthParameters], responses=MonthGap, operation_id="gap")
@api_view(["GET"])
@permission_classes([reads_everything_of("reconciliation")])
def gap(request: Request) -> Response:
    """Per source and currency with model usage; currencies are never added up."""
    month = parameters_of(request, MonthParameters)["period"]
    found = month_gaps(month=month, runs=current_runs(), scope=caller_of(request).scope)
    answer = {
        "period": month,
        "sources": [_source(one) for one in found.sources],
        "off_the_bill": found.off_the_bill,
    }
    return Response(MonthGap(answer).data)


def _source(one: SourceGap) -> dict[str, Any]:
    bill = one.gap.bill
    return {
        "source": bill.source,
        "currency": bill.currency,
        "billed": bill.billed,
        "estimate_usd": bill.estimate,
        "compared": one.gap.is_compared,
        "start": one.gap.start,
        "gap": one.gap.total,
        "traces_through": one.through,
        "causes": one.causes,
    }
