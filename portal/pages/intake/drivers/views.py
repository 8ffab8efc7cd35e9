"""/drivers/: driver data that is no trace, exchange rates, and their uploads. FinOps admins upload,
finance reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_safe

from allocation.models import ImportKind
from allocation.values.periods import BadPeriod, Period
from portal.accounts.access import page, pages_of
from portal.accounts.models import User
from portal.errors import Refused
from portal.ingest.bills.delivery import ask_for_allocation
from portal.ingest.bills.uploads import plain_name
from portal.ingest.drivers.delivery import REJECTED_SHOWN, Outcome, deliver
from portal.ingest.drivers.doors import kind_of
from portal.ingest.drivers.outdated import outdated_months
from portal.ingest.drivers.table import MOST_BYTES
from portal.pages.frame.frame import render_page
from portal.pages.frame.posts import sent_from
from portal.pages.frame.state import PageState
from portal.pages.intake.imports.views import with_decimals
from reports.queries.drivers_known import KnownDriver, drivers_known
from reports.queries.exchange_rates import exchange_rates
from reports.readable import ago

KIND_WORDS = {
    ImportKind.SERIES: "Series",
    ImportKind.GPU_USAGE: "GPU usage",
    ImportKind.PROVIDER_USAGE: "Provider usage",
    ImportKind.IDENTITY_OWNERS: "Owners of identities",
    ImportKind.RATES: "Exchange rates",
}
RATES_SHOWN = 500
UNITS = {ImportKind.GPU_USAGE: "GPU-hours booked", ImportKind.PROVIDER_USAGE: "tokens"}
MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"
FILE_WORDS = {
    ImportKind.SERIES: "CSV with team, feature, day, quantity; feature and day may be missing. Replaces this month.",
    ImportKind.GPU_USAGE: "CSV of GPU-seconds per hour, node and workload. Replaces the hours it has, by cluster.",
    ImportKind.PROVIDER_USAGE: "CSV, or JSON pages of OpenAI or Anthropic. Replaces the days it has.",
    ImportKind.IDENTITY_OWNERS: "CSV of keys, users, workspaces, projects. Replaces the whole list of its providers.",
    ImportKind.RATES: "CSV with month, base, quote, rate, source. Sets the rates it has; frozen ones stay.",
}


class DriverFileForm(forms.Form):
    """One file of one kind; only a series has a name and month, only a usage report a provider."""

    file = forms.FileField()
    name = forms.CharField(required=False, max_length=100)
    month = forms.RegexField(
        MONTH, required=False, error_messages={"invalid": "A month reads YYYY-MM."}
    )
    provider = forms.CharField(required=False, max_length=100)
    dry_run = forms.BooleanField(required=False)

    def month_given(self) -> date | None:
        text = self.cleaned_data["month"]
        return date.fromisoformat(f"{text}-01") if text else None


@dataclass(frozen=True)
class UploadForm:
    """How one kind's form looks: `asks` names its fields beside the file."""

    kind: str
    title: str
    help: str
    asks: tuple[str, ...]

    @property
    def action(self) -> str:
        """What the button says: "Load exchange rates", "Load GPU usage"."""
        return f"Load {self.title if self.title[1].isupper() else self.title[0].lower() + self.title[1:]}"

    @property
    def asks_month(self) -> bool:
        return "month" in self.asks

    @property
    def asks_provider(self) -> bool:
        return "provider" in self.asks


FORMS = [
    UploadForm(
        kind.value,
        words,
        FILE_WORDS[kind],
        {ImportKind.SERIES: ("name", "month"), ImportKind.PROVIDER_USAGE: ("provider",)}.get(
            kind, ()
        ),
    )
    for kind, words in KIND_WORDS.items()
]


@dataclass(frozen=True)
class DriverLine:
    """One series, cluster or provider, in words."""

    known: KnownDriver
    kind: str
    unit: str
    loaded: str


@page("drivers")
@require_safe
def show_drivers(request: HttpRequest) -> HttpResponse:
    asked = request.GET.get("open", "")
    return drivers_page(request, opened=asked if asked in KIND_WORDS else "series")


def drivers_page(
    request: HttpRequest,
    *,
    outcome: Outcome | None = None,
    problem: str = "",
    opened: str = "series",
    given: Mapping[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    """`given` are words of a form that was refused, so that nobody types them again."""
    state = PageState.from_request(request)
    now = timezone.now()
    known = drivers_known(scope=state.reader_scope)
    context = {
        "lines": [
            DriverLine(
                known=one,
                kind=KIND_WORDS[ImportKind(one.kind)],
                unit=UNITS.get(ImportKind(one.kind), ""),
                loaded=ago(one.loaded_at, now) if one.loaded_at else "",
            )
            for one in known
        ],
        "rates": exchange_rates(limit=RATES_SHOWN),
        "series": [one.subject for one in known if one.kind == ImportKind.SERIES],
        "outdated": outdated_months(),
        "outcome": outcome,
        "rejected": outcome.problems[:REJECTED_SHOWN] if outcome else [],
        "changes": with_decimals(outcome.to_json()["changes"]) if outcome else [],
        "outcome_kind": KIND_WORDS[ImportKind(outcome.kind)] if outcome else "",
        "problem": problem,
        "opened": opened,
        "given": given or {},
        "default_month": f"{state.period.start:%Y-%m}",
        "uploads": FORMS if may_change(request) else [],
        "may_change": may_change(request),
    }
    return render_page(
        request,
        "intake/drivers/page.html",
        context,
        page="drivers",
        title="Drivers",
        state=state,
        status=status,
    )


def may_change(request: HttpRequest) -> bool:
    """Driver data moves what every team pays, so it is changed by those who may grant access, too."""
    return "admin" in pages_of(cast(User, request.user))


@page("drivers")
@sent_from("drivers")
def upload_driver(request: HttpRequest, kind: str) -> HttpResponse:
    """Takes one file and says at once what became of it; 400 with the bad rows where it was
    refused.
    """
    if not may_change(request) or kind not in KIND_WORDS:
        raise Http404
    form = DriverFileForm(request.POST, request.FILES)
    if not form.is_valid():
        return drivers_page(
            request, problem=problems_of(form), opened=kind, given=request.POST.dict(), status=400
        )
    given = form.cleaned_data
    try:
        outcome = deliver(
            kind_of(kind, name=given["name"], month=form.month_given(), provider=given["provider"]),
            given["file"].read(MOST_BYTES + 1),
            file_name=plain_name(given["file"].name),
            created_by=cast(User, request.user).get_username(),
            dry_run=given["dry_run"],
        )
    except Refused as refusal:
        return drivers_page(
            request, problem=str(refusal), opened=kind, given=request.POST.dict(), status=400
        )
    if outcome.status == "refused":
        return drivers_page(
            request, outcome=outcome, opened=kind, given=request.POST.dict(), status=400
        )
    return drivers_page(request, outcome=outcome, opened=kind)


def problems_of(form: forms.Form) -> str:
    return " ".join(f"{name}: {text}" for name, texts in form.errors.items() for text in texts)


@page("drivers")
@sent_from("drivers")
def allocate_month(request: HttpRequest) -> HttpResponse:
    """Asks for the allocation of a month again, so that its run uses the driver data of now."""
    if not may_change(request):
        raise Http404
    try:
        period = Period.parse(request.POST.get("month", ""))
    except BadPeriod:
        raise Http404 from None
    ask_for_allocation(str(period), created_by=cast(User, request.user).get_username())
    messages.success(
        request, f"{period.start:%B %Y} is being allocated again; Jobs shows how far it is."
    )
    return redirect("drivers")


urlpatterns: list[Any] = [
    path("drivers/", show_drivers, name="drivers"),
    path("drivers/allocate/", allocate_month, name="driver_allocate"),
    path("drivers/upload/<slug:kind>/", upload_driver, name="driver_upload"),
]
