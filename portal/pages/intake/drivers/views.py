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
from django.utils import timezone
from django.views.decorators.http import require_safe

from allocation.values.periods import BadPeriod, Period
from portal.accounts.models import User
from portal.errors import Refused
from portal.ingest.bills.delivery import ask_for_allocation
from portal.ingest.bills.uploads import plain_name
from portal.ingest.drivers.delivery import REJECTED_SHOWN, Outcome, deliver
from portal.ingest.drivers.kinds import Ask, DriverKind, driver_kinds
from portal.ingest.drivers.outdated import outdated_months
from portal.ingest.drivers.table import MOST_BYTES
from portal.pages.frame.posts import sent_from
from portal.pages.frame.render import render_page
from portal.pages.frame.state import PageState
from portal.pages.intake.imports.views import with_decimals
from portal.pages.registry import holds
from reports.cost_question.runs import exchange_rates
from reports.queries.usage.drivers_known import KnownDriver, drivers_known
from reports.readable import ago

RATES_SHOWN = 500
LONGEST_ASKED = 100
MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"


class DriverFileForm(forms.Form):
    """One file of a kind, and what the kind asks beside it."""

    file = forms.FileField()
    dry_run = forms.BooleanField(required=False)

    def __init__(self, kind: DriverKind, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asks = kind.asks
        self.fields |= {ask.name: asked_field(ask) for ask in kind.asks}

    @property
    def asked(self) -> dict[str, Any]:
        return {ask.name: self.cleaned_data[ask.name] for ask in self.asks}


class MonthFormField(forms.RegexField):
    """A month as YYYY-MM, given on as its first day."""

    def __init__(self, **options: Any) -> None:
        errors = {"invalid": "A month reads YYYY-MM."}
        super().__init__(MONTH, error_messages=errors, **options)

    def clean(self, value: Any) -> date | None:
        text = super().clean(value)
        return date.fromisoformat(f"{text}-01") if text else None


def asked_field(ask: Ask) -> forms.Field:
    """Never required: what is missing is said by the kind, which knows what it is for."""
    if ask.is_month:
        return MonthFormField(required=False)
    return forms.CharField(required=False, max_length=LONGEST_ASKED)


@dataclass(frozen=True)
class AskedField:
    """One field beside the file, with what stands in it."""

    ask: Ask
    value: str


@dataclass(frozen=True)
class UploadFormLayout:
    """How one kind's form looks."""

    kind: DriverKind
    fields: list[AskedField]
    known: list[str]  # subjects that are there

    @property
    def action(self) -> str:
        """What the button says: "Load exchange rates", "Load GPU usage"."""
        label = self.kind.label
        return f"Load {label if label[1].isupper() else label[0].lower() + label[1:]}"


@dataclass(frozen=True)
class DriverLine:
    """One series, cluster or provider, in words."""

    known: KnownDriver
    kind: str
    unit: str
    loaded: str

    @property
    def covers(self) -> str:
        """The first and the last day, or month of a series; owners hold from a day on."""
        first, last = self.known.first, self.known.last
        if last is None:
            return f"from {first.day} {first:%b %Y} on"
        if self.known.kind == "series":
            ends = [f"{first:%b %Y}", f"{last:%b %Y}"]
        else:
            ends = [f"{first.day} {first:%b %Y}", f"{last.day} {last:%b %Y}"]
        return ends[0] if first == last else " to ".join(ends)


@require_safe
def show_drivers(request: HttpRequest) -> HttpResponse:
    asked = request.GET.get("open", "")
    return drivers_page(request, opened=asked if asked in driver_kinds() else "series")


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
    known, kinds = drivers_known(scope=state.reader_scope), driver_kinds()
    may_change = holds(request, "drivers-change")
    context = {
        "lines": [
            DriverLine(
                known=one,
                kind=kinds[one.kind].label,
                unit=kinds[one.kind].unit,
                loaded=ago(one.loaded_at, now) if one.loaded_at else "",
            )
            for one in known
        ],
        "rates": exchange_rates(limit=RATES_SHOWN),
        "outdated": outdated_months(),
        "outcome": outcome,
        "rejected": outcome.problems[:REJECTED_SHOWN] if outcome else [],
        "changes": with_decimals(outcome.to_json()["changes"]) if outcome else [],
        "outcome_kind": kinds[outcome.kind].label if outcome else "",
        "problem": problem,
        "opened": opened,
        "uploads": upload_forms(known, given or {}, state.period.start) if may_change else [],
        "may_change": may_change,
    }
    return render_page(
        request,
        "intake/drivers/page.html",
        context,
        page="drivers",
        title="Usage data",
        state=state,
        status=status,
    )


def upload_forms(
    known: list[KnownDriver], given: Mapping[str, str], month: date
) -> list[UploadFormLayout]:
    """A form for each kind; `given` goes before what fields hold by default."""
    return [
        UploadFormLayout(
            kind=kind,
            fields=[
                AskedField(ask, given.get(ask.name) or (f"{month:%Y-%m}" if ask.is_month else ""))
                for ask in kind.asks
            ],
            known=[one.subject for one in known if one.kind == kind.name],
        )
        for kind in driver_kinds().values()
    ]


@sent_from("drivers")
def upload_driver(request: HttpRequest, kind: str) -> HttpResponse:
    """Takes one file and says at once what became of it; 400 with the bad rows where it was
    refused.
    """
    wanted = driver_kinds().get(kind)
    if wanted is None:
        raise Http404
    form = DriverFileForm(wanted, request.POST, request.FILES)
    if not form.is_valid():
        return drivers_page(
            request, problem=problems_of(form), opened=kind, given=request.POST.dict(), status=400
        )
    given = form.cleaned_data
    try:
        outcome = deliver(
            wanted,
            given["file"].read(MOST_BYTES + 1),
            file_name=plain_name(given["file"].name),
            asked=form.asked,
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


@sent_from("drivers")
def allocate_month(request: HttpRequest) -> HttpResponse:
    """Asks for the allocation of a month again, so that its run uses the driver data of now."""
    try:
        period = Period.parse(request.POST.get("month", ""))
    except BadPeriod:
        raise Http404 from None
    ask_for_allocation(str(period), created_by=cast(User, request.user).get_username())
    messages.success(
        request, f"{period.start:%B %Y} is being allocated again; Jobs shows how far it is."
    )
    return redirect("drivers")
