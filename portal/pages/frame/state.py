"""What a page shows, as its address says it: period, comparison, metric, currency, scope,
environment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, cast
from urllib.parse import urlencode

from django import forms
from django.http import Http404, HttpRequest
from django.utils import timezone

from allocation.values.money import minor_units
from allocation.values.names import quoted
from allocation.values.periods import DAY, Period
from portal.accounts.access import team_scope
from portal.accounts.models import User
from reports.asking import TeamScope
from reports.cost_question.alike import Compared, alike
from reports.cost_question.answers import costs
from reports.cost_question.question import Alike, CostQuestion
from reports.cost_question.runs import (
    Conversion,
    MonthRun,
    conversion,
    current_runs,
    exchange_rates,
    runs_of_months,
)
from reports.queries.ownership.organisation import teams_of_unit
from reports.readable import COSTS

BILLED = "billed"  # of the parameter `report`: every currency stands apart
COMPARISONS = {"previous": "the period before", "year": "a year before", "none": "nothing"}


class StateForm(forms.Form):
    """The top bar's parameters. Anything not understood falls back to its default and is named in a
    notice.
    """

    period = forms.RegexField(r"^\d{4}-(0[1-9]|1[0-2])$", required=False)
    to = forms.DateField(required=False)
    compare = forms.ChoiceField(choices=list(COMPARISONS.items()), required=False)
    metric = forms.ChoiceField(choices=list(COSTS.items()), required=False)
    currency = forms.RegexField(r"^[A-Z]{3}$", required=False)
    report = forms.RegexField(rf"^([A-Z]{{3}}|{BILLED})$", required=False)
    unit = forms.SlugField(required=False)
    team = forms.SlugField(required=False)
    environment = forms.CharField(required=False, max_length=200)


# A Python keyword, and the right word in an address.
StateForm.base_fields["from"] = forms.DateField(required=False)


PARAMETERS = frozenset(StateForm.base_fields)


@dataclass(frozen=True)
class PageState:
    """One reader's view. `scope` is what they may read, narrowed by `team` or `unit`; give it to
    every query.

    `currency` is the billing currency whose runs are read. Where the page can, and rates are on
    file for all that is billed in the period, every other currency is converted into it, or into
    the one that the reader wants reported: `conversion` says at which rates, and `shown_currency`
    is what sums are in. `report_in` is the reader's wish. `elapsed` is the part of `period` that
    bills cover; `compare` matches it, and is None for "compare with nothing".
    """

    period: Period
    elapsed: Period
    compare: Period | None
    compare_choice: str
    metric: str
    currency: str
    scope: TeamScope
    reader_scope: TeamScope
    unit: str | None
    team: str | None
    environment: str | None
    runs: tuple[MonthRun, ...]
    problems: tuple[str, ...] = ()
    report_in: str | None = None
    conversion: Conversion | None = None

    @classmethod
    def from_request(
        cls,
        request: HttpRequest,
        reader_scope: TeamScope | None = None,
        *,
        team: str | None = None,
        converts: bool = False,
    ) -> PageState:
        """Raises Http404 for a team the reader may not see, in path or parameters; other bad ones
        become `problems`.

        `reader_scope` is what a program's key may read; for a person it is asked here. `team` is
        one that the path names; it stands above the parameters `team` and `unit`. `converts`: the
        page can report in another currency.
        """
        form = StateForm(request.GET)
        form.is_valid()
        asked = form.cleaned_data
        problems = [
            f"{name}: {quoted(request.GET.get(name, '')[:40])} is not understood, so ignored"
            for name in form.errors
        ]
        runs = tuple(current_runs())
        if reader_scope is None:
            reader_scope = team_scope(cast(User, request.user))
        scope = _narrowed(reader_scope, team=asked.get("team"), unit=asked.get("unit"))
        if team:
            scope = _narrowed(reader_scope, team=team, unit=None)
        period = _period(asked, runs, problems)
        currency = asked.get("currency") or _costliest_currency(runs, period, scope)
        report_in = asked.get("report") or None
        converted = _conversion(runs, period, currency, report_in) if converts else None
        if not converted and asked.get("currency") and scope != reader_scope:
            currency = _currency_with_cost(currency, runs, period, scope)
        elapsed = period.through(_last_day(runs, None if converted else currency))
        choice = asked.get("compare") or "previous"
        return cls(
            period=period,
            elapsed=elapsed,
            compare=_comparison(elapsed, choice),
            compare_choice=choice,
            metric=asked.get("metric") or "effective_cost",
            currency=currency,
            scope=scope,
            reader_scope=reader_scope,
            unit=None if team else asked.get("unit") or None,
            team=team or asked.get("team") or None,
            environment=asked.get("environment") or None,
            runs=runs,
            problems=tuple(problems),
            report_in=report_in,
            conversion=converted,
        )

    def whole_month(self, page: str) -> PageState:
        """For pages of billing months: a custom range becomes the month of its last day."""
        if self.period.is_month:
            return self
        month = Period.month(self.period.last_day)
        problem = f"{page} works in whole months: {month.words} is shown"
        return replace(
            self,
            period=month,
            elapsed=month,
            compare=month.before(),
            problems=(*self.problems, problem),
        )

    def query_string(self, **changes: str | None) -> str:
        """The address parameters of this view with `changes` applied; None leaves a parameter out.
        No question mark.
        """
        if changes.keys() & PARAMETERS:
            return urlencode(self.parameters(**changes))
        added = urlencode({name: value for name, value in changes.items() if value})
        return "&".join(filter(None, (self._own_query, added)))

    @cached_property
    def _own_query(self) -> str:
        """Asked for by every link of a page."""
        return urlencode(self.parameters())

    def parameters(self, **changes: str | None) -> dict[str, str]:
        """Period and currency are always named, so that a shared address keeps its meaning next
        month.
        """
        values: dict[str, str | None] = {
            **self.period_parameters,
            "currency": self.currency or None,
            "report": self.report_in,
            "compare": self.compare_choice if self.compare_choice != "previous" else None,
            "metric": self.metric if self.metric != "effective_cost" else None,
            "unit": self.unit,
            "team": self.team,
            "environment": self.environment,
            **changes,
        }
        return {name: value for name, value in values.items() if value}

    @cached_property
    def period_parameters(self) -> dict[str, str | None]:
        if self.period.is_month:
            return {"period": f"{self.period.start:%Y-%m}"}
        return {"from": self.period.start.isoformat(), "to": self.period.last_day.isoformat()}

    @property
    def metric_label(self) -> str:
        return COSTS[self.metric]

    @property
    def shown_currency(self) -> str:
        """What the page's sums are in."""
        return self.conversion.currency if self.conversion else self.currency

    @property
    def places(self) -> int:
        """Decimals that amounts of the page are rounded to for reading."""
        return minor_units(self.shown_currency)

    @property
    def has_data(self) -> bool:
        """Some succeeded run covers a month of the period in this currency, or in any where all are
        converted.
        """
        runs = self.runs if self.conversion else self._own_runs
        return bool(runs_of_months(runs, self.period.months()))

    @property
    def is_running(self) -> bool:
        """Bills do not reach the end of the period yet."""
        return self.elapsed != self.period

    @cached_property
    def comparison_known(self) -> bool:
        """Some run covers the compared time, so that nothing spent there means zero and not
        unknown.

        With a conversion, every run of that time has a rate, too.
        """
        if self.compare is None:
            return False
        if self.conversion:
            return self.conversion.covers(self.compare)
        return bool(runs_of_months(self._own_runs, self.compare.months()))

    @cached_property
    def question(self) -> CostQuestion:
        """The AI cost that the page shows: of every current run of its currency, since charge days
        cross billing months; with a conversion, of every run that has a rate.
        """
        runs = self.conversion.runs if self.conversion else self._own_runs
        return CostQuestion(
            runs=tuple(runs),
            scope=self.scope,
            period=self.elapsed,
            compare=self.compare,
            metric=self.metric,
            currency=self.conversion,
            alike=self._alike,
        ).where(environment=self.environment)

    @cached_property
    def _alike(self) -> Alike | None:
        if self.compare is None or not self.comparison_known:
            return None
        return self._alike_with(self.compare)

    def _alike_with(self, before: Period) -> Alike | None:
        runs = tuple(self.conversion.runs) if self.conversion else self._own_runs
        compared = Compared(runs, self.period, self.elapsed, before)
        return alike(compared, today=timezone.now().date())

    @cached_property
    def so_far(self) -> CostQuestion:
        """The same cost, whatever it is compared with; while the period is open, what comes with
        the invoice, or after a source's last billed day, is told apart.
        """
        if self.question.alike is not None:
            return self.question
        before = self.elapsed.before()
        found = self._alike_with(before)
        return replace(self.question, compare=before if found else None, alike=found)

    def billed_in(self, period: Period) -> CostQuestion:
        """Everything on the bills, AI or not, of the billing months that the period touches, in the
        billing currency.
        """
        return CostQuestion(
            runs=runs_of_months(self._own_runs, period.months()),
            scope=self.scope,
            metric=self.metric,
            ai_only=False,
        ).where(environment=self.environment)

    @property
    def every_run(self) -> CostQuestion:
        """The current runs of all currencies, for what is said about sources and not about sums."""
        return CostQuestion(runs=self.runs, scope=TeamScope.everything())

    def runs_of(self, period: Period) -> tuple[MonthRun, ...]:
        """Current runs of the billing months that the period touches, of every currency that the
        page's sums hold.
        """
        return runs_of_months(self.question.runs, period.months())

    @cached_property
    def _own_runs(self) -> tuple[MonthRun, ...]:
        return tuple(run for run in self.runs if run.currency == self.currency)

    @cached_property
    def apart(self) -> CostQuestion | None:
        """What the page's sums do not hold, by currency; None where they hold everything."""
        in_sums = set(self.question.runs)
        runs = tuple(run for run in self.runs if run not in in_sums)
        if not runs_of_months(runs, self.period.months()):
            return None
        return CostQuestion(
            runs=runs,
            scope=self.scope,
            period=self.period.through(_last_day(runs, None)),
            metric=self.metric,
        ).where(environment=self.environment)

    @property
    def other_currencies(self) -> list[str]:
        """Currencies of the period that these figures leave out: two are never added."""
        runs = runs_of_months(self.runs, self.period.months())
        return sorted({run.currency for run in runs} - {self.currency})

    @property
    def months(self) -> list[date]:
        return sorted({run.month for run in self.runs}, reverse=True)

    @cached_property
    def every_month(self) -> CostQuestion | None:
        """The same cost of all months that are billed, up to the last billed day; None without
        any.
        """
        runs = self.question.runs
        last = _last_day(runs, None)
        if last is None:
            return None
        first = min(run.month for run in runs)
        period = Period(first, max(last, first) + DAY)
        return replace(self.question, period=period, compare=None, alike=None)

    @property
    def currencies(self) -> list[str]:
        return sorted(
            {run.currency for run in self.runs} | ({self.currency} if self.currency else set())
        )


def _narrowed(scope: TeamScope, *, team: str | None, unit: str | None) -> TeamScope:
    if unit:
        members = teams_of_unit(unit=unit, today=timezone.now().date())
        scope = TeamScope(teams=members if scope.teams is None else members & scope.teams)
    if not team:
        return scope
    try:
        return scope.narrowed_to(team)
    except PermissionError:
        raise Http404 from None


def _period(asked: dict[str, Any], runs: tuple[MonthRun, ...], problems: list[str]) -> Period:
    first, last = asked.get("from"), asked.get("to")
    if first and last:
        if last >= first:
            return Period(first, last + DAY)
        problems.append("the range ends before it starts, so ignored")
    if asked.get("period"):
        return Period.month(date.fromisoformat(f"{asked['period']}-01"))
    if runs:
        return Period.month(max(run.month for run in runs))
    return Period.month(timezone.now().date())


def _conversion(
    runs: tuple[MonthRun, ...], period: Period, currency: str, wish: str | None
) -> Conversion | None:
    """Into the currency that the reader wants; without a wish into the page's own, where several
    are billed in the period and all of it has rates.
    """
    if wish == BILLED:
        return None
    if wish:
        return conversion(runs=runs, rates=exchange_rates(into=wish), currency=wish)
    if len({run.currency for run in runs_of_months(runs, period.months())} | {currency}) == 1:
        return None
    found = conversion(runs=runs, rates=exchange_rates(into=currency), currency=currency)
    return found if found.covers(period) else None


def _currency_with_cost(
    currency: str, runs: tuple[MonthRun, ...], period: Period, scope: TeamScope
) -> str:
    """The currency, or the costliest one where a team or unit has no cost in it but in others."""
    found = _costs_by_currency(runs_of_months(runs, period.months()), scope)
    return currency if currency in found or not found else max(found, key=lambda own: found[own])


def _costs_by_currency(runs: tuple[MonthRun, ...], scope: TeamScope) -> dict[str, Decimal]:
    everything = CostQuestion(runs=runs, scope=scope, ai_only=False)
    return {row.key[0]: row.now for row in (costs(everything.by("currency")) if runs else [])}


def _costliest_currency(runs: tuple[MonthRun, ...], period: Period, scope: TeamScope) -> str:
    """The currency with most cost in the period, for this scope where several compete."""
    candidates = runs_of_months(runs, period.months()) or runs
    if not candidates:
        return ""
    if not scope.is_everything and len({run.currency for run in candidates}) > 1:
        found = _costs_by_currency(candidates, scope)
        if found:
            return max(found, key=lambda currency: (found[currency], currency))
    return max(candidates, key=lambda run: (run.cost, run.currency)).currency


def _last_day(runs: tuple[MonthRun, ...], currency: str | None) -> date | None:
    """The last charge day up to today, of one currency or of all."""
    days = [run.last_day for run in runs if currency in (None, run.currency) and run.last_day]
    return min(max(days), timezone.now().date()) if days else None


def _comparison(elapsed: Period, choice: str) -> Period | None:
    if choice == "none":
        return None
    return elapsed.a_year_before() if choice == "year" else elapsed.before()
