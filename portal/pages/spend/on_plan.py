"""Plans beside what was spent: of executive, showback and team pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from django.http import HttpRequest

from allocation.planning.holders import PlanHolder
from allocation.values.money import EXACT, exact_sum, minor_units
from allocation.values.periods import Period
from portal.pages.frame.render import Chart
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged
from portal.pages.spend.blocks import ZERO, team_address
from reports.analysis.on_plan import DaySpend, HolderOf, OnPlan, Pace, PlanLine, holders_of, on_plan
from reports.charts.spend import DaySeries, stacked_months
from reports.charts.style import UNALLOCATED
from reports.cost_question.alike import usual_invoice
from reports.queries.costs.month_so_far import day_spends, pace
from reports.queries.costs.spend_plans import MonthPlan, TeamCenters, month_plans, team_centers
from reports.readable import WITH_INVOICE, about, listed, money

PACE = "Pace to month end"
PACE_COLUMN = "Pace (no forecast)"


@dataclass(frozen=True)
class PlanView:
    """Plans of the page's month; those of `apart` have no rate into the page's currency."""

    state: PageState
    plans: Sequence[MonthPlan]
    apart: Sequence[MonthPlan]
    spent: Sequence[DaySpend]
    pace: Pace | None
    centers: TeamCenters

    @property
    def whole(self) -> OnPlan:
        """Every plan once: a cost centre's holds those of its teams."""
        amounts = _amounts(self.plans)
        counting, holder_of = _counting(amounts, self.centers, self.state.period)
        return self._of({holder: amounts[holder] for holder in counting}, holder_of)

    @property
    def teams(self) -> dict[str, PlanLine]:
        """The plan of each team that has one of its own."""
        amounts = {
            holder: one for holder, one in _amounts(self.plans).items() if holder.kind == "team"
        }
        lines = self._of(amounts, lambda team, _: PlanHolder("team", team or "")).lines
        return {line.holder.own: line for line in lines}

    def _of(self, amounts: Mapping[PlanHolder, tuple[str, Decimal]], holder_of: HolderOf) -> OnPlan:
        return on_plan(amounts, self.spent, holder_of, self.pace)

    @property
    def words(self) -> str:
        """What a pace is and what it leaves out; "" where there is none."""
        if self.pace is None:
            return ""
        month = self.state.period
        told = (
            f"{PACE}: what was charged by the day so far, going on evenly to"
            f" {month.last_day.day} {month.last_day:%B}. It is no forecast."
        )
        usual = usual_invoice(self.state.so_far, before=month.start)
        if not usual:
            return told
        kinds = listed([WITH_INVOICE[kind] for kind in usual])
        size = f"{about(exact_sum(usual.values()))} {self.state.shown_currency}"
        return f"{told} Left out of it, until the invoice is there: {kinds}, about {size} a month."

    @property
    def apart_words(self) -> str:
        """Plans in other currencies, in a sentence."""
        told = [
            f"{one.name} {money(one.amount, minor_units(one.currency))} {one.currency}"
            for one in self.apart
        ]
        if not told:
            return ""
        into = self.state.shown_currency
        return f"Planned in a currency without a rate into {into}, so not compared: {listed(told)}."


@dataclass(frozen=True)
class PlanBook:
    """The plans of all months that the page speaks of, in its currency or `apart` without a rate;
    and where teams stand.
    """

    plans: Sequence[MonthPlan]
    apart: Sequence[MonthPlan]
    centers: TeamCenters


def read_plans(state: PageState) -> PlanBook:
    """What the reader may see of them; nothing of a single environment, which has no plan."""
    every = state.every_month.period if state.every_month else None
    months = {*(every.months() if every else ()), *state.period.months()}
    found = [] if state.environment else month_plans(months=sorted(months), scope=state.scope)
    plans, apart = _in_currency(state, found)
    return PlanBook(plans, apart, team_centers() if plans else TeamCenters({}))


def plan_view(state: PageState, book: PlanBook) -> PlanView | None:
    """None where nothing is planned for the page's days, which are no month."""
    plans, apart = (
        [plan for plan in some if plan.month == state.period.start]
        for some in (book.plans, book.apart)
    )
    if not state.period.is_month or not (plans or apart):
        return None
    question = state.so_far
    return PlanView(
        state=state,
        plans=plans,
        apart=apart,
        spent=day_spends(question),
        pace=pace(question, state.period, places=state.places),
        centers=book.centers,
    )


def _in_currency(
    state: PageState, plans: Iterable[MonthPlan]
) -> tuple[list[MonthPlan], list[MonthPlan]]:
    """Plans as amounts of the page's currency, at the rate that bills of the month have; and those
    without a rate.
    """
    shown, apart = [], []
    for plan in plans:
        factor = _factor(state, plan)
        if factor is None:
            apart.append(plan)
        else:
            amount = EXACT.multiply(plan.amount, factor)
            shown.append(replace(plan, amount=amount, currency=state.shown_currency))
    return shown, apart


def _factor(state: PageState, plan: MonthPlan) -> Decimal | None:
    if plan.currency == state.shown_currency:
        return Decimal(1)
    for group in state.conversion.groups if state.conversion else ():
        rate = group.rate
        if rate and (rate.month, rate.base) == (plan.month, plan.currency):
            return group.factor
    return None


def _amounts(plans: Iterable[MonthPlan]) -> dict[PlanHolder, tuple[str, Decimal]]:
    return {plan.holder: (plan.name, plan.amount) for plan in plans}


def _counting(
    amounts: Iterable[PlanHolder], centers: TeamCenters, month: Period
) -> tuple[list[PlanHolder], HolderOf]:
    return holders_of(list(amounts), centers.center_of, month.last_day)


# ---------------------------------------------------------------- tables


def plan_columns(state: PageState) -> list[Column]:
    """Beside a cost; each only where a row has a value."""
    return [
        Column("plan", "Plan", "money", state.places, if_any=True),
        Column("pace", PACE_COLUMN, "money", state.places, if_any=True),
        Column("left", "Left of plan", "money", state.places, if_any=True),
    ]


def plan_cells(line: PlanLine) -> Row:
    return {
        "plan": Cell(value=line.plan),
        "pace": Cell(value=line.pace),
        "left": Cell(value=line.left),
    }


def plan_table(request: HttpRequest, state: PageState, found: OnPlan) -> Table:
    """One row per plan, what ends furthest above it first; the total is of these rows."""
    rows = [_plan_row(state, line) for line in sorted(found.lines, key=_furthest_above)]
    total = found.total
    columns = [
        Column("name", "Cost centre or team"),
        Column("plan", f"Plan, {state.shown_currency}", "money", state.places),
        Column("actual", "Cost so far" if found.has_pace else "Cost", "money", state.places),
        Column("pace", PACE_COLUMN, "money", state.places, if_any=True),
        Column("left", "Left", "money", state.places, is_key=True),
        Column("outcome", "Against plan", "words"),
    ]
    table = Table(
        "plans",
        "Plans and what was spent of them",
        columns,
        rows,
        total=_plan_row(state, total),
        lines=True,
    )
    return arranged(table, request)


def _furthest_above(line: PlanLine) -> tuple[Decimal, str]:
    return line.left if line.pace is None else EXACT.subtract(line.plan, line.pace), line.name


def _plan_row(state: PageState, line: PlanLine) -> Row:
    href = ""
    if line.holder.kind == "team" and line.holder.own:
        href = team_address(state, line.holder.own)
    return {
        **plan_cells(line),
        "name": Cell(
            value=line.name,
            href=href,
            note=line.holder.own if line.holder.kind == "cost_center" else "",
        ),
        "actual": Cell(value=line.actual),
        "outcome": Cell(value=outcome(state, line)),
    }


def outcome(state: PageState, line: PlanLine) -> str:
    """ "over plan", "pace over by 300.00" or "within plan"."""
    if line.left < 0:
        return "over plan"
    if line.over is not None:
        return f"pace over by {money(line.over, state.places)}"
    return "within plan"


# ---------------------------------------------------------------- months


@dataclass(frozen=True)
class Recent:
    """Cost of the last so many billed days, and where the page shows them."""

    days: int
    cost: Decimal
    href: str


def by_month(costs: Mapping[date, Decimal]) -> dict[date, Decimal]:
    sums: dict[date, list[Decimal]] = {}
    for day, cost in costs.items():
        sums.setdefault(day.replace(day=1), []).append(cost)
    return {month: exact_sum(amounts) for month, amounts in sums.items()}


def month_chart(
    request: HttpRequest, state: PageState, series: Sequence[DaySeries], book: PlanBook
) -> Chart | None:
    """Cost of each month that is billed, and the plans, each once; `series` are of
    `PageState.every_month`. None with a single month, which the headline tells.
    """
    if state.every_month is None or state.every_month.period is None:
        return None
    months = state.every_month.period.months()
    if len(months) < 2 or not any(one.costs for one in series):
        return None
    monthly = [DaySeries(one.name, one.shade, by_month(one.costs)) for one in series]
    plans = _plans_by_month(book, months)
    figure = stacked_months(monthly, months=months, plans=plans, currency=state.shown_currency)
    table = _month_table(state, monthly, months, plans)
    return Chart("months", "What did we spend each month?", figure, arranged(table, request))


def _month_table(
    state: PageState,
    series: Sequence[DaySeries],
    months: Sequence[date],
    plans: Mapping[date, Decimal],
) -> Table:
    ordered = sorted(series, key=lambda one: (one.shade == UNALLOCATED, -one.total, one.name))
    columns = [
        Column("month", "Month"),
        *(Column(one.name, one.name, "money", state.places) for one in ordered),
        Column("total", f"Total, {state.shown_currency}", "money", state.places),
        Column("plan", "Plan", "money", state.places, if_any=True),
    ]
    rows: list[Row] = []
    for month in months:
        costs = {one.name: one.costs.get(month, ZERO) for one in ordered}
        rows.append(
            {
                "month": Cell(value=f"{month:%Y-%m}"),
                **{name: Cell(value=cost) for name, cost in costs.items()},
                "total": Cell(value=exact_sum(costs.values())),
                "plan": Cell(value=plans.get(month)),
            }
        )
    return Table("months", "Spend by month", columns, rows)


def _plans_by_month(book: PlanBook, months: Sequence[date]) -> dict[date, Decimal]:
    """The plans of each month that has any. One with a plan that has no rate is left out."""
    found = {}
    for month in months:
        amounts = _amounts(plan for plan in book.plans if plan.month == month)
        if amounts and not any(plan.month == month for plan in book.apart):
            counting, _ = _counting(amounts, book.centers, Period.month(month))
            found[month] = exact_sum(amounts[holder][1] for holder in counting)
    return found


def recent_costs(state: PageState, series: Sequence[DaySeries]) -> list[Recent]:
    """The last 7, 30 and 90 billed days, of `PageState.every_month`; none that reach back before
    it.
    """
    if state.every_month is None or state.every_month.period is None:
        return []
    whole = state.every_month.period
    found = []
    for days in (7, 30, 90):
        if days > whole.length:
            break
        first = date.fromordinal(whole.end.toordinal() - days)
        cost = exact_sum(cost for one in series for day, cost in one.costs.items() if day >= first)
        query = state.query_string(
            **{"period": None, "from": first.isoformat(), "to": whole.last_day.isoformat()}
        )
        found.append(Recent(days, cost, f"?{query}"))
    return found
