"""`GET /api/v1/jobs/`: work in progress and its outcome."""

from __future__ import annotations

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.callers import reads_everything_of
from portal.api.parameters import NoParameters, PageParameters, parameters_of
from portal.jobs.models import Job, JobStatus


class JobParameters(PageParameters):
    status = serializers.ChoiceField(choices=JobStatus.choices, required=False)
    kind = serializers.CharField(max_length=100, required=False)


class JobLineSerializer(serializers.ModelSerializer[Job]):
    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "status",
            "attempts",
            "progress_done",
            "progress_total",
            "progress_note",
            "result",
            "error",
            "created_at",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields


@extend_schema(
    parameters=[JobParameters], responses=JobLineSerializer(many=True), operation_id="jobs"
)
@api_view(["GET"])
@permission_classes([reads_everything_of("jobs")])
def jobs(request: Request) -> Response:
    """Newest first."""
    asked = parameters_of(request, JobParameters)
    picked = {name: asked[name] for name in ("status", "kind") if name in asked}
    found = Job.objects.filter(**picked).order_by("-id")[
        asked["offset"] : asked["offset"] + asked["limit"]
    ]
    return Response(JobLineSerializer(found, many=True).data)


@extend_schema(responses=JobLineSerializer, operation_id="job")
@api_view(["GET"])
@permission_classes([reads_everything_of("jobs")])
def job(request: Request, job_id: int) -> Response:
    parameters_of(request, NoParameters)
    found = Job.objects.filter(pk=job_id).first()
    if found is None:
        raise Http404
    return Response(JobLineSerializer(found).data)
