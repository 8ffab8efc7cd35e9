"""`GET /api/v1/usage/`: model calls of some days, as `manage.py usage` tells them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.values.names import quoted
from portal.api.callers import caller_of, reads
from portal.api.parameters import PageParameters, parameters_of
from portal.ingest.otlp.rollup.merge import merge_deltas
from reports.queries.usage.by import BY, usage_by
from reports.queries.usage.rows import usage_row

FILTERS = tuple(name for name in BY if name != "day")
MOST_DAYS = 400
MERGING_SECONDS = 5.0  # that a reader waits for usage that is not merged yet


class UsageParameters(PageParameters):
    """Each name but the day is an exact filter, too."""

    to = serializers.DateField(help_text="The first UTC day that is left out.")
    by = serializers.CharField(
        default="provider,model", max_length=200, help_text=f"Comma-separated, of: {', '.join(BY)}."
    )

    def get_fields(self) -> Any:
        """`from` is a word of Python."""
        filters = {
            name: serializers.CharField(required=False, max_length=500, trim_whitespace=False)
            for name in FILTERS
        }
        first = serializers.DateField(help_text="The first UTC day.")
        return {"from": first, **super().get_fields(), **filters}

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not timedelta(0) < asked["to"] - asked["from"] <= timedelta(MOST_DAYS):
            raise ValidationError({"to": [f"Ask for 1 to {MOST_DAYS} days."]})
        return asked


class UsageTokens(serializers.Serializer[Any]):
    def get_fields(self) -> Any:
        return {name: serializers.FloatField() for name in TOKEN_COLUMNS}


class UsageOfNames(serializers.Serializer[Any]):
    """`list_cost` is null where any of the usage has no price. Of the names only those asked for
    are there; null where a call does not tell.
    """

    calls = serializers.FloatField()
    calls_without_usage = serializers.FloatField()
    calls_failed = serializers.FloatField()
    cached_answers = serializers.FloatField()
    tokens = UsageTokens()
    list_cost = serializers.CharField(allow_null=True, help_text="USD, exact")
    client_cost = serializers.CharField(allow_null=True, help_text="Of the calls that tell theirs")
    client_cost_calls = serializers.FloatField()
    calls_at_general_price = serializers.FloatField()
    time_to_first_chunk_ms_p50 = serializers.FloatField(allow_null=True)

    def get_fields(self) -> Any:
        told = {name: serializers.CharField(allow_null=True, required=False) for name in BY}
        return {**told, **super().get_fields()}


class UsagePage(serializers.Serializer[Any]):
    to = serializers.DateField()
    rows = UsageOfNames(many=True)
    next_offset = serializers.IntegerField(allow_null=True)

    def get_fields(self) -> Any:
        return {"from": serializers.DateField(), **super().get_fields()}


@extend_schema(parameters=[UsageParameters], responses=UsagePage, operation_id="usage")
@api_view(["GET"])
@permission_classes([reads("showback")])
def list_usage(request: Request) -> Response:
    """Calls, tokens and list cost by the asked names, in the caller's teams."""
    asked = parameters_of(request, UsageParameters)
    names = names_of(asked["by"])
    scope = caller_of(request).scope
    if "team" in asked and not scope.allows(asked["team"]):
        raise Http404
    merge_deltas(MERGING_SECONDS)
    rows = usage_by(
        names=names,
        first=asked["from"],
        last=asked["to"],
        teams=scope,
        only={name: asked[name] for name in FILTERS if name in asked},
        shows_names=settings.PERSON_NAMES,
    )
    end = asked["offset"] + asked["limit"]
    return Response(
        {
            "from": asked["from"].isoformat(),
            "to": asked["to"].isoformat(),
            "rows": [usage_row(names, row) for row in rows[asked["offset"] : end]],
            "next_offset": end if end < len(rows) else None,
        }
    )


def names_of(text: str) -> list[str]:
    names = text.split(",")
    if len(set(names)) < len(names):
        raise ValidationError({"by": ["A name is given twice."]})
    for name in names:
        if name not in BY:
            raise ValidationError({"by": [f"{quoted(name)} is none of {', '.join(BY)}."]})
    return names
