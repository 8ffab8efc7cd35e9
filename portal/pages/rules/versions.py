"""/rules/versions/: every rule set that was applied, its text, and what it changed."""

from __future__ import annotations

import difflib
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal.pages.frame.doorway import found
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.registry import holds
from reports.queries.explain.rule_sets import rule_set_before, rule_set_numbered, rule_sets

VERSIONS_SHOWN = 200
CONTEXT_LINES = 3


class DiffLine(NamedTuple):
    """One line of a comparison; `kind` is added, removed, place or same."""

    kind: str
    text: str


KINDS = {"+": "added", "-": "removed", "@": "place", " ": "same"}


@require_safe
def show_versions(request: HttpRequest) -> HttpResponse:
    state = PageState.from_request(request)
    context = {
        "versions": rule_sets(limit=VERSIONS_SHOWN),
        "may_edit": may_edit(request),
        "crumbs": [Crumb("Rules", f"{reverse('rules')}?{state.query_string()}"), Crumb("Versions")],
    }
    return render_page(
        request,
        "rules/versions.html",
        context,
        page="rules",
        title="Versions of the rules",
        state=state,
        choices=(),
    )


@require_safe
def show_version(request: HttpRequest, number: int) -> HttpResponse:
    """One version, compared with `?against=`, else with the one before it."""
    state = PageState.from_request(request)
    chosen = found(rule_set_numbered(number))
    asked = request.GET.get("against", "")
    earlier = rule_set_before(number)
    if asked.isascii() and asked.isdigit() and len(asked) < 9:
        earlier = found(rule_set_numbered(int(asked)))
    newest = rule_sets(limit=VERSIONS_SHOWN + 1)
    context = {
        "rule_set": chosen,
        "against": earlier,
        "lines": compared(earlier.text, chosen.text) if earlier else [],
        "others": [one for one in newest if one.number != number][:VERSIONS_SHOWN],
        "may_edit": may_edit(request),
        "crumbs": [
            Crumb("Rules", f"{reverse('rules')}?{state.query_string()}"),
            Crumb("Versions", reverse("rules_versions")),
            Crumb(f"Rule set {number}"),
        ],
    }
    return render_page(
        request,
        "rules/version.html",
        context,
        page="rules",
        title=f"Rule set {number}",
        state=state,
        choices=(),
    )


@require_safe
def download_version(request: HttpRequest, number: int) -> HttpResponse:
    """The text as a file, byte for byte."""
    chosen = found(rule_set_numbered(number))
    response = HttpResponse(chosen.text, content_type="application/yaml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="rules-{number}.yaml"'
    return response


def compared(old: str, new: str) -> list[DiffLine]:
    """A unified comparison, without its two head lines."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=CONTEXT_LINES)
    return [DiffLine(KINDS.get(line[:1], "same"), line) for line in list(lines)[2:]]


def may_edit(request: HttpRequest) -> bool:
    return holds(request, "rules-edit")
