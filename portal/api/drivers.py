"""`/api/v1/drivers/`: driver data that is no trace, and its upload; exchange rates come in the same
way.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, parser_classes, permission_classes
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.callers import MayChangeDrivers, caller_of, reads_everything_of
from portal.api.parameters import (
    AmountField,
    MonthField,
    NoParameters,
    StrictSerializer,
    parameters_of,
)
from portal.errors import Refused
from portal.ingest.bills.uploads import plain_name
from portal.ingest.drivers.delivery import deliver
from portal.ingest.drivers.kinds import driver_kinds
from portal.ingest.drivers.table import MOST_BYTES
from reports.queries.usage.drivers_known import drivers_known


class DriverLineSerializer(serializers.Serializer[Any]):
    """`quantity`: the series' own unit, GPU-hours booked, or tokens; null for owners."""

    kind = serializers.CharField()
    subject = serializers.CharField()
    first = serializers.DateField()
    last = serializers.DateField(allow_null=True)
    rows = serializers.IntegerField()
    quantity = AmountField(allow_null=True)
    import_id = serializers.IntegerField(allow_null=True)
    loaded_at = serializers.DateTimeField(allow_null=True)


class DriverUpload(StrictSerializer):
    """A file, and what the kinds of driver files ask beside it."""

    file = serializers.FileField(
        help_text="CSV in UTF-8; a usage report also as the provider's JSON pages"
    )
    dry_run = serializers.BooleanField(default=False)

    def get_fields(self) -> Any:
        return {**super().get_fields(), **asked_fields()}


def asked_fields() -> dict[str, Any]:
    """A field for each name that some kind asks for."""
    return {
        ask.name: MonthField(required=False, help_text=f"of {kind.label.lower()}")
        if ask.is_month
        else serializers.CharField(
            max_length=100, required=False, help_text=f"of {kind.label.lower()}"
        )
        for kind in driver_kinds().values()
        for ask in kind.asks
    }


class Counts(serializers.Serializer[Any]):
    before = serializers.IntegerField()
    after = serializers.IntegerField()


class Quantities(serializers.Serializer[Any]):
    before = serializers.CharField()
    after = serializers.CharField()


class DriverChange(serializers.Serializer[Any]):
    scope = serializers.CharField()
    subject = serializers.CharField()
    first_month = serializers.CharField(allow_null=True)
    last_month = serializers.CharField(allow_null=True)
    rows = Counts()
    quantity = Quantities(required=False)
    added = serializers.IntegerField()
    removed = serializers.IntegerField()
    altered = serializers.IntegerField()
    moved = serializers.ListField(child=serializers.CharField(), required=False)


class RefusedValue(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    column = serializers.CharField(allow_null=True)
    value = serializers.CharField(allow_null=True)
    reason = serializers.CharField()


class DriverOutcome(serializers.Serializer[Any]):
    """What became of the file. `outdated` are months whose run was made with other driver data."""

    status = serializers.ChoiceField(choices=["loaded", "unchanged", "preview", "refused"])
    kind = serializers.CharField()
    rows_read = serializers.IntegerField()
    rows_rejected = serializers.IntegerField()
    changes = DriverChange(many=True)
    rejected = RefusedValue(many=True)
    notes = serializers.ListField(child=serializers.CharField())
    outdated = serializers.ListField(child=serializers.CharField())
    seconds = serializers.FloatField()
    reason = serializers.CharField(required=False)

    def get_fields(self) -> Any:
        """`import` is a word of Python."""
        return {"import": serializers.IntegerField(allow_null=True), **super().get_fields()}


@extend_schema(responses=DriverLineSerializer(many=True), operation_id="drivers")
@api_view(["GET"])
@permission_classes([reads_everything_of("drivers")])
def drivers(request: Request) -> Response:
    """One line per series, cluster and provider."""
    parameters_of(request, NoParameters)
    return Response(
        DriverLineSerializer(drivers_known(scope=caller_of(request).scope), many=True).data
    )


@extend_schema(
    request=DriverUpload,
    responses={200: DriverOutcome, 422: DriverOutcome},
    operation_id="upload_driver_file",
)
@api_view(["POST"])
@permission_classes([MayChangeDrivers])
@parser_classes([MultiPartParser])
def upload_driver_file(request: Request, kind: str) -> Response:
    """Takes a file of one kind at once; 422 with its bad rows where nothing of it was taken."""
    parameters_of(request, NoParameters)
    wanted = driver_kinds().get(kind)
    if wanted is None:
        raise Http404
    checked = DriverUpload(data=request.data)
    checked.is_valid(raise_exception=True)
    asked: dict[str, Any] = checked.validated_data
    try:
        outcome = deliver(
            wanted,
            asked["file"].read(MOST_BYTES + 1),
            file_name=plain_name(asked["file"].name),
            asked=asked,
            created_by=caller_of(request).name,
            dry_run=asked["dry_run"],
        )
    except Refused as refusal:
        raise ValidationError({"file": [str(refusal)]}) from refusal
    return Response(outcome.to_json(), status=422 if outcome.status == "refused" else 200)
