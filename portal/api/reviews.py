"""`GET /api/v1/reviews/`: what teams said of a month."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.values.periods import Period
from portal.api.allocation import MonthParameters
from portal.api.callers import caller_of, reads
from portal.api.parameters import parameters_of
from portal.reviews.marks import NOT_SEEN, standings
from portal.reviews.models import MarkState, ReviewMark
from reports.cost_question.runs import current_runs, runs_of_months


class MarkLine(serializers.ModelSerializer[ReviewMark]):
    class Meta:
        model = ReviewMark
        fields = ["at", "made_by", "state", "line", "comment"]
        read_only_fields = fields


class ReviewLine(serializers.Serializer[Any]):
    team = serializers.CharField()
    state = serializers.ChoiceField(choices=[NOT_SEEN, *MarkState.values])
    outdated = serializers.BooleanField(
        help_text="the month was calculated again since the newest mark"
    )
    open_questions = MarkLine(many=True)
    marks = MarkLine(many=True, help_text="oldest first; they are never changed")


@extend_schema(
    parameters=[MonthParameters], responses=ReviewLine(many=True), operation_id="reviews"
)
@api_view(["GET"])
@permission_classes([reads("showback")])
def reviews(request: Request) -> Response:
    """Each of the caller's teams that said anything of the month."""
    month = Period.month(parameters_of(request, MonthParameters)["period"]).start
    runs = runs_of_months(current_runs(), [month])
    found = standings(month=month, scope=caller_of(request).scope)
    lines = [
        {
            "team": team,
            "state": standing.state,
            "outdated": standing.is_outdated(runs),
            "open_questions": standing.open_questions,
            "marks": standing.marks,
        }
        for team, standing in sorted(found.items())
    ]
    return Response(ReviewLine(lines, many=True).data)
