"""/rules/previews/: what a draft would change, and the one button that puts just that in force."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from allocation.catalogue.own_entries import catalogue_csv, drafted, own_catalogue
from allocation.models import RulePreview
from allocation.preview.apply import NotPreviewed, check_catalogue_preview, fresh_preview
from allocation.preview.inputs import billed_months
from allocation.rules.checks import Finding
from allocation.rules.rule_sets import latest_rule_set, rule_set_for
from allocation.rules.rules import RuleError
from allocation.values.money import exact_sum, minor_units
from portal.accounts.models import User
from portal.decisions.rules import apply_previewed, job_of
from portal.decisions.teaching import apply_taught
from portal.ingest.bills.delivery import ask_for_allocation
from portal.jobs.models import JobStatus
from portal.pages.frame.doorway import found
from portal.pages.frame.posts import sent_from
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download
from portal.pages.operate.jobs.views import line as job_line
from portal.pages.registry import Choice, holds
from portal.pages.rules.findings import grouped
from portal.pages.rules.versions import compared
from reports.queries.explain.rule_sets import rule_preview
from reports.queries.ownership.organisation import OrganisationNames, names_of
from reports.readable import reason_words

QUESTIONS = {
    "team": ("Team", "Which teams would pay more, which less?"),
    "feature": ("Feature", "Which features?"),
    "product": ("Product", "Which products?"),
    "model": ("Model", "Which models?"),
}
ROWS_SHOWN = 12
PREVIEW_CHOICES: tuple[Choice, ...] = ("metric", "currency")
HALF_CENT = Decimal("0.005")  # less than that is shown as nothing, so it shares one line


@require_safe
def show_preview(request: HttpRequest, preview_id: int) -> HttpResponse:
    """The differences, or how far the job is; for htmx only that."""
    preview = found(rule_preview(preview_id))
    state = PageState.from_request(request)
    if preview.outcome is None:
        return progress_page(request, preview, state)
    if request.headers.get("HX-Request") and request.headers.get("HX-Target") == "preview-progress":
        response = HttpResponse()
        response["HX-Refresh"] = "true"
        return response
    return outcome_page(request, preview, preview.outcome, state)


def progress_page(request: HttpRequest, preview: RulePreview, state: PageState) -> HttpResponse:
    job = job_of(preview)
    context = {
        "preview": preview,
        "job": job_line(job, timezone.now()) if job else None,
        "has_failed": job is None or job.status == JobStatus.FAILED,
        "crumbs": crumbs(state, preview),
    }
    if request.headers.get("HX-Request") and not request.headers.get("HX-Boosted"):
        return render(request, "rules/progress.html", context)
    # With the top bar of the page that follows, so that nothing jumps when it comes.
    return render_page(
        request,
        "rules/preview_wait.html",
        context,
        page="rules",
        title=title_of(preview),
        state=state,
        choices=PREVIEW_CHOICES,
    )


def outcome_page(
    request: HttpRequest, preview: RulePreview, outcome: dict[str, Any], state: PageState
) -> HttpResponse:
    currencies = sorted({run["currency"] for run in outcome["runs"]})
    currency = state.currency if state.currency in currencies else next(iter(currencies), "")
    metric = "billed" if state.metric == "billed_cost" else "effective"
    names = names_in(outcome)
    tried = next(
        (each for each in outcome["rules"] if each["month"] == request.GET.get("month")), None
    )
    tried = tried or next(iter(outcome["rules"]), None)
    tables = [
        *(level_table(level, outcome, currency, metric, names) for level in QUESTIONS),
        month_table(outcome, currency, metric),
        *(
            [reach_table(tried, currency, metric), unmatched_table(tried, currency, metric)]
            if tried
            else []
        ),
    ]
    tables = [arranged(table, request) for table in tables]
    download = asked_download(request, tables, file_name=f"rules-preview-{preview.pk}")
    if download is not None:
        return download
    moved = [
        each["moved"][state.metric]
        for each in outcome["differences"]["month"]
        if each["currency"] == currency
    ]
    context = {
        "preview": preview,
        "currency": currency,
        "other_currencies": [code for code in currencies if code != currency],
        "moved": exact_sum(Decimal(each) for each in moved),
        "tables": {table.name: table for table in tables},
        "levels": [table for table in tables if table.name in QUESTIONS],
        "tried": tried,
        "groups": grouped(Finding(**each) for each in tried["findings"]) if tried else [],
        "lines": differing_lines(preview),
        "latest": latest_rule_set(),
        "obstacle": obstacle(preview),
        "is_in_force": is_in_force(preview),
        "may_apply": holds(request, "rules-apply"),
        "crumbs": crumbs(state, preview),
    }
    return render_page(
        request,
        "rules/preview.html",
        context,
        page="rules",
        title=title_of(preview),
        state=state,
        choices=PREVIEW_CHOICES,
    )


def obstacle(preview: RulePreview) -> str:
    """Why the draft can't be applied as it was previewed; "" where it can."""
    now = timezone.now()
    try:
        if preview.catalogue is not None:
            check_catalogue_preview(preview, now=now)
        else:
            fresh_preview(text=preview.text, effective_from=preview.effective_from, now=now)
    except NotPreviewed as reason:
        return str(reason)
    return ""


def differing_lines(preview: RulePreview) -> list[Any]:
    if preview.catalogue is not None:
        return compared(catalogue_csv(own_catalogue().entries), preview.catalogue)
    return compared(latest_rule_set().text, preview.text)


def is_in_force(preview: RulePreview) -> bool:
    if preview.catalogue is not None:
        return drafted(preview.catalogue).sha256 == own_catalogue().sha256
    return rule_set_for(preview.effective_from).content_sha256 == preview.content_sha256


@sent_from("rules")
def apply_preview(request: HttpRequest, preview_id: int) -> HttpResponse:
    """Puts the previewed text in force and asks for its months to be allocated anew; none before
    them.
    """
    preview = found(rule_preview(preview_id))
    user = cast(User, request.user).get_username()
    note = request.POST.get("note", "")[:500]
    if request.POST.get("sha256") != preview.content_sha256:
        messages.error(
            request, "That was another draft than this preview's; look at it and apply it here."
        )
        return redirect("rules_preview", preview_id=preview.pk)
    if preview.catalogue is not None:
        return apply_catalogue_of(request, preview, user, note)
    try:
        made, is_new = apply_previewed(
            text=preview.text, effective_from=preview.effective_from, acting_user=user, note=note
        )
    except (NotPreviewed, RuleError) as reason:
        messages.error(request, f"Not applied: {reason}. Preview the draft again.")
        return redirect("rules_preview", preview_id=preview.pk)
    months = [month for month in billed_months() if month >= made.effective_from] if is_new else []
    for month in months:
        ask_for_allocation(f"{month:%Y-%m}", created_by=user)
    names = ", ".join(f"{month:%B %Y}" for month in months)
    allocated = f" {names} will be allocated anew." if months else ""
    done = f"Rule set {made.number} is in force from {made.effective_from:%B %Y}.{allocated}"
    messages.success(
        request, done if is_new else f"Rule set {made.number} in force is this very text already."
    )
    return redirect(
        f"{reverse('rules')}?period={made.effective_from:%Y-%m}" if is_new else reverse("rules")
    )


def apply_catalogue_of(
    request: HttpRequest, preview: RulePreview, user: str, note: str
) -> HttpResponse:
    """Puts the previewed catalogue in force and asks for every month with bills to be allocated."""
    try:
        made, is_new = apply_taught(preview, acting_user=user, note=note)
    except NotPreviewed as reason:
        messages.error(request, f"Not applied: {reason}. Preview it again.")
        return redirect("rules_preview", preview_id=preview.pk)
    number = made.number if made else 0
    messages.success(
        request,
        f"Catalogue {number} is in force; the months with bills will be allocated anew."
        if is_new
        else f"Catalogue {number} in force says this already.",
    )
    return redirect(f"{reverse('ownership_unknown')}?period={preview.effective_from:%Y-%m}")


def title_of(preview: RulePreview) -> str:
    if preview.catalogue is not None:
        return "Preview of the organisation's catalogue"
    return f"Preview of rules from {preview.effective_from:%B %Y}"


def crumbs(state: PageState, preview: RulePreview) -> list[Crumb]:
    if preview.catalogue is not None:
        unknown = f"{reverse('ownership_unknown')}?{state.query_string()}"
        return [Crumb("Unknown wordings", unknown), Crumb(f"Preview {preview.pk}")]
    return [
        Crumb("Rules", f"{reverse('rules')}?{state.query_string()}"),
        Crumb("Edit", f"{reverse('rules_edit')}?preview={preview.pk}"),
        Crumb(f"Preview {preview.pk}"),
    ]


# ---------------------------------------------------------------- tables


def change_columns(currency: str) -> tuple[Column, ...]:
    places = minor_units(currency)
    return (
        Column("before", f"Before, {currency}", "money", places),
        Column("after", "After", "money", places),
        Column("change", "Change", "change", places),
    )


def level_table(
    level: str, outcome: dict[str, Any], currency: str, metric: str, names: OrganisationNames
) -> Table:
    """Lines that change, in one currency; those that stay as they are would hide them."""
    label, question = QUESTIONS[level]
    lines = [each for each in outcome["differences"][level] if each["currency"] == currency]
    owner = (Column("owner", "Team"),) if level == "feature" else ()
    rows = [
        {
            "name": Cell(name_of(each, level, names)),
            "owner": Cell(owner_of(each, names)),
            **change_cells(each, metric),
        }
        for each in lines
    ]
    changing = [(moved, row) for row in rows if (moved := row["change"].moved())]
    large = sorted(
        (pair for pair in changing if abs(pair[0]) >= HALF_CENT), key=lambda pair: -abs(pair[0])
    )
    small = [row for moved, row in changing if abs(moved) < HALF_CENT]
    rows = [
        *(row for _, row in large),
        *([summed_row(f"{len(small)} by less than a cent", small)] if small else []),
    ]
    return Table(
        name=level,
        caption=question,
        columns=(Column("name", label), *owner, *change_columns(currency)),
        rows=rows,
        total=total_row(rows),
        limit=ROWS_SHOWN,
        empty="Nothing changes.",
    )


def names_in(outcome: dict[str, Any]) -> OrganisationNames:
    lines = outcome["differences"]
    owners = (line["owner"] for line in lines["feature"])
    return names_of(
        teams=[*(line["name"] for line in lines["team"]), *owners],
        features=(line["name"] for line in lines["feature"]),
    )


def name_of(line: dict[str, Any], level: str, names: OrganisationNames) -> str:
    if line["name"] is not None:
        named = {"team": names.team, "feature": names.feature}.get(level, str)
        return named(str(line["name"]))
    return (
        f"Unallocated: {reason_words(line['reason'])}"
        if line["reason"] and level == "team"
        else f"no {level}"
    )


def owner_of(line: dict[str, Any], names: OrganisationNames) -> str:
    if line["owner"] is not None:
        return names.team(str(line["owner"]))
    return f"Unallocated: {reason_words(line['reason'])}" if line["reason"] else "no team"


def change_cells(line: dict[str, Any], metric: str) -> Row:
    before, after = Decimal(line[f"{metric}_before"]), Decimal(line[f"{metric}_after"])
    return {"before": Cell(before), "after": Cell(after), "change": Cell(after, before=before)}


def total_row(rows: Sequence[Row]) -> Row | None:
    """All that changes: as much after as before."""
    return summed_row("All that changes", rows) if rows else None


def summed_row(name: str, rows: Sequence[Row]) -> Row:
    before = exact_sum(Decimal(row["before"].value or 0) for row in rows)
    after = exact_sum(Decimal(row["after"].value or 0) for row in rows)
    return {
        "name": Cell(name),
        "before": Cell(before),
        "after": Cell(after),
        "change": Cell(after, before=before),
    }


def month_table(outcome: dict[str, Any], currency: str, metric: str) -> Table:
    rows = [
        {
            "name": Cell(each["name"]),
            "cost": Cell(Decimal(each[f"{metric}_after"])),
            "moved": Cell(Decimal(each["moved"][f"{metric}_cost"])),
        }
        for each in outcome["differences"]["month"]
        if each["currency"] == currency
    ]
    columns = (
        Column("name", "Month"),
        Column("cost", f"Cost, {currency}", "money", minor_units(currency)),
        Column("moved", "Moves between teams", "money", minor_units(currency)),
    )
    empty = "No bill was tried."
    return Table(
        "month",
        "How much moves in which month?",
        columns,
        rows,
        sort="name",
        empty=empty,
        cards=True,
    )


def reach_table(tried: dict[str, Any], currency: str, metric: str) -> Table:
    rows = [
        {
            "rule": Cell(each["rule"]),
            "charges": Cell(each["charges"]),
            "cost": Cell(Decimal(each[f"{metric}_cost"])),
        }
        for each in tried["reach"]
        if each["currency"] == currency
    ]
    columns = (
        Column("rule", "Rule, in order", "words"),
        Column("charges", "Bill lines", "count"),
        Column("cost", f"Cost, {currency}", "money", minor_units(currency)),
    )
    return Table(
        "rules", "What does each rule take?", columns, rows, empty="No bill line was tried."
    )


def unmatched_table(tried: dict[str, Any], currency: str, metric: str) -> Table:
    rows = [
        {
            "service": Cell(each["service"] or "no service"),
            "provider": Cell(each["provider"] or "no provider"),
            "category": Cell(each["category"]),
            "reason": Cell(reason_words(each["reason"])),
            "charges": Cell(each["charges"]),
            "cost": Cell(Decimal(each[f"{metric}_cost"])),
        }
        for each in tried["unmatched"]
        if each["currency"] == currency
    ]
    columns = (
        Column("service", "Service", "words"),
        Column("provider", "Provider"),
        Column("category", "Category"),
        Column("reason", "Reason"),
        Column("charges", "Bill lines", "count"),
        Column("cost", f"Cost, {currency}", "money", minor_units(currency), is_key=True),
    )
    return Table(
        "unmatched",
        "Which bill lines does no rule take?",
        columns,
        rows,
        limit=ROWS_SHOWN,
        empty="None: every bill line is taken.",
        lines=True,
    )
