"""/imports/: where bills come from, what arrived, what was wrong with it and what it changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import (
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

from allocation.models import Delivery, Import, ImportKind, ImportStatus, SourceRole
from portal.accounts.models import User
from portal.errors import Refused
from portal.ingest.bills.delivery import with_bills
from portal.ingest.bills.formats import AUTO, bill_formats
from portal.ingest.bills.uploads import JOB_KIND, accept_upload
from portal.ingest.drivers.kinds import driver_kinds
from portal.jobs.lists import open_jobs
from portal.jobs.models import Job
from portal.pages.frame.doorway import found
from portal.pages.frame.durations import seconds
from portal.pages.frame.posts import sent_from
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.operate.jobs.views import JobLine, line, page_key
from reports.queries.reconcile.deliveries import (
    bill_sources,
    import_contents,
    newest_imports,
    one_import,
    rejected_blocks,
)
from reports.queries.traces.findings import span_findings
from reports.readable import ago, safe_text

PAGE_SIZE = 30
REJECTED_SHOWN = 100
REASONS_SHOWN = 8
FINDINGS_SHOWN = timedelta(days=30)

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
    "contradicting_tag_spellings": "tags whose key is spelled in several ways, with other values",
    "lines_end_with_cr": "files whose lines end with CR alone",
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


class SeveralFilesInput(forms.FileInput):
    allow_multiple_selected = True


class SeveralFilesField(forms.FileField):
    """One or several files; cleaned to a list."""

    widget = SeveralFilesInput

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        given = data if isinstance(data, list) else [data]
        return [super(SeveralFilesField, self).clean(each, initial) for each in given or [None]]


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
    file = SeveralFilesField()
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
    imports = newest_imports(before=before, limit=PAGE_SIZE + 1)
    return {
        "sources": sources(now),
        "jobs": loading(now),
        "imports": imports[:PAGE_SIZE],
        "older": imports[PAGE_SIZE - 1].pk if len(imports) > PAGE_SIZE else None,
        "before": before,
        "now": now,
        "findings": span_findings(since=now.date() - FINDINGS_SHOWN),
    }


def sources(now: datetime) -> list[SourceLine]:
    return [
        SourceLine(
            name=one.source.name,
            role=ROLE_WORDS[SourceRole(one.source.role)],
            delivery=one.source.delivery,
            first_month=one.first_month,
            last_month=one.last_month,
            rows=one.rows,
            last_loaded=one.published_at,
            last_loaded_words=ago(one.published_at, now) if one.published_at else "nothing yet",
            trouble=(one.refused.refusal or "") if one.refused else "",
            trouble_import=one.newest.pk if one.newest else None,
        )
        for one in bill_sources()
    ]


def loading(now: datetime) -> list[JobLine]:
    return [
        replace(line(job, now), about=about(job), pace=time_left(job, now))
        for job in open_jobs(kind=JOB_KIND, limit=PAGE_SIZE)
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
            files=given["file"],
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
        f"{job.payload['file_name']} is being loaded as job {job.pk}. It shows here when it is "
        "done.",
    )
    return HttpResponseRedirect(reverse("imports"))


@require_safe
def show_import(request: HttpRequest, import_id: int) -> HttpResponse:
    state = PageState.from_request(request)
    delivered = found(one_import(import_id))
    contents = import_contents(
        delivered, scopes=PAGE_SIZE, rejected=REJECTED_SHOWN, reasons=REASONS_SHOWN
    )
    context: dict[str, Any] = {
        "bill": delivered,
        "status": STATUS_WORDS[ImportStatus(delivered.status)],
        "totals": [with_decimals(total) for total in delivered.totals],
        "earlier_months": with_decimals(with_bills(delivered.earlier_months)),
        "rejected_money": [
            with_decimals(each) for each in delivered.rejected_money if each["currency"]
        ],
        "repairs": [(repair_words(rule), count) for rule, count in delivered.repairs.items()],
        "changes": with_decimals(delivered.changes) if delivered.kind == ImportKind.BILL else [],
        "driver_changes": with_decimals(delivered.changes)
        if delivered.kind in driver_kinds()
        else [],
        "scopes": contents.scopes,
        "more_scopes": contents.all_scopes - len(contents.scopes),
        "rejected": contents.rejected,
        "problems": contents.all_rejected,
        "by_reason": contents.by_reason,
        "took": (delivered.finished_at - delivered.created_at).total_seconds()
        if delivered.finished_at
        else None,
        "crumbs": [
            Crumb("Imports", f"{reverse('imports')}?{state.query_string()}"),
            Crumb(f"Import {delivered.pk}"),
        ],
    }
    title = f"Import {delivered.pk}: {delivered.file_name}"
    return render_page(
        request, "intake/imports/one.html", context, page="imports", title=title, state=state
    )


def repair_words(rule: str) -> str:
    if rule.startswith("missing_column_"):
        return f"no column {rule.removeprefix('missing_column_')}, read as no value"
    if rule.startswith("missing_value_"):
        return f"rows without {rule.removeprefix('missing_value_')}, loaded without it"
    if rule.startswith("unreadable_"):
        column = rule.removeprefix("unreadable_")
        return f"values of {column} that can't be read, loaded without them"
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
    delivered = found(one_import(import_id))
    blocks = rejected_lines(delivered)
    response = StreamingHttpResponse(blocks, content_type="text/csv; charset=utf-8")
    name = f"import-{delivered.pk}-rejected.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def rejected_lines(delivered: Import) -> Iterator[bytes]:
    """Lines of CSV; in a delivery of several files they begin with the file's name."""
    has_files = len(delivered.files) > 1
    yield b"file,line,column,value,reason\r\n" if has_files else b"line,column,value,reason\r\n"
    for block in rejected_blocks(delivered):
        out = io.StringIO()
        csv.writer(out).writerows(
            (
                *([safe_text(row.file or "")] if has_files else []),
                row.line,
                *(safe_text(text or "") for text in (row.column, row.value, row.reason)),
            )
            for row in block
        )
        yield out.getvalue().encode()
