"""The top bar of a page: what may be chosen, and what is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from allocation.values.periods import Period
from portal.pages.frame.state import COMPARISONS, METRICS, PageState
from portal.pages.spec import Choice
from reports.cost_question.runs import reporting_currencies
from reports.queries.ownership.organisation import TeamInTree, environments


def top_bar(
    state: PageState, teams: list[TeamInTree], choices: Sequence[Choice]
) -> dict[str, Any] | None:
    """What the bar's template shows, None where there is nothing to choose: each choice a list of
    (value, label, is chosen); the rest of the address goes along unseen.
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
