"""Handlers of staged jobs."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from portal.jobs.claims import JobContext
from portal.jobs.kinds import job_kind


@job_kind("staged_load")
def staged_load(context: JobContext) -> dict[str, Any]:
    """Write `rows` rows named after the payload's mark, slowly and in one transaction, as a loader
    does.
    """
    rows, mark = context.payload["rows"], context.payload["mark"]
    with transaction.atomic():
        Group.objects.filter(name__startswith=f"{mark} ").delete()
        for number in range(rows):
            Group.objects.create(name=f"{mark} {number}")
            context.progress(number + 1, rows)
            time.sleep(context.payload["seconds"] / rows)
        context.finish_guard()
    return {"rows": rows}
