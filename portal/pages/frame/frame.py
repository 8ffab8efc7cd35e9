"""The frame of every page: rail, top bar, trust line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from allocation.values.periods import Period
from portal.accounts.access import pages_of
from portal.accounts.models import User
from portal.pages.frame.state import COMPARISONS, METRICS, PageState
from reports.cost_question.answers import unconverted_costs
from reports.cost_question.currency import MonthRate, reporting_currencies
from reports.queries.costs.trust import Trust, trust
from reports.queries.ownership.organisation import TeamInTree, environments, teams_in_tree
from reports.readable import ago, percent

LABELS = {
    "executive": "Executive",
    "showback": "Showback",
    "chargeback": "Chargeback",
    "reconciliation": "Reconciliation",
    "on-call": "On-call",
    "debug": "Debug",
    "gpu": "GPU",
    "explore": "Explore",
    "imports": "Imports",
    "drivers": "Drivers",
    "rules": "Rules",
    "ownership": "Ownership",
    "jobs": "Jobs",
    "admin": "Admin",
}
SPEND_PAGES = {"executive", "showback", "chargeback"}
# What each page heeds of the top bar. A choice without an effect is not offered; it stays in the
# address all the same.
ALL_CHOICES = (
    "period",
    "range",
    "compare",
    "metric",
    "currency",
    "report",
    "unit",
    "team",
    "environment",
)
CHOICES = {
    "executive": ALL_CHOICES,
    "showback": ALL_CHOICES,
    "chargeback": ("period", "metric", "currency"),
    "reconciliation": ("period",),
    "on-call": ("unit", "team", "environment"),
    "debug": ("unit", "team", "environment"),
    "gpu": ("period", "range", "metric", "currency"),
    "rules": ("period", "range", "metric", "currency", "unit", "team"),
    "ownership": ("period", "metric", "currency"),
    "explain": ("period", "range", "metric", "currency", "unit", "team", "environment"),
}
BILLS_STALE_AFTER = timedelta(days=3)
TRACES_STALE_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class RailLink:
    label: str
    href: str
    is_here: bool


@dataclass(frozen=True)
class TrustPart:
    """One statement of the trust line; `advice`, what this reader can do about it, makes it amber."""

    text: str
    href: str | None
    advice: str | None = None


@dataclass(frozen=True)
class Crumb:
    label: str
    href: str | None = None


def read_trust(state: PageState) -> Trust:
    return trust(
        question=state.question,
        every_run=state.every_run,
        runs=tuple(run.id for run in state.runs_of(state.period)),
        now=timezone.now(),
    )


def page_address(page: str) -> str | None:
    """Where a page of access.PAGES lives, or None while it has no address."""
    for name in (page, page.replace("-", "_")):
        try:
            return reverse(name)
        except NoReverseMatch:
            continue
    return None


def render_page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    *,
    page: str,
    title: str,
    state: PageState,
    known: Trust | None = None,
    tree: list[TeamInTree] | None = None,
    choices: Sequence[str] | None = None,
    status: int = 200,
) -> HttpResponse:
    """A full page in its frame. `page` is a name of access.PAGES; the template extends base.html.

    `choices` are those of the top bar where this one page heeds fewer than CHOICES says; without
    any there is no bar.

    The template also sees `state`, `state_query` (for links that keep the view), `teams` (the
    readable tree) and `crumbs` where the context gives a list of `Crumb`. A page that has read
    trust or tree already passes them.
    """
    user = cast(User, request.user)
    now = timezone.now()
    opened = pages_of(user)
    teams = (
        tree
        if tree is not None
        else teams_in_tree(scope=state.reader_scope, day=state.period.last_day)
    )
    known = known or read_trust(state)
    frame = {
        "page": page,
        "title": title,
        "state": state,
        "state_query": state.query_string(),
        "rail": _rail(opened, page, state),
        "bar": _bar(state, teams, CHOICES.get(page, ()) if choices is None else choices),
        "rates": _rates(state),
        "unconverted": unconverted_costs(state.question),
        "teams": teams,
        "trust": known,
        "elsewhere": _elsewhere(page, state),
        "first_step": _first_step(opened),
        "trust_parts": _trust_parts(known, state, opened, now),
    }
    return render(request, template, {**frame, **context}, status=status)


def _first_step(opened: list[str]) -> RailLink | None:
    """The one button that leads out of an empty database, for readers who may press it."""
    address = page_address("imports") if "imports" in opened else None
    return RailLink("Import a bill", f"{address}#load", is_here=False) if address else None


def key_step(user: User) -> RailLink | None:
    """The one button that leads to traces where none came yet, for readers who may press it."""
    address = page_address("admin") if "admin" in pages_of(user) else None
    return (
        RailLink("Make a key for the exporter", f"{address}#make-key", is_here=False)
        if address
        else None
    )


def _elsewhere(page: str, state: PageState) -> list[RailLink]:
    """The same view in the other currencies of the period, on pages that state sums of money."""
    if page not in SPEND_PAGES or state.conversion:
        return []
    return [
        RailLink(code, f"?{state.query_string(currency=code)}", is_here=False)
        for code in state.other_currencies
    ]


def _rail(opened: list[str], here: str, state: PageState) -> list[RailLink]:
    links = []
    for name in opened:
        address = page_address(name)
        if name in LABELS and address:
            links.append(
                RailLink(LABELS[name], f"{address}?{state.query_string(team=None)}", name == here)
            )
    return links


def _rates(state: PageState) -> list[MonthRate]:
    """The rates behind the page's figures, for its title."""
    if state.conversion is None:
        return []
    return state.conversion.rates_of(
        [*state.period.months(), *(state.compare.months() if state.compare else [])]
    )


def _bar(
    state: PageState, teams: list[TeamInTree], choices: Sequence[str]
) -> dict[str, Any] | None:
    """The top bar: each choice a list of (value, label, is chosen); the rest of the address goes
    along unseen.
    """
    if not choices:
        return None
    shown = {*choices, *(("from", "to") if "range" in choices else ())}
    months = state.months
    if state.period.is_month and state.period.start not in months:
        months = sorted({*months, state.period.start}, reverse=True)
    units = {team.unit: team.unit_name for team in teams if team.unit}
    return {
        "shows": shown,
        "kept": [(name, value) for name, value in state.parameters().items() if name not in shown],
        "summary": _bar_summary(state, teams, shown),
        "months": [
            (f"{month:%Y-%m}", f"{month:%B %Y}", _is_month(state.period, month)) for month in months
        ],
        "is_range": not state.period.is_month,
        "compares": [
            (key, label, key == state.compare_choice) for key, label in COMPARISONS.items()
        ],
        "metrics": [(key, label, key == state.metric) for key, label in METRICS.items()],
        "currencies": [(code, code, code == state.currency) for code in state.currencies],
        "reports": [
            (code, code, code == state.report_in)
            for code in (_reports(state) if "report" in shown else [])
        ],
        "units": [
            (slug, name, slug == state.unit)
            for slug, name in sorted(units.items(), key=lambda unit: unit[1] or "")
        ],
        "teams": [(team.slug, team.name, team.slug == state.team) for team in teams],
        "environments": [
            (name, name, name == state.environment)
            for name in (environments() if "environment" in shown else [])
        ],
    }


def _bar_summary(state: PageState, teams: list[TeamInTree], shown: set[str]) -> str:
    """What is chosen, for the narrow bar that is folded."""
    currency = state.shown_currency if "report" in shown else state.currency
    if state.team or state.unit:
        scope = _scope_name(state, teams)
    elif "period" in shown:
        scope = ""  # the whole goes without saying beside other words
    else:
        scope = "all teams" if state.reader_scope.is_everything else "all my teams"
    parts = {
        "period": state.period.words,
        "metric": state.metric_label,
        "currency": currency,
        "team": scope,
    }
    return " · ".join(words for name, words in parts.items() if name in shown and words)


def _scope_name(state: PageState, teams: list[TeamInTree]) -> str | None:
    """The picked team, or else unit, as the organisation calls it; as the address does where the
    tree has none.
    """
    if state.team:
        return next((team.name for team in teams if team.slug == state.team), state.team)
    return next((team.unit_name for team in teams if team.unit == state.unit), state.unit)


def _reports(state: PageState) -> list[str]:
    """Currencies to report in: those that rates lead into, and the one that is asked for."""
    return sorted({*reporting_currencies(), *([state.report_in] if state.report_in else [])})


def _is_month(period: Period, month: date) -> bool:
    return period.is_month and period.start == month


def _trust_parts(known: Trust, state: PageState, opened: list[str], now: Any) -> list[TrustPart]:
    """The line's statements in reading order; links only where the reader may follow them."""

    def link(page: str, **changes: str | None) -> str | None:
        address = page_address(page) if page in opened else None
        return f"{address}?{state.query_string(**changes)}" if address else None

    parts = _bill_parts(known, link("imports"), now.date())
    if known.traces_at is None:
        own = "send spans to /v1/traces to see features and models"
        others = "features and models show once programs send spans, ask on-call"
        parts.append(
            TrustPart("no traces yet", link("debug"), own if "debug" in opened else others)
        )
    else:
        stale = now - known.traces_at > TRACES_STALE_AFTER
        remedy = (
            "check the exporter and its key"
            if "debug" in opened
            else "ask on-call to check the exporter"
        )
        advice = f"no spans for over an hour: {remedy}" if stale else None
        parts.append(TrustPart(f"traces {ago(known.traces_at, now)}", link("debug"), advice))
    if known.explained is not None:
        parts.append(TrustPart(f"{percent(known.explained)} explained", _evidence_link(link)))
    if known.unallocated is not None and state.scope.is_everything:
        address = link("explain", kind="unallocated")
        parts.append(TrustPart(f"{percent(known.unallocated)} unallocated", address))
    if known.runs:
        numbers = ", ".join(str(run) for run in known.runs)
        parts.append(
            TrustPart(f"{'run' if len(known.runs) == 1 else 'runs'} {numbers}", link("rules"))
        )
    return parts


def _evidence_link(link: Any) -> str | None:
    address = link("chargeback") or link("executive")
    return f"{address}#evidence" if address else None


def _bill_parts(known: Trust, address: str | None, today: date) -> list[TrustPart]:
    """ "Bills through 21 Nov (AWS, OpenAI), 20 Nov (Google)": sources that reach the same day stand together.

    `address` is of the imports; a reader without them, a team lead, can ask those who have them.
    """
    imports = address is not None
    if not known.sources:
        remedy = (
            "import a bill to see costs"
            if imports
            else "costs show once finance has imported a bill"
        )
        return [TrustPart("No bills yet", address, remedy)]
    by_day: dict[date | None, list[str]] = {}
    for source in known.sources:
        by_day.setdefault(source.through, []).append(source.name)
    reached = [(through, names) for through, names in by_day.items() if through is not None]
    parts = []
    if reached:
        text = ", ".join(
            f"{through.day} {through:%b} ({', '.join(names)})" for through, names in reached
        )
        late = [
            name
            for through, names in reached
            if today - through > BILLS_STALE_AFTER
            for name in names
        ]
        remedy = "import it" if imports else "ask finance for it"
        advice = f"no newer bill of {', '.join(late)} has arrived, {remedy}" if late else None
        parts.append(TrustPart(f"Bills through {text}", address, advice))
    waiting = [
        source.name for source in known.sources if source.through is None and not source.is_refused
    ]
    for name in waiting:
        remedy = (
            "allocate the month of its bill"
            if imports
            else "its bill is not in these figures, ask finance for it"
        )
        parts.append(TrustPart(f"{name} is not allocated", address, remedy))
    for source in known.sources:
        if problem := source.problem if imports else source.problem_to_report:
            parts.append(TrustPart("bill problem", address, problem))
    return parts
