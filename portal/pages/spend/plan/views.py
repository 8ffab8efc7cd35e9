"""/plan/: the plans of a month, how they came about, and changing them by a line or a file that is
previewed first.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from allocation.planning.holders import KIND_WORDS, PlanHolder
from allocation.planning.plan_file import PlanDifference, PlannedAmount, Plans, csv_of, one_line
from allocation.planning.store import (
    PlanError,
    PlanStep,
    holder_names,
    plan_history,
    preview_plans,
    read_plans,
)
from allocation.values.money import minor_units
from portal.accounts.models import User
from portal.decisions.plans import change_plans
from portal.pages.frame.posts import sent_from
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download
from portal.pages.frame.uploads import TextFileForm
from portal.pages.registry import holds
from reports.readable import exact_grouped, money

MOST_BYTES = 2_000_000
CHANGES_SHOWN = 300
HISTORY_SHOWN = 200
TYPED = "typed"
ACTIONS = ("new", "changed", "taken away")
Names = dict[PlanHolder, str]


class PlanFileForm(TextFileForm):
    kind = "a plan"
    most_bytes = MOST_BYTES


class PlanLineForm(forms.Form):
    """One plan, typed. What is wrong with it the preview says."""

    month = forms.CharField(max_length=20)
    holder = forms.CharField(max_length=300)
    account = forms.CharField(max_length=300, required=False)
    amount = forms.CharField(max_length=60, required=False)
    currency = forms.CharField(max_length=10, required=False)


class ApplyPlanForm(forms.Form):
    text = forms.CharField(strip=False)
    previewed = forms.CharField(max_length=100)
    origin = forms.CharField(max_length=300, required=False)


@require_safe
def show_plan(request: HttpRequest) -> HttpResponseBase:
    return plan_page(request, PlanFileForm())


def plan_page(request: HttpRequest, form: PlanFileForm, *, status: int = 200) -> HttpResponseBase:
    state = PageState.from_request(request).whole_month("Plan")
    plans, names = read_plans(), holder_names()
    table = _plans_table(request, state, plans, names)
    history = _history_table(request, plan_history(limit=HISTORY_SHOWN), names)
    download = asked_download(request, [table, history], file_name="plan")
    if download:
        return download
    context = {
        "form": form,
        "may_change": holds(request, "plan-change"),
        "table": table,
        "history": history,
        "months": _months(state, plans),
        "holders": _choices(names),
        "currency": _usual_currency(plans, state),
    }
    return render_page(
        request,
        "spend/plan/page.html",
        context,
        page="plan",
        title="Plan",
        state=state,
        status=status,
    )


def _choices(names: Names) -> list[tuple[str, list[tuple[str, str]]]]:
    """(kind, its holders as value and label)."""
    return [
        (
            label,
            [
                (f"{kind}:{holder.own}", f"{holder.own} {name}" if kind != "team" else name)
                for holder, name in names.items()
                if holder.kind == kind
            ],
        )
        for kind, label in (("cost_center", "Cost centres"), ("team", "Teams"))
    ]


def _usual_currency(plans: Plans, state: PageState) -> str:
    counted = Counter(planned.currency for planned in plans.values())
    return counted.most_common(1)[0][0] if counted else state.currency


def _months(state: PageState, plans: Plans) -> list[tuple[str, int, str, bool]]:
    """(month, plans in it, where it is shown, whether it is shown here)."""
    counted = Counter(key.month for key in plans)
    return [
        (
            f"{month:%b %Y}",
            number,
            f"?{state.query_string(period=f'{month:%Y-%m}', **{'from': None, 'to': None})}",
            month == state.period.start,
        )
        for month, number in sorted(counted.items())
    ]


def _plans_table(request: HttpRequest, state: PageState, plans: Plans, names: Names) -> Table:
    """The plans of the month; no total, as a cost centre's plan holds those of its teams."""
    rows: list[Row] = [
        {
            "name": Cell(
                value=names.get(key.holder, key.holder.own),
                note=key.holder.own if key.holder.kind == "cost_center" else "",
            ),
            "kind": Cell(value=KIND_WORDS[key.holder.kind]),
            "account": Cell(value=key.account),
            "amount": Cell(value=planned.amount, places=minor_units(planned.currency)),
            "currency": Cell(value=planned.currency),
        }
        for key, planned in sorted(plans.items())
        if key.month == state.period.start
    ]
    columns = [
        Column("name", "Cost centre or team"),
        Column("kind", "Kind"),
        Column("account", "Account", if_any=True),
        Column("amount", "Plan", "money", is_key=True),
        Column("currency", "Currency"),
    ]
    empty = f"Nothing is planned for {state.period.words}."
    caption = f"Plans for {state.period.words}"
    return arranged(
        Table("plans", caption, columns, rows, sort="kind", limit=60, empty=empty, lines=True),
        request,
    )


def _history_table(request: HttpRequest, steps: list[PlanStep], names: Names) -> Table:
    rows: list[Row] = [
        {
            "version": Cell(value=str(step.number)),
            "when": Cell(value=f"{step.created_at:%Y-%m-%d %H:%M} UTC"),
            "who": Cell(value=step.created_by or "command line"),
            "origin": Cell(value=step.origin),
            "month": Cell(value=f"{step.key.month:%Y-%m}"),
            "name": Cell(
                value=names.get(step.key.holder, step.key.holder.own), note=step.key.account
            ),
            "says": Cell(value=_says(step)),
        }
        for step in steps
    ]
    columns = [
        Column("name", "Cost centre or team"),
        Column("says", "Plan", is_key=True),
        Column("month", "Month"),
        Column("version", "Version"),
        Column("when", "When"),
        Column("who", "By"),
        Column("origin", "From"),
    ]
    empty = "No plan was ever made."
    return arranged(
        Table(
            "history",
            "Versions of the plans",
            columns,
            rows,
            limit=15,
            empty=empty,
            sortable=False,
            lines=True,
        ),
        request,
    )


def _amount_words(planned: PlannedAmount | None) -> str:
    """Every digit: what is confirmed is what is stored."""
    return f"{exact_grouped(planned.amount)} {planned.currency}" if planned else ""


def _says(step: PlanStep) -> str:
    if step.amount is None or step.currency is None:
        return "taken away"
    return f"{money(step.amount, minor_units(step.currency))} {step.currency}"


@require_safe
def export_csv(_request: HttpRequest) -> HttpResponse:
    """Every plan in force as the file that can be changed and loaded again."""
    response = HttpResponse(csv_of(read_plans()), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="plans.csv"'
    return response


# ---------------------------------------------------------------- changing


@sent_from("plan")
def preview(request: HttpRequest) -> HttpResponseBase:
    """What the file would change; nothing is stored."""
    form = PlanFileForm(request.POST, request.FILES)
    if not form.is_valid():
        return plan_page(request, form, status=400)
    try:
        text = form.text()
    except ValueError as error:
        form.add_error("file", str(error))
        return plan_page(request, form, status=400)
    return preview_page(request, text, preview_plans(text), form.cleaned_data["file"].name)


@sent_from("plan")
def type_one(request: HttpRequest) -> HttpResponseBase:
    """What one typed plan would change; nothing is stored."""
    form = PlanLineForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say the month and whose plan it is.")
        return HttpResponseRedirect(reverse("plan"))
    text = one_line(**form.cleaned_data)
    return preview_page(request, text, preview_plans(text), TYPED)


@sent_from("plan")
def apply(request: HttpRequest) -> HttpResponseBase:
    """Adds the version that was previewed and goes back; where it can't, shows the difference."""
    form = ApplyPlanForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Type a plan or choose a file, and look at what it changes first.")
        return HttpResponseRedirect(reverse("plan"))
    asked = form.cleaned_data
    acting_user = cast(User, request.user).get_username()
    try:
        found = change_plans(**asked, acting_user=acting_user, now=timezone.now())
    except PlanError as error:
        messages.error(request, f"Nothing has changed: {error}.")
        again = preview_plans(asked["text"])
        return preview_page(request, asked["text"], again, asked["origin"], status=409)
    messages.success(request, f"The plans are changed: {_counts(found) or 'nothing was different'}")
    return HttpResponseRedirect(_of_first_month(found))


def _of_first_month(found: PlanDifference) -> str:
    months = [change.key.month for change in found.changes]
    return f"{reverse('plan')}?period={min(months):%Y-%m}" if months else reverse("plan")


def _counts(found: PlanDifference) -> str:
    return ", ".join(f"{found.count(one)} {one}" for one in ACTIONS if found.count(one))


def preview_page(
    request: HttpRequest, text: str, found: PlanDifference, origin: str, *, status: int = 200
) -> HttpResponse:
    state = PageState.from_request(request)
    context: dict[str, Any] = {
        "text": text,
        "origin": origin,
        "found": found,
        "counts": _counts(found),
        "changes": _changes_table(request, found),
        "problems": found.problems[:CHANGES_SHOWN],
        "more_problems": max(0, len(found.problems) - CHANGES_SHOWN),
        "crumbs": [Crumb("Plan", f"{reverse('plan')}?{state.query_string()}"), Crumb("Preview")],
    }
    return render_page(
        request,
        "spend/plan/preview.html",
        context,
        page="plan",
        title="What would change?",
        state=state,
        status=status,
        choices=(),
    )


def _changes_table(request: HttpRequest, found: PlanDifference) -> Table:
    names = holder_names()
    rows: list[Row] = [
        {
            "line": Cell(value=f"Line {change.line}"),
            "month": Cell(value=f"{change.key.month:%Y-%m}"),
            "name": Cell(
                value=names.get(change.key.holder, change.key.holder.own), note=change.key.account
            ),
            "action": Cell(value=change.action),
            "before": Cell(value=_amount_words(change.before)),
            "after": Cell(value=_amount_words(change.after)),
        }
        for change in found.changes[:CHANGES_SHOWN]
    ]
    columns = [
        Column("line", "Line"),
        Column("month", "Month"),
        Column("name", "Cost centre or team"),
        Column("action", "How"),
        Column("before", "Before", "words", if_any=True),
        Column("after", "After", "words", if_any=True),
    ]
    table = Table("changes", "Changes", columns, rows, sortable=False, cards=True)
    return arranged(table, request)
