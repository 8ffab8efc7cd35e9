"""/rules/edit/: a draft of the rules, checked as it is typed and tried on a month's charges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from allocation.preview.inputs import billed_months
from allocation.preview.preview import preview_months
from allocation.preview.rule_test_data import check_draft, rule_reach, unmatched_charges
from allocation.rules.checks import Checked
from allocation.rules.rule_sets import latest_rule_set
from allocation.rules.rules import RuleError
from allocation.rules.text import MOST_CHARACTERS
from allocation.values.periods import Period
from portal.accounts.models import User
from portal.decisions.rules import ask_for_preview
from portal.pages.frame.doorway import found
from portal.pages.frame.posts import sent_from
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.rules.findings import grouped
from reports.queries.explain.rule_sets import rule_preview, rule_set_numbered

MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
UNTAKEN_SHOWN = 20
MONTHS_AHEAD = 3


class DraftForm(forms.Form):
    """`effective_from` is the month from which the draft would be in force; `month` whose charges
    it is tried on.
    """

    text = forms.CharField(required=False, strip=False, max_length=MOST_CHARACTERS)
    effective_from = forms.RegexField(MONTH, required=False)
    month = forms.RegexField(MONTH, required=False)
    through = forms.RegexField(MONTH, required=False)
    file = forms.FileField(required=False)

    def clean_text(self) -> str:
        """Lines end as in a file: a browser sends them as CR LF."""
        return str(self.cleaned_data["text"]).replace("\r\n", "\n")

    def clean_file(self) -> str | None:
        given = self.cleaned_data.get("file")
        if given is None:
            return None
        if given.size > MOST_CHARACTERS:
            raise forms.ValidationError(
                f"The file has {given.size} bytes; at most {MOST_CHARACTERS} are possible."
            )
        try:
            return str(given.read().decode()).replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise forms.ValidationError("The file is no UTF-8 text.") from None


@dataclass(frozen=True)
class Draft:
    """What the editor holds. `based_on` says where the text came from."""

    text: str
    effective_from: date
    month: date
    through: date | None = None
    based_on: str = ""


@dataclass(frozen=True)
class ReachLine:
    """What one rule takes of the month, in one currency."""

    rule: str
    line: int | None  # of the text
    currency: str
    charges: int
    billed_cost: Decimal
    effective_cost: Decimal


@require_http_methods(["GET", "HEAD", "POST"])
def edit_rules(request: HttpRequest) -> HttpResponse:
    """The editor; a POST brings a text or a file to look at, and stores nothing."""
    state = PageState.from_request(request)
    if request.method != "POST":
        return editor_page(request, state, opened_draft(request, state))
    form = DraftForm(request.POST, request.FILES)
    if not form.is_valid():
        problems = [str(problem) for each in form.errors.values() for problem in each]
        return editor_page(request, state, opened_draft(request, state), problems=problems)
    return editor_page(request, state, posted_draft(form, state))


@require_POST
def check_rules_text(request: HttpRequest) -> HttpResponse:
    """What is found about the text so far, as a part of the editor's page."""
    state = PageState.from_request(request)
    form = DraftForm(request.POST)
    if not form.is_valid():
        return render(
            request, "rules/checks.html", {"findings": [], "problems": form.errors.values()}
        )
    return render(request, "rules/checks.html", checks_of(posted_draft(form, state), state))


@sent_from("rules_edit")
def preview_draft(request: HttpRequest) -> HttpResponse:
    """Asks for the preview and leads to its page; back to the editor with every error where there
    is one.
    """
    state = PageState.from_request(request)
    form = DraftForm(request.POST)
    if not form.is_valid():
        return editor_page(
            request, state, opened_draft(request, state), problems=["The form is not complete."]
        )
    draft = posted_draft(form, state)
    try:
        preview = ask_for_preview(
            text=draft.text,
            effective_from=draft.effective_from,
            months=preview_months(draft.effective_from, draft.through),
            asked_by=cast(User, request.user).get_username(),
        )
    except RuleError:
        problem = "Not previewed. First correct the errors listed below the text."
        return editor_page(request, state, draft, problems=[problem], status=400)
    return redirect(reverse("rules_preview", args=[preview.pk]))


def opened_draft(request: HttpRequest, state: PageState) -> Draft:
    """The text of `?preview=`, of `?set=`, or of the latest rule set."""
    month = max(state.period.months())
    asked = request.GET.get("preview", "")
    if asked.isascii() and asked.isdigit() and len(asked) < 19:
        preview = found(rule_preview(int(asked)))
        return Draft(
            preview.text,
            preview.effective_from,
            month,
            based_on=f"the draft of preview {preview.pk}",
        )
    number = request.GET.get("set", "")
    chosen = latest_rule_set()
    if number.isascii() and number.isdigit() and len(number) < 9:
        chosen = found(rule_set_numbered(int(number)))
    running = Period.month(timezone.now().date()).start
    return Draft(
        chosen.text,
        max(running, chosen.effective_from),
        month,
        based_on=f"rule set {chosen.number}",
    )


def posted_draft(form: DraftForm, state: PageState) -> Draft:
    given = form.cleaned_data

    def month_of(name: str) -> date | None:
        return Period.parse(given[name]).start if given.get(name) else None

    return Draft(
        text=given["file"] if given.get("file") is not None else given["text"],
        effective_from=month_of("effective_from") or Period.month(timezone.now().date()).start,
        month=month_of("month") or max(state.period.months()),
        through=month_of("through"),
        based_on="the file" if given.get("file") is not None else "",
    )


def editor_page(
    request: HttpRequest,
    state: PageState,
    draft: Draft,
    *,
    problems: list[str] | None = None,
    status: int = 200,
) -> HttpResponse:
    months = billed_months()
    context = {
        "draft": draft,
        "problems": problems or [],
        "from_months": from_months(months, draft.effective_from),
        "try_months": sorted({*months, draft.month}, reverse=True),
        "latest": latest_rule_set(),
        "crumbs": [Crumb("Rules", f"{reverse('rules')}?{state.query_string()}"), Crumb("Edit")],
        **checks_of(draft, state),
    }
    return render_page(
        request,
        "rules/edit.html",
        context,
        page="rules",
        title="Edit rules",
        state=state,
        choices=(),  # another choice in the top bar would throw the draft away
        status=status,
    )


def from_months(billed: list[date], chosen: date) -> list[date]:
    """Months from which a draft may be in force: those with bills, and some to come."""
    month = Period.month(timezone.now().date())
    found = {*billed, chosen}
    for _ in range(MONTHS_AHEAD):
        found.add(month.start)
        month = Period.month(month.end)
    return sorted(found, reverse=True)


def checks_of(draft: Draft, state: PageState) -> dict[str, Any]:
    """Findings, and what each rule takes of the month, in the reader's metric."""
    checked = check_draft(text=draft.text, effective_from=draft.effective_from, month=draft.month)
    taken = checked.matched
    unmatched = unmatched_charges(taken) if taken else []
    return {
        "findings": checked.findings,
        "groups": grouped(checked.findings),
        "is_usable": not checked.errors,
        "month": draft.month,
        "reach": reach_lines(checked, draft.month),
        "unmatched": unmatched[:UNTAKEN_SHOWN],
        "more_unmatched": max(0, len(unmatched) - UNTAKEN_SHOWN),
        "is_billed": state.metric == "billed_cost",
        "metric_label": state.metric_label,
    }


def reach_lines(checked: Checked, month: date) -> list[ReachLine]:
    """A rule stands once for each currency that it takes something in, and once where it takes
    nothing.
    """
    if checked.matched is None:
        return []
    reaches = rule_reach(checked.matched, month=month)
    busy = {each.rule for each in reaches if each.charges}
    lines, idle = [], set()
    for each in reaches:
        if not each.charges and (each.rule in busy or each.rule in idle):
            continue
        idle.add(each.rule)
        entry = checked.entries.named("rule", each.rule)
        where = entry.line if entry else None
        lines.append(
            ReachLine(
                each.rule, where, each.currency, each.charges, each.billed_cost, each.effective_cost
            )
        )
    return lines
