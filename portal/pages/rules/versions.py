"""/rules/versions/: every rule set that was applied, its text, and what it changed."""

from __future__ import annotations

import difflib
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_safe

from allocation.models import RuleSet
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.registry import holds

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
        "versions": RuleSet.objects.order_by("-number")[:VERSIONS_SHOWN],
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
    chosen = get_object_or_404(RuleSet, number=number)
    asked = request.GET.get("against", "")
    earlier = RuleSet.objects.filter(number__lt=number).order_by("-number").first()
    if asked.isascii() and asked.isdigit() and len(asked) < 9:
        earlier = get_object_or_404(RuleSet, number=int(asked))
    context = {
        "rule_set": chosen,
        "against": earlier,
        "lines": compared(earlier.text, chosen.text) if earlier else [],
        "others": RuleSet.objects.exclude(number=number).order_by("-number")[:VERSIONS_SHOWN],
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
    chosen = get_object_or_404(RuleSet, number=number)
    response = HttpResponse(chosen.text, content_type="application/yaml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="rules-{number}.yaml"'
    return response


def compared(old: str, new: str) -> list[DiffLine]:
    """A unified comparison, without its two head lines."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=CONTEXT_LINES)
    return [DiffLine(KINDS.get(line[:1], "same"), line) for line in list(lines)[2:]]


def may_edit(request: HttpRequest) -> bool:
    return holds(request, "rules-edit")
