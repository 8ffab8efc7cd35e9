"""/ownership/: who stands where, and changing it by a file that is previewed first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from allocation.organisation.store import OrganisationError, preview_organisation, read_tree
from allocation.organisation.tree import ALIAS_OF, NEVER_BEFORE, Tree
from allocation.organisation.tree_changes import ACTIONS, TreePlan
from portal.accounts.models import User
from portal.decisions.organisation import apply_file
from portal.pages.frame.posts import sent_from
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download
from portal.pages.frame.uploads import TextFileForm
from portal.pages.registry import holds

MOST_BYTES = 1_000_000
CHANGES_SHOWN = 300
MODES = {"showback": "showback", "chargeback": "chargeback", None: ""}


@dataclass(frozen=True)
class Tab:
    label: str
    href: str
    is_here: bool


def tabs(state: PageState, here: str) -> list[Tab]:
    names = {
        "ownership": "Organisation",
        "ownership_unowned": "Without an owner",
        "ownership_unknown": "Unknown wordings",
        "ownership_tags": "Conflicting tags",
        "ownership_coverage": "Coverage",
    }
    return [
        Tab(label, f"{reverse(name)}?{state.query_string()}", name == here)
        for name, label in names.items()
    ]


def may_change(request: HttpRequest) -> bool:
    return holds(request, "ownership-change")


class FileForm(TextFileForm):
    kind = "an organisation"
    most_bytes = MOST_BYTES


class ApplyForm(forms.Form):
    text = forms.CharField(strip=False)
    previewed = forms.CharField(max_length=100)
    rewrite = forms.BooleanField(required=False)


@require_safe
def show_ownership(request: HttpRequest) -> HttpResponseBase:
    return ownership_page(request, FileForm())


def ownership_page(request: HttpRequest, form: FileForm, *, status: int = 200) -> HttpResponseBase:
    state = PageState.from_request(request)
    tree = read_tree()
    teams, features = teams_table(request, state, tree), features_table(request, state, tree)
    centers, aliases = centers_table(request, state, tree), aliases_table(request, tree)
    download = asked_download(request, [teams, features, centers, aliases], file_name="ownership")
    if download:
        return download
    context = {
        "tabs": tabs(state, "ownership"),
        "form": form,
        "may_change": may_change(request),
        "teams": teams,
        "features": features,
        "centers": centers,
        "aliases": aliases,
        "as_of": state.period.last_day,
        "counts": [(words, len(tree.ids(kind))) for kind, words in COUNTED.items()],
    }
    return render_page(
        request,
        "ownership/page.html",
        context,
        page="ownership",
        title="Ownership",
        state=state,
        status=status,
        choices=("period",),
    )


COUNTED = {
    "legal_entity": "Legal entities",
    "business_unit": "Business units",
    "team": "Teams",
    "cost_center": "Cost centres",
    "product": "Products",
    "feature": "Features",
}


def teams_table(request: HttpRequest, state: PageState, tree: Tree) -> Table:
    """One row per team, at its place on the last day of the period."""
    rows: list[Row] = []
    for slug in tree.ids("team"):
        place = tree.place_on(("team", slug), state.period.last_day)
        unit = (
            tree.place_on(("business_unit", place.parent), state.period.last_day)
            if place and place.parent
            else None
        )
        rows.append(
            {
                "team": Cell(value=tree.names["team", slug], note=slug),
                "unit": Cell(
                    value=_name(tree, "business_unit", place.parent if place else None)
                    or "no place yet"
                ),
                "entity": Cell(value=_name(tree, "legal_entity", unit.parent if unit else None)),
                "center": Cell(value=place.cost_center or "" if place else ""),
                "since": Cell(value=_since(tree, ("team", slug), state)),
                "next": Cell(value=_next(tree, ("team", slug), state)),
            }
        )
    columns = [
        Column("team", "Team"),
        Column("unit", "Business unit", is_key=True),
        Column("entity", "Legal entity"),
        Column("center", "Cost centre"),
        Column("since", "Since"),
        Column("next", "Moves next", if_any=True),
    ]
    return arranged(
        Table(
            "teams",
            "Teams and where they stand",
            columns,
            rows,
            sort="unit",
            empty=NOBODY,
            lines=True,
        ),
        request,
    )


NOBODY = "No organisation yet: names are taken as bills and traces tell them."


def features_table(request: HttpRequest, state: PageState, tree: Tree) -> Table:
    rows: list[Row] = []
    for slug in tree.ids("feature"):
        place = tree.place_on(("feature", slug), state.period.last_day)
        rows.append(
            {
                "feature": Cell(value=tree.names["feature", slug], note=slug),
                "owner": Cell(
                    value=_name(tree, "team", place.parent if place else None) or "no owner yet"
                ),
                "product": Cell(value=_name(tree, "product", place.product if place else None)),
                "criticality": Cell(value=place.criticality or "" if place else ""),
                "sla": Cell(value=place.sla or "" if place else ""),
                "since": Cell(value=_since(tree, ("feature", slug), state)),
                "next": Cell(value=_next(tree, ("feature", slug), state)),
            }
        )
    columns = [
        Column("feature", "Feature"),
        Column("owner", "Owner", is_key=True),
        Column("product", "Product"),
        Column("criticality", "Criticality"),
        Column("sla", "SLA"),
        Column("since", "Since"),
        Column("next", "Moves next", if_any=True),
    ]
    caption = "Features and their owners"
    table = Table(
        "features", caption, columns, rows, sort="owner", limit=30, empty="None yet.", lines=True
    )
    return arranged(table, request)


def centers_table(request: HttpRequest, state: PageState, tree: Tree) -> Table:
    """Legal entity and mode on the last day of the period."""
    rows: list[Row] = []
    for code in tree.ids("cost_center"):
        key = ("cost_center", code)
        place = tree.place_on(key, state.period.last_day)
        rows.append(
            {
                "code": Cell(value=code),
                "name": Cell(value=tree.names[key]),
                "entity": Cell(value=_name(tree, "legal_entity", place.parent if place else None)),
                "mode": Cell(value=MODES[place.mode if place else None]),
                "next": Cell(value=_next_mode(tree, key, state)),
            }
        )
    columns = [
        Column("code", "Cost centre"),
        Column("name", "Name", is_key=True),
        Column("entity", "Legal entity"),
        Column("mode", "Mode"),
        Column("next", "Changes next", if_any=True),
    ]
    return arranged(
        Table("centers", "Cost centres", columns, rows, sort="code", empty="None yet.", lines=True),
        request,
    )


def _next_mode(tree: Tree, key: tuple[str, str], state: PageState) -> str:
    """The next change after the period: "2026-12-01 to chargeback, Acme"."""
    timeline = tree.places[key]
    days = [day for day in timeline if day > state.period.last_day]
    if not days:
        return ""
    to = timeline[min(days)]
    return f"{min(days).isoformat()} to {MODES[to.mode]}, {_name(tree, 'legal_entity', to.parent)}"


def aliases_table(request: HttpRequest, tree: Tree) -> Table:
    rows: list[Row] = []
    for kind, meant in ALIAS_OF.items():
        for key in tree.ids(kind):
            for day, place in sorted(tree.places[kind, key].items()):
                since = "always" if day == NEVER_BEFORE else day.isoformat()
                means = f"{meant} {_name(tree, meant, place.parent)}"
                rows.append(
                    {
                        "name": Cell(value=tree.names[kind, key]),
                        "means": Cell(value=means),
                        "since": Cell(value=since),
                    }
                )
    columns = [
        Column("name", "Told as"),
        Column("means", "Means", is_key=True),
        Column("since", "From"),
    ]
    empty = (
        "None. Names are compared without case, width, accents' form and spaces; other words need a"
        " row here."
    )
    table = Table(
        "aliases", "Other names", columns, rows, sort="name", limit=30, empty=empty, lines=True
    )
    return arranged(table, request)


def _name(tree: Tree, kind: str, own: str | None) -> str:
    return tree.names.get((kind, own), own) if own else ""


def _since(tree: Tree, key: tuple[str, str], state: PageState) -> str:
    days = [day for day in tree.places.get(key, {}) if day <= state.period.last_day]
    return max(days).isoformat() if days else ""


def _next(tree: Tree, key: tuple[str, str], state: PageState) -> str:
    """The next move after the period: "2026-11-15 to Platform"."""
    timeline = tree.places.get(key, {})
    days = [day for day in timeline if day > state.period.last_day]
    if not days:
        return ""
    to = timeline[min(days)].parent
    kind = "business_unit" if key[0] == "team" else "team"
    return f"{min(days).isoformat()} to {_name(tree, kind, to)}"


@require_safe
def export_csv(_request: HttpRequest) -> HttpResponse:
    """The whole organisation as the file that can be changed and loaded again."""
    response = HttpResponse(read_tree().csv_text(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="organisation.csv"'
    return response


# ---------------------------------------------------------------- changing


@sent_from("ownership")
def preview(request: HttpRequest) -> HttpResponseBase:
    """What the file would change; nothing is stored."""
    form = FileForm(request.POST, request.FILES)
    if not form.is_valid():
        return ownership_page(request, form, status=400)
    try:
        text = form.text()
    except ValueError as error:
        form.add_error("file", str(error))
        return ownership_page(request, form, status=400)
    plan = preview_organisation(text=text, today=timezone.now().date())
    return preview_page(request, text, plan, name=form.cleaned_data["file"].name)


@sent_from("ownership")
def apply(request: HttpRequest) -> HttpResponseBase:
    """Does what was previewed and goes back to the page; where it can't, shows the difference."""
    form = ApplyForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose a file and look at what it changes first.")
        return HttpResponseRedirect(reverse("ownership"))
    today = timezone.now().date()
    try:
        plan = apply_file(
            **form.cleaned_data, acting_user=cast(User, request.user).get_username(), today=today
        )
    except OrganisationError as error:
        messages.error(request, f"Nothing has changed: {error.text}.")
        text = form.cleaned_data["text"]
        return preview_page(request, text, preview_organisation(text=text, today=today), status=409)
    told = ", ".join(f"{plan.count(action)} {action}" for action in ACTIONS if plan.count(action))
    messages.success(request, f"The organisation is changed: {told or 'nothing was different'}.")
    return HttpResponseRedirect(reverse("ownership"))


def preview_page(
    request: HttpRequest, text: str, plan: TreePlan, *, name: str = "the file", status: int = 200
) -> HttpResponse:
    state = PageState.from_request(request)
    context: dict[str, Any] = {
        "text": text,
        "plan": plan,
        "name": name,
        "counts": ", ".join(
            f"{plan.count(action)} {action}" for action in ACTIONS if plan.count(action)
        ),
        "changes": plan.changes[:CHANGES_SHOWN],
        "more": max(0, len(plan.changes) - CHANGES_SHOWN),
        "past": sum(change.is_past for change in plan.changes),
        "crumbs": [
            Crumb("Ownership", f"{reverse('ownership')}?{state.query_string()}"),
            Crumb("Preview"),
        ],
    }
    title = "What would the file change?"
    return render_page(
        request,
        "ownership/preview.html",
        context,
        page="ownership",
        title=title,
        state=state,
        status=status,
        choices=(),
    )
