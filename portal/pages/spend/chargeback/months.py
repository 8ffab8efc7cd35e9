"""The months there are, with the state of each, and what recalculations of one changed."""

from __future__ import annotations

from itertools import pairwise

from django.http import HttpRequest

from allocation.values.money import EXACT
from allocation.values.periods import Period
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged
from portal.pages.registry import page_address
from reports.queries.reconcile.months import RunBalance, run_balances
from reports.readable import moment

MONTHS = 13  # a year and the month to compare it with
AMOUNTS = ("charges", "allocated", "unallocated")


def months_tables(request: HttpRequest, state: PageState) -> tuple[Table, Table]:
    """The months of the page's currency, and the recalculations of the month that is shown."""
    balances = run_balances(currency=state.currency, metric=state.metric, scope=state.reader_scope)
    return _months(request, state, balances), _restatements(request, state, balances)


def _months(request: HttpRequest, state: PageState, balances: list[RunBalance]) -> Table:
    columns = [
        Column("month", "Month"),
        Column("charges", f"Bills, {state.currency}", "money", state.places, is_key=True),
        Column("allocated", "Allocated", "money", state.places),
        Column("unallocated", "Not allocated", "money", state.places),
        Column("made", "Calculated"),
        Column("times", "Times", "count"),
        Column("state", "State", "words"),
    ]
    current = [one for one in balances if one.is_current][-MONTHS:]
    rows: list[Row] = [
        {
            "month": _month_cell(state, one),
            **{name: Cell(value=getattr(one, name)) for name in AMOUNTS},
            "made": Cell(value=moment(one.finished_at) if one.finished_at else ""),
            "times": Cell(value=sum(other.month == one.month for other in balances)),
            "state": Cell(value=_state_words(one)),
        }
        for one in reversed(current)
    ]
    table = Table("months", "Months and their state", columns, rows, sortable=False, lines=True)
    return arranged(table, request)


def _month_cell(state: PageState, one: RunBalance) -> Cell:
    changes = {"period": f"{one.month:%Y-%m}", "from": None, "to": None}
    href = f"{page_address('chargeback')}?{state.query_string(**changes)}"
    return Cell(value=Period.month(one.month).words, href=href)


def _state_words(one: RunBalance) -> str:
    return "open; bills changed since, allocate again" if one.is_outdated else "open"


def _restatements(request: HttpRequest, state: PageState, balances: list[RunBalance]) -> Table:
    """One row per recalculation that moved an amount."""
    columns = [
        Column("made", "Calculated"),
        Column("rules", "Rule set", "words"),
        Column("charges", f"Bills, {state.currency}", "money", state.places),
        Column("allocated", "Allocated", "money", state.places, is_key=True),
        Column("unallocated", "Not allocated", "money", state.places),
    ]
    runs = [one for one in balances if one.month == state.period.start]
    rows: list[Row] = []
    for before, after in reversed(list(pairwise(runs))):
        moved = {
            name: EXACT.subtract(getattr(after, name), getattr(before, name)) for name in AMOUNTS
        }
        if any(moved.values()):
            rows.append(
                {
                    "made": Cell(value=moment(after.finished_at) if after.finished_at else ""),
                    "rules": Cell(value=_rules_words(before, after)),
                    **{name: Cell(value=amount) for name, amount in moved.items()},
                }
            )
    table = Table(
        "restated", "What recalculations changed", columns, rows, sortable=False, lines=True
    )
    return arranged(table, request)


def _rules_words(before: RunBalance, after: RunBalance) -> str:
    if before.rule_set == after.rule_set:
        return str(after.rule_set)
    return f"{before.rule_set} became {after.rule_set}"
