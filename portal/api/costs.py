"""`GET /api/v1/costs/`: allocated cost by any allow-listed dimensions."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.values.names import quoted
from portal.api.callers import caller_of, readable_team, reads
from portal.api.parameters import AmountField, MonthField, PageParameters, parameters_of
from reports.cost_question.answers import cost_page, costs
from reports.cost_question.question import METRICS, CostQuestion
from reports.cost_question.runs import current_runs, runs_of_months

# What a caller can group by, and all but the day can be filtered by.
DIMENSIONS = (
    "team", "feature", "model", "product", "provider", "service", "environment", "phase",
    "charge_kind", "attribution", "rule", "reason", "day",
)  # fmt: skip
FILTERS = tuple(name for name in DIMENSIONS if name != "day")


def filter_field() -> serializers.CharField:
    return serializers.CharField(required=False, max_length=500, trim_whitespace=False)


class CostParameters(PageParameters):
    period = MonthField(
        required=False, help_text="Billing month; the latest one with a run where left out."
    )
    metric = serializers.ChoiceField(choices=METRICS, default="effective_cost")
    group_by = serializers.CharField(
        default="team", max_length=200, help_text=f"Comma-separated, of: {', '.join(DIMENSIONS)}."
    )
    ai = serializers.ChoiceField(
        choices=["only", "all"],
        default="only",
        help_text="`all` adds spend outside AI, which balances with invoices.",
    )
    # One exact-match filter for each dimension.
    team = serializers.SlugField(required=False)
    feature = filter_field()
    model = filter_field()
    product = filter_field()
    provider = filter_field()
    service = filter_field()
    environment = filter_field()
    phase = filter_field()
    charge_kind = filter_field()
    attribution = filter_field()
    rule = filter_field()
    reason = filter_field()


class CostLineSerializer(serializers.Serializer[Any]):
    key = serializers.DictField(child=serializers.CharField(allow_null=True))
    currency = serializers.CharField()
    cost = AmountField()


class CostTotal(serializers.Serializer[Any]):
    currency = serializers.CharField()
    cost = AmountField()


class CostPage(serializers.Serializer[Any]):
    period = MonthField()
    metric = serializers.CharField()
    group_by = serializers.ListField(child=serializers.CharField())
    runs = serializers.ListField(child=serializers.IntegerField())
    totals = CostTotal(many=True)
    rows = CostLineSerializer(many=True)
    next_offset = serializers.IntegerField(allow_null=True)


@extend_schema(parameters=[CostParameters], responses=CostPage, operation_id="costs")
@api_view(["GET"])
@permission_classes([reads("showback")])
def list_costs(request: Request) -> Response:
    """Cost by the asked dimensions for one billing month, in the caller's teams. Currencies are
    never added up.
    """
    asked = parameters_of(request, CostParameters)
    if "team" in asked:
        readable_team(request, asked["team"])
    period = asked.get("period") or latest_month()
    group_by = dimensions_of(asked["group_by"])
    question = CostQuestion(
        runs=runs_of_months(current_runs(), [period]),
        scope=caller_of(request).scope,
        metric=asked["metric"],
        ai_only=asked["ai"] == "only",
    ).where(**{name: asked.get(name) for name in FILTERS})
    return Response(CostPage(page_of(question, asked, group_by, period)).data)


def dimensions_of(text: str) -> list[str]:
    names = text.split(",")
    if len(set(names)) < len(names):
        raise ValidationError({"group_by": ["A dimension is named twice."]})
    for name in names:
        if name not in DIMENSIONS:
            choices = ", ".join(DIMENSIONS)
            raise ValidationError(
                {"group_by": [f"{quoted(name)} is no dimension; choose from {choices}."]}
            )
    return names


def page_of(
    question: CostQuestion, asked: dict[str, Any], group_by: list[str], period: date
) -> dict[str, Any]:
    """Totals are per currency over everything asked for, not only over the rows of the page."""
    found = cost_page(
        question.by(*group_by, "currency"), limit=asked["limit"], offset=asked["offset"]
    )
    return {
        "period": period,
        "metric": asked["metric"],
        "group_by": group_by,
        "runs": question.run_ids,
        "totals": [
            {"currency": row.key[0], "cost": row.now} for row in costs(question.by("currency"))
        ],
        "rows": [
            {
                "key": dict(zip(group_by, map(text, row.key[:-1]), strict=True)),
                "currency": row.key[-1],
                "cost": row.now,
            }
            for row in found.rows
        ],
        "next_offset": asked["offset"] + asked["limit"] if found.has_more else None,
    }


def text(value: Any) -> str | None:
    return None if value is None else str(value)


def latest_month() -> date:
    """The last month with a run; 404 where nothing has been allocated yet."""
    runs = current_runs()
    if not runs:
        raise Http404
    return max(run.month for run in runs)
