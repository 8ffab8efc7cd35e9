"""The frame that every page is shown in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from allocation.values.periods import Period
from portal.accounts.models import User
from portal.pages.frame.state import BILLED, COMPARISONS, PageState
from portal.pages.frame.tables import Table
from portal.pages.registry import (
    GROUPS,
    Badge,
    Choice,
    holds,
    page_address,
    pages,
    rights_of,
)
from reports.charts.style import Figure
from reports.cost_question.answers import converted_costs, unconverted_costs
from reports.cost_question.runs import MonthRate, reporting_currencies
from reports.queries.costs.trust import SourceTrust, Trust, trust
from reports.queries.ownership.organisation import TeamInTree, environments, teams_in_tree
from reports.readable import COSTS, COSTS_EXPLAINED, ago, calculated, percent

BILLS_STALE_AFTER = timedelta(days=3)
TRACES_LIVE_WITHIN = timedelta(minutes=10)
TRACES_STALE_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class TrustPart:
    """One statement of the trust line; `advice`, what its reader can do, turns it amber."""

    text: str
    href: str | None
    advice: str | None = None


def read_trust(state: PageState) -> Trust:
    return trust(
        question=state.question,
        every_run=state.every_run,
        now=timezone.now(),
    )


def trust_parts(
    known: Trust, state: PageState, held: Collection[str], now: datetime
) -> list[TrustPart]:
    """The line's statements in reading order, for a reader who holds these rights: links only where
    they may follow them.
    """

    def link(page: str, **changes: str | None) -> str | None:
        if page not in held:
            return None
        return f"{page_address(page)}?{state.query_string(**changes)}"

    parts = _bill_parts(known.sources, link("imports"), now.date())
    parts.append(_traces_part(known.traces_at, link("debug"), now))
    if known.attributed is not None:
        executive = link("executive")
        evidence = f"{executive}#evidence" if executive else None
        words = f"{percent(known.attributed)} attributed to an owner"
        parts.append(TrustPart(words, evidence))
    if known.unallocated is not None and state.scope.is_everything:
        address = link("explain", kind="unallocated")
        parts.append(TrustPart(f"{percent(known.unallocated)} without an owner", address))
    when = calculated(run.finished_at for run in state.runs_of(state.period))
    if when:
        parts.append(TrustPart(when, link("rules")))
    return parts


def _traces_part(newest: datetime | None, address: str | None, now: datetime) -> TrustPart:
    """How old the newest span is. `address` is of the debug page; who has none can ask on-call."""
    if newest is None:
        own = "send spans to /v1/traces to see features and models"
        others = "features and models show once programs send spans, ask on-call"
        return TrustPart("no traces yet", address, own if address else others)
    advice = None
    if now - newest > TRACES_STALE_AFTER:
        own, others = "check the exporter and its key", "ask on-call to check the exporter"
        advice = f"no spans for over an hour: {own if address else others}"
    arrived = "live" if now - newest <= TRACES_LIVE_WITHIN else ago(newest, now)
    return TrustPart(f"traces {arrived}", address, advice)


def _bill_parts(
    sources: Sequence[SourceTrust], address: str | None, today: date
) -> list[TrustPart]:
    """How far bills reach, and what is wrong with them.

    `address` is of the imports; a reader without them, a team lead, can ask those who have them.
    """
    has_imports = address is not None
    if not sources:
        own = "import a bill to see costs"
        others = "costs show once finance has imported a bill"
        return [TrustPart("No bills yet", address, own if has_imports else others)]
    parts = _reached_part(sources, address, today)
    own = "allocate the month of its bill"
    others = "its bill is not in these figures, ask finance for it"
    parts += [
        TrustPart(f"{source.name} is not allocated", address, own if has_imports else others)
        for source in sources
        if source.through is None and not source.is_refused
    ]
    for source in sources:
        problem = source.problem if has_imports else source.problem_to_report
        if problem:
            parts.append(TrustPart("bill problem", address, problem))
    return parts


def _reached_part(
    sources: Sequence[SourceTrust], address: str | None, today: date
) -> list[TrustPart]:
    """ "Bills to 21 Nov (AWS, OpenAI), 20 Nov (Google)": sources that reach the same day stand
    together. Nothing where none reaches any.
    """
    by_day: dict[date, list[str]] = {}
    for source in sources:
        if source.through is not None:
            by_day.setdefault(source.through, []).append(source.name)
    if not by_day:
        return []
    reached = (f"{day.day} {day:%b} ({', '.join(names)})" for day, names in by_day.items())
    late = [
        name for day, names in by_day.items() if today - day > BILLS_STALE_AFTER for name in names
    ]
    remedy = "ask finance for it" if address is None else "import it"
    advice = f"no newer bill of {', '.join(late)} has arrived, {remedy}" if late else None
    return [TrustPart(f"Bills to {', '.join(reached)}", address, advice)]


def top_bar(
    state: PageState,
    teams: list[TeamInTree],
    choices: Sequence[Choice],
    kept: Mapping[str, str | None],
) -> dict[str, Any] | None:
    """What the bar's template shows, None where there is nothing to choose: each choice a list of
    (value, label, is chosen); the rest of the state goes along unseen, and what is `kept`.
    """
    if not choices:
        return None
    shown: set[str] = {*choices, *(("from", "to") if "range" in choices else ())}
    months = state.months
    if state.period.is_month and state.period.start not in months:
        months = sorted({*months, state.period.start}, reverse=True)
    units = {team.unit: team.unit_name for team in teams if team.unit}
    return {
        "shows": shown,
        "kept": [
            (name, value)
            for name, value in {**state.parameters(), **kept}.items()
            if value and name not in shown
        ],
        "summary": _bar_summary(state, teams, shown),
        "months": [
            (f"{month:%Y-%m}", f"{month:%B %Y}", _is_month(state.period, month)) for month in months
        ],
        "is_range": not state.period.is_month,
        "compares": [
            (key, label, key == state.compare_choice) for key, label in COMPARISONS.items()
        ],
        "metrics": [(key, label, key == state.metric) for key, label in COSTS.items()],
        "metrics_explained": COSTS_EXPLAINED,
        "currencies": [(code, code, code == state.currency) for code in state.currencies],
        "reports": _reports(state) if "report" in shown else [],
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


def _reports(state: PageState) -> list[tuple[str, str, bool]]:
    """What to report in: currencies that rates lead into, and the one that is asked for. Nothing
    where there are no rates.
    """
    wish = state.report_in
    codes = sorted({*reporting_currencies(), *([wish] if wish and wish != BILLED else [])})
    if not codes:
        return []
    choices = {"": f"all in {state.currency}", BILLED: "as billed"} | {code: code for code in codes}
    return [(value, label, value == (wish or "")) for value, label in choices.items()]


def _is_month(period: Period, month: date) -> bool:
    return period.is_month and period.start == month


@dataclass(frozen=True)
class Chart:
    """`question` is what the chart answers. `height` is a class of the stylesheet: "", short or
    tall.
    """

    name: str
    question: str
    figure: Figure
    table: Table
    height: str = ""

    @property
    def figure_id(self) -> str:
        return f"{self.name}-figure"


@dataclass(frozen=True)
class RailLink:
    label: str
    href: str
    is_here: bool
    group: str = ""
    badge: Badge | None = None


@dataclass(frozen=True)
class Crumb:
    label: str
    href: str | None = None


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
    choices: Sequence[Choice] | None = None,
    kept: Mapping[str, str | None] = MappingProxyType({}),
    status: int = 200,
) -> HttpResponse:
    """A page in its frame: rail, top bar, trust line. `page` is the name of its PageSpec; the
    template extends base.html.

    `choices` are those of the top bar where this one view heeds fewer than its page; without any
    there is no bar. `kept` are parameters of the page's own that outlive a choice in the bar.

    The template also sees `state`, `state_query` (for links that keep the view), `teams` (the
    readable tree) and `crumbs` where the context gives a list of `Crumb`. A page that has read
    trust or tree already passes them.
    """
    held = rights_of(cast(User, request.user))
    spec = pages()[page]
    if tree is None:
        tree = teams_in_tree(scope=state.reader_scope, day=state.period.last_day)
    known = known or read_trust(state)
    frame = {
        "page": page,
        "title": title,
        "state": state,
        "state_query": state.query_string(),
        "rail": _rail(held, page, state, known),
        "bar": top_bar(state, tree, spec.choices if choices is None else choices, kept),
        "rates": _rates(state),
        "converted": converted_costs(state.question).items() if state.conversion else [],
        "unconverted": unconverted_costs(state.question),
        "teams": tree,
        "trust": known,
        "elsewhere": _elsewhere(state) if spec.sums_money else [],
        "first_step": _first_step(held),
        "trust_parts": trust_parts(known, state, held, timezone.now()),
    }
    return render(request, template, {**frame, **context}, status=status)


def _rail(held: Collection[str], here: str, state: PageState, known: Trust) -> list[RailLink]:
    """The pages that the reader may open, by group, each with the view of this one but for the
    team. What waits on a page is said to who reads the whole organisation.
    """
    query = state.query_string(team=None)
    groups = list(GROUPS)
    return [
        RailLink(
            label=spec.label,
            href=f"{page_address(spec.name)}?{query}",
            is_here=spec.name == here,
            group=GROUPS[spec.group],
            badge=spec.badge(known) if spec.badge and state.scope.is_everything else None,
        )
        for spec in sorted(pages().values(), key=lambda spec: groups.index(spec.group))
        if spec.label and spec.name in held
    ]


def _first_step(held: Collection[str]) -> RailLink | None:
    """The one button that leads out of an empty database, for readers who may press it."""
    if "imports" not in held:
        return None
    return RailLink("Import a bill", f"{page_address('imports')}#load", is_here=False)


def key_step(request: HttpRequest) -> RailLink | None:
    """The one button that leads to traces where none came yet, for readers who may press it."""
    if not holds(request, "admin"):
        return None
    return RailLink("Make a key for the exporter", f"{page_address('admin')}#make-key", False)


def _elsewhere(state: PageState) -> list[RailLink]:
    """The same view in the other currencies of the period, where none are converted."""
    if state.conversion:
        return []
    return [
        RailLink(code, f"?{state.query_string(currency=code)}", is_here=False)
        for code in state.other_currencies
    ]


def _rates(state: PageState) -> list[MonthRate]:
    """The rates behind the page's figures, for its title."""
    if state.conversion is None:
        return []
    months = [*state.period.months(), *(state.compare.months() if state.compare else [])]
    return state.conversion.rates_of(months)
