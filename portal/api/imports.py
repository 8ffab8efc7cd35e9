"""`/api/v1/imports/`: delivered files and what was rejected; `/api/v1/bills/`: the upload of a
bill.
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

from allocation.models import Delivery, Import, ImportStatus, RejectedRow
from portal.api.callers import MayUpload, caller_of, reads_everything_of
from portal.api.jobs import JobLineSerializer
from portal.api.parameters import NoParameters, PageParameters, StrictSerializer, parameters_of
from portal.ingest.bills.formats import AUTO, bill_formats, format_choices
from portal.ingest.bills.uploads import accept_upload
from portal.ingest.problems import BillRefused


class ImportParameters(PageParameters):
    status = serializers.ChoiceField(choices=ImportStatus.choices, required=False)
    source = serializers.CharField(max_length=200, required=False)  # type: ignore[assignment]


class ImportLine(serializers.ModelSerializer[Import]):
    """Amounts in `totals` and `changes` are strings beside their currency."""

    source = serializers.CharField(source="source.name", allow_null=True, default=None)  # type: ignore[assignment]

    class Meta:
        model = Import
        fields = [
            "id",
            "source",
            "kind",
            "status",
            "file_name",
            "files",
            "content_sha256",
            "content_bytes",
            "focus_version",
            "rows_read",
            "rows_loaded",
            "rows_rejected",
            "rows_duplicate",
            "totals",
            "rejected_money",
            "unread",
            "earlier_months",
            "repairs",
            "changes",
            "refusal",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields


class RejectedLine(serializers.ModelSerializer[RejectedRow]):
    """`file` stands only in rows of a delivery of several files."""

    file = serializers.CharField(required=False)

    def to_representation(self, instance: RejectedRow) -> dict[str, Any]:
        told = super().to_representation(instance)
        return {name: value for name, value in told.items() if name != "file" or value is not None}

    class Meta:
        model = RejectedRow
        fields = ["file", "line", "column", "value", "reason"]
        read_only_fields = fields


@extend_schema(
    parameters=[ImportParameters], responses=ImportLine(many=True), operation_id="imports"
)
@api_view(["GET"])
@permission_classes([reads_everything_of("imports")])
def list_imports(request: Request) -> Response:
    """Newest first."""
    asked = parameters_of(request, ImportParameters)
    columns = {"status": "status", "source": "source__name"}
    picked = {column: asked[name] for name, column in columns.items() if name in asked}
    found = Import.objects.select_related("source").filter(**picked).order_by("-id")
    return Response(
        ImportLine(found[asked["offset"] : asked["offset"] + asked["limit"]], many=True).data
    )


@extend_schema(responses=ImportLine, operation_id="import")
@api_view(["GET"])
@permission_classes([reads_everything_of("imports")])
def one_import(request: Request, import_id: int) -> Response:
    parameters_of(request, NoParameters)
    return Response(ImportLine(import_or_404(import_id)).data)


@extend_schema(
    parameters=[PageParameters],
    responses=RejectedLine(many=True),
    operation_id="import_rejected_rows",
)
@api_view(["GET"])
@permission_classes([reads_everything_of("imports")])
def rejected_rows(request: Request, import_id: int) -> Response:
    """In the order in which they were read: by file, and by line of the file."""
    asked = parameters_of(request, PageParameters)
    found = RejectedRow.objects.filter(bill_import=import_or_404(import_id)).order_by("id")
    return Response(
        RejectedLine(found[asked["offset"] : asked["offset"] + asked["limit"]], many=True).data
    )


def import_or_404(import_id: int) -> Import:
    found = Import.objects.select_related("source").filter(pk=import_id).first()
    if found is None:
        raise Http404
    return found


class FormatField(serializers.ChoiceField):
    """One of the registered formats. Each request gets a field of its own, with those of then."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=format_choices(), **options)


def known_formats() -> str:
    return "; ".join(f"{each.label}: {each.files}" for each in bill_formats().values())


class BillUpload(StrictSerializer):
    file = serializers.ListField(
        child=serializers.FileField(),
        allow_empty=False,
        help_text=f"one or several files of one delivery; {known_formats()}",
    )
    source = serializers.CharField(max_length=200)  # type: ignore[assignment]
    delivery = serializers.ChoiceField(choices=Delivery.choices, required=False)
    format = FormatField(default=AUTO)
    confirm_shrink = serializers.BooleanField(default=False)
    month = serializers.CharField(
        max_length=7,
        required=False,
        help_text="YYYY-MM: refuse the file if it is the bill of another month",
    )


@extend_schema(request=BillUpload, responses={202: JobLineSerializer}, operation_id="upload_bill")
@api_view(["POST"])
@permission_classes([MayUpload])
@parser_classes([MultiPartParser])
def upload_bill(request: Request) -> Response:
    """202 with the job that loads the files as one delivery; what becomes of it is told by the
    job and its import.
    """
    parameters_of(request, NoParameters)
    checked = BillUpload(data=request.data)
    checked.is_valid(raise_exception=True)
    asked: dict[str, Any] = checked.validated_data
    try:
        job = accept_upload(
            files=asked["file"],
            source_name=asked["source"],
            delivery=asked.get("delivery"),
            format=asked["format"],
            confirm_shrink=asked["confirm_shrink"],
            month=asked.get("month"),
            created_by=caller_of(request).name,
        )
    except BillRefused as refusal:
        raise ValidationError({"file": [str(refusal)]}) from refusal
    return Response(JobLineSerializer(job).data, status=202)
