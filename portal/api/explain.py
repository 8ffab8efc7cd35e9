"""`GET /api/v1/explain/`: what stands behind an amount, as the page /explain/ shows it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.models import ChargeKind
from portal.api.callers import caller_of, reads
from portal.api.costs import filter_field
from portal.api.parameters import MonthField, StrictSerializer, parameters_of
from portal.pages.explain.explain_json import as_json
from portal.pages.explain.explanation import WHOLES, explain
from portal.pages.frame.state import PageState
from reports.cost_question.question import METRICS


class ExplainParameters(StrictSerializer):
    """The words of the page's address."""

    period = MonthField(required=False)
    metric = serializers.ChoiceField(choices=METRICS, required=False)
    currency = serializers.RegexField(r"^[A-Z]{3}$", required=False)
    team = serializers.SlugField(required=False)
    unit = serializers.SlugField(required=False)
    environment = filter_field()
    feature = filter_field()
    product = filter_field()
    model = filter_field()
    provider = filter_field()
    service = filter_field()
    source = filter_field()  # type: ignore[assignment]
    rule = filter_field()
    reason = filter_field()
    charge_kind = serializers.ChoiceField(choices=ChargeKind.choices, required=False)
    whole = serializers.ChoiceField(
        choices=WHOLES,
        required=False,
        help_text="1: the whole billing month with spend outside AI, ai: its AI only, not charge"
        " days of AI.",
    )
    part = serializers.IntegerField(min_value=0, max_value=10_000, required=False)
    line = serializers.RegexField(
        r"^[0-9]{1,18}-[0-9]{1,9}$", required=False, help_text="run-split key of a listed line"
    )
    bill = serializers.RegexField(
        r"^[0-9]{1,14}-[0-9]{1,14}$", required=False, help_text="0-0 for the first bill rows"
    )
    offset = serializers.IntegerField(min_value=0, max_value=999_999, required=False)


@extend_schema(parameters=[ExplainParameters], responses=dict[str, Any], operation_id="explain")
@api_view(["GET"])
@permission_classes([reads("explain")])
def explain_amount(request: Request) -> Response:
    """Parts, lines, the days of one line with their arithmetic and, on request, bill rows. Amounts
    are strings.
    """
    parameters_of(request, ExplainParameters)
    state = PageState.from_request(request._request, caller_of(request).scope)
    if state.problems:
        raise ValidationError({"detail": list(state.problems)})
    return Response(as_json(explain(request._request, state), state))
