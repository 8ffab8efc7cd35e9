"""/imports/: where bills come from, what arrived, what was wrong with it and what it changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.db.models import Count, Max, Min, Sum
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_safe

from allocation.models import (
    ChargeScope,
    Delivery,
    Import,
    ImportKind,
    ImportStatus,
    RejectedRow,
    ScopeState,
    Source,
    SourceRole,
)
from portal.accounts.models import User
from portal.errors import Refused
from portal.ingest.bills.formats import AUTO, bill_formats
from portal.ingest.bills.uploads import JOB_KIND, accept_upload
from portal.ingest.drivers.kinds import driver_kinds
from portal.jobs.models import Job, JobStatus
from portal.pages.frame.durations import seconds
from portal.pages.frame.posts import sent_from
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.operate.jobs.views import JobLine, line, page_key
from reports.exports.formulas import safe_text
from reports.readable import ago

PAGE_SIZE = 30
REJECTED_SHOWN = 100
CSV_ROWS = 2000

STATUS_WORDS = {
    ImportStatus.LOADING: "loading",
    ImportStatus.LOADED: "loaded",
    ImportStatus.UNCHANGED: "unchanged",
    ImportStatus.REFUSED: "refused",
    ImportStatus.FAILED: "failed",
}
ROLE_WORDS = {
    SourceRole.INVOICE: "invoice",
    SourceRole.USAGE_DETAIL: "usage detail",
    SourceRole.ESTIMATE: "estimate",
}
REPAIR_WORDS = {
    "null_text": "the word NULL read as no value",
    "time_without_zone": "times without a zone read as UTC",
    "time_zone_written_as_offset": "times in UTC written with +00:00",
    "letter_case": "listed values in another letter case",
    "header_name": "column names in another letter case",
    "value_not_in_focus_list": "values outside FOCUS's lists, kept as delivered",
    "not_json": "texts that should be JSON, kept as delivered",
    "nul_replaced": "NUL characters replaced",
    "surrogate_replaced": "broken characters replaced",
    "blank_line": "blank lines skipped",
    "binary_float": "numbers delivered as binary floating point",
}


@dataclass(frozen=True)
class SourceLine:
    """One source and how fresh it is."""

    name: str
    role: str
    delivery: str
    first_month: date | None
    last_month: date | None
    rows: int
    last_loaded: datetime | None
    last_loaded_words: str
    trouble: str  # of its newest delivery, where that was not loaded
    trouble_import: int | None


def format_words() -> list[tuple[str, str]]:
    """What the form offers; the first is chosen where nothing is."""
    known = [(each.name, each.label) for each in bill_formats().values()]
    return [(AUTO, "as the file shows"), *known]


class UploadForm(forms.Form):
    source = forms.CharField(
        max_length=200, widget=forms.TextInput(attrs={"list": "sources", "autocomplete": "off"})
    )
    delivery = forms.ChoiceField(
        required=False,
        choices=[
            ("", "as the source delivers (a new one: overwrite)"),
            (Delivery.OVERWRITE, "overwrite: a file replaces its billing periods"),
            (Delivery.APPEND, "append: a file adds to what is there"),
        ],
    )
    file = forms.FileField()
    month = forms.CharField(required=False, max_length=7)
    format = forms.ChoiceField(required=False, choices=format_words)
    confirm_shrink = forms.BooleanField(required=False)


@require_safe
def show_imports(request: HttpRequest) -> HttpResponse:
    """The page; for htmx only the parts that change while something is loading."""
    if request.headers.get("HX-Request") and not request.headers.get("HX-Boosted"):
        return render(request, "intake/imports/lists.html", lists(request))
    return full_page(request, UploadForm())


def full_page(request: HttpRequest, form: UploadForm, *, status: int = 200) -> HttpResponse:
    state = PageState.from_request(request)
    context = {"form": form, "formats": list(bill_formats().values()), **lists(request)}
    return render_page(
        request,
        "intake/imports/page.html",
        context,
        page="imports",
        title="Imports",
        state=state,
        status=status,
    )


def lists(request: HttpRequest) -> dict[str, Any]:
    now = timezone.now()
    before = page_key(request.GET.get("before"))
    found = Import.objects.select_related("source").order_by("-pk")
    imports = list((found.filter(pk__lt=before) if before else found)[: PAGE_SIZE + 1])
    return {
        "sources": sources(now),
        "jobs": open_jobs(now),
        "imports": imports[:PAGE_SIZE],
        "older": imports[PAGE_SIZE - 1].pk if len(imports) > PAGE_SIZE else None,
        "before": before,
        "now": now,
    }


def sources(now: datetime) -> list[SourceLine]:
    """Sources of bills by name; three statements, however many there are."""
    scopes = {
        each["source"]: each
        for each in ChargeScope.objects.filter(state=ScopeState.CURRENT)
        .values("source")
        .annotate(
            first=Min("billing_month"),
            last=Max("billing_month"),
            rows=Sum("rows"),
            loaded=Max("published_at"),
        )
    }
    newest = {
        each.source_id: each
        for each in Import.objects.filter(kind="bill").order_by("source", "-pk").distinct("source")
    }
    lines = []
    for source in Source.objects.order_by("name"):
        scope, last = scopes.get(source.pk), newest.get(source.pk)
        loaded = scope["loaded"] if scope else None
        trouble = (
            last.refusal or ""
            if last and last.status in (ImportStatus.REFUSED, ImportStatus.FAILED)
            else ""
        )
        lines.append(
            SourceLine(
                name=source.name,
                role=ROLE_WORDS[SourceRole(source.role)],
                delivery=source.delivery,
                first_month=scope["first"] if scope else None,
                last_month=scope["last"] if scope else None,
                rows=scope["rows"] if scope else 0,
                last_loaded=loaded,
                last_loaded_words=ago(loaded, now) if loaded else "nothing yet",
                trouble=trouble,
                trouble_import=last.pk if last else None,
            )
        )
    return lines


def open_jobs(now: datetime) -> list[JobLine]:
    open_ = Job.objects.filter(
        kind=JOB_KIND, status__in=[JobStatus.QUEUED, JobStatus.RUNNING]
    ).order_by("pk")
    return [
        replace(line(job, now), about=about(job), pace=time_left(job, now))
        for job in open_[:PAGE_SIZE]
    ]


def about(job: Job) -> str:
    return f"{job.payload.get('file_name')} for {job.payload.get('source')}"


def time_left(job: Job, now: datetime) -> str:
    """`45%, about 3 s left`; the work is counted in bytes of the file, which say nothing to a
    reader.
    """
    if not job.progress_total or not job.started_at:
        return ""
    share = min(job.progress_done / job.progress_total, 1.0)
    if not 0 < share < 1:
        return "reading done, publishing" if share else ""
    left = (now - job.started_at).total_seconds() * (1 - share) / share
    return f"{share:.0%}, about {seconds(left)} left"


@csrf_exempt  # until it is known who asks: the token stands in the body, which may be gigabytes
@sent_from("imports")
@csrf_protect
def upload(request: HttpRequest) -> HttpResponse:
    """Takes a bill from the form and sends the reader back to watch it load."""
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return full_page(request, form, status=400)
    given = form.cleaned_data
    try:
        job = accept_upload(
            file=given["file"],
            source_name=given["source"],
            delivery=given["delivery"] or None,
            format=given["format"] or AUTO,
            confirm_shrink=given["confirm_shrink"],
            month=given["month"] or None,
            created_by=cast(User, request.user).get_username(),
        )
    except Refused as refusal:
        form.add_error(None, str(refusal))
        return full_page(request, form, status=400)
    messages.success(
        request,
        f"{given['file'].name} is being loaded as job {job.pk}. It shows here when it is done.",
    )
    return HttpResponseRedirect(reverse("imports"))


@require_safe
def show_import(request: HttpRequest, import_id: int) -> HttpResponse:
    state = PageState.from_request(request)
    found = import_or_404(import_id)
    scopes = list(found.scopes.order_by("billing_month", "billing_account_id")[: PAGE_SIZE + 1])
    context: dict[str, Any] = {
        "bill": found,
        "status": STATUS_WORDS[ImportStatus(found.status)],
        "totals": [with_decimals(total) for total in found.totals],
        "repairs": [(repair_words(rule), count) for rule, count in found.repairs.items()],
        "changes": with_decimals(found.changes) if found.kind == ImportKind.BILL else [],
        "driver_changes": with_decimals(found.changes) if found.kind in driver_kinds() else [],
        "scopes": scopes[:PAGE_SIZE],
        "more_scopes": max(0, found.scopes.count() - PAGE_SIZE),
        "rejected": list(found.rejected.order_by("line", "pk")[:REJECTED_SHOWN]),
        "problems": found.rejected.count(),
        "by_reason": list(
            found.rejected.values("column", "reason")
            .annotate(rows=Count("pk"))
            .order_by("-rows")[:8]
        ),
        "took": (found.finished_at - found.created_at).total_seconds()
        if found.finished_at
        else None,
        "crumbs": [
            Crumb("Imports", f"{reverse('imports')}?{state.query_string()}"),
            Crumb(f"Import {found.pk}"),
        ],
    }
    title = f"Import {found.pk}: {found.file_name}"
    return render_page(
        request, "intake/imports/one.html", context, page="imports", title=title, state=state
    )


def repair_words(rule: str) -> str:
    if rule.startswith("missing_column_"):
        return f"no column {rule.removeprefix('missing_column_')}, read as no value"
    if rule.startswith("missing_value_"):
        return f"rows without {rule.removeprefix('missing_value_')}, loaded without it"
    return REPAIR_WORDS.get(rule, rule.replace("_", " "))


def with_decimals(amounts: Any) -> Any:
    """The same structure of an import's JSON with its cost strings as Decimals, for the template's
    figures.
    """
    if isinstance(amounts, list):
        return [with_decimals(each) for each in amounts]
    if not isinstance(amounts, dict):
        return amounts
    return {
        key: Decimal(value)
        if isinstance(value, str)
        and (key.endswith("_cost") or key in ("before", "after", "difference"))
        else with_decimals(value)
        for key, value in amounts.items()
    }


@require_safe
def rejected_csv(request: HttpRequest, import_id: int) -> HttpResponseBase:
    """Every problem of every rejected row; streamed."""
    found = import_or_404(import_id)
    response = StreamingHttpResponse(rejected_lines(found), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="import-{found.pk}-rejected.csv"'
    return response


def rejected_lines(found: Import) -> Iterator[bytes]:
    """Blocks of CSV, read in pages by key: no cursor stays open while a reader is slow."""
    yield b"line,column,value,reason\r\n"
    last_line, last_id = -1, -1
    while True:
        block = list(
            RejectedRow.objects.filter(bill_import=found)
            .extra(where=["(line, id) > (%s, %s)"], params=[last_line, last_id])
            .order_by("line", "pk")
            .values_list("line", "column", "value", "reason", "pk")[:CSV_ROWS]
        )
        if not block:
            return
        out = io.StringIO()
        csv.writer(out).writerows(
            (line, *(safe_text(text or "") for text in texts)) for line, *texts, _ in block
        )
        yield out.getvalue().encode()
        last_line, last_id = block[-1][0], block[-1][4]


def import_or_404(import_id: int) -> Import:
    found = Import.objects.select_related("source").filter(pk=import_id).first()
    if found is None:
        raise Http404
    return found
