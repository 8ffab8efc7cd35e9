"""/healthz: this process answers. /readyz: the database answers, is migrated, and the broker is
there.

While the database is away, every other address answers 503 (`server_error`).
"""

from __future__ import annotations

import logging
import secrets
import sys

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from kombu import Connection

from portal.commands import unapplied_migrations

RETRY_AFTER_SECONDS = 5
log = logging.getLogger(__name__)
MACHINES = ("/api/", "/v1/")
# Databases seen complete: migrations are not undone under a running process.
MIGRATED: set[str] = set()


def database_problem() -> str | None:
    """What is wrong with the database, or None."""
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT 1")
        if "default" not in MIGRATED:
            if unapplied_migrations("default"):
                return "migrations are not applied"
            MIGRATED.add("default")
    except OperationalError:
        return "does not answer"
    return None


def broker_problem() -> str | None:
    try:
        with Connection(settings.CELERY_BROKER_URL, connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
    except Exception:  # each transport raises errors of its own
        return "does not answer"
    return None


def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when work can be done; else 503 and which part is missing."""
    problems = {"database": database_problem(), "broker": broker_problem()}
    ready = not any(problems.values())
    body = {"status": "ready" if ready else "not ready"} | {
        part: problem or "ok" for part, problem in problems.items()
    }
    response = JsonResponse(body, status=200 if ready else 503)
    if not ready:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """The answer to an error nobody caught: 503 while the database is away, else 500. Asks the
    database nothing.

    A 500 has an id, which stands in the log beside the error that Django writes there.
    """
    error = sys.exc_info()[1]
    missing = isinstance(error, (OperationalError, InterfaceError))
    error_id = "" if missing else secrets.token_hex(4)
    if error_id:
        log.error(
            "error %s at %s %s: %s", error_id, request.method, request.path, type(error).__name__
        )
    status, title = (
        (503, "The database does not answer") if missing else (500, "Something went wrong")
    )
    detail = (
        "Nothing was lost. Try again in a few seconds."
        if missing
        else f"In the portal's log as {error_id}."
    )
    if request.path.startswith(MACHINES) or "application/json" in request.headers.get("Accept", ""):
        response: HttpResponse = JsonResponse(
            {"status": status, "error": title, "detail": detail}, status=status
        )
    else:
        response = HttpResponse(
            render_to_string(f"{status}.html", {"error_id": error_id}), status=status
        )
    if missing:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
