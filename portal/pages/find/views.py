"""/find/: teams, features, models and whatever else has a name, a page or a part of the documents;
only what the reader may open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal.documents import documents
from portal.pages.frame.render import render_page
from portal.pages.frame.state import PageState
from portal.pages.registry import holds, page_address, pages
from reports.queries.find import SHORTEST, FoundName, find_imports, find_names, trace_exists

TRACE_ID = re.compile(r"[0-9a-fA-F]{32}")
EXPLAINED = ("feature", "model", "product")


@dataclass(frozen=True)
class Hit:
    """One line of the answer; without an address where it has no page."""

    kind: str
    name: str
    detail: str
    href: str | None


@require_safe
def find(request: HttpRequest) -> HttpResponse:
    """The list alone for the box of the rail, which asks as one types; else a page."""
    state = PageState.from_request(request)
    text = request.GET.get("q", "").strip()
    context = {
        "text": text,
        "hits": list(hits(request, state, text)) if len(text) >= SHORTEST else [],
    }
    if request.headers.get("HX-Request"):
        return render(request, "find/hits.html", context)
    title = f"Find “{text}”" if text else "Find"
    return render_page(request, "find/page.html", context, page="find", title=title, state=state)


def hits(request: HttpRequest, state: PageState, text: str) -> Iterator[Hit]:
    """What has the text in its name, pages first."""
    for spec in pages().values():
        if spec.label and holds(request, spec.name) and text.lower() in spec.label.lower():
            yield Hit("page", spec.label, "", f"{page_address(spec.name)}?{state.query_string()}")
    if TRACE_ID.fullmatch(text) and holds(request, "debug") and trace_exists(trace=UUID(text)):
        address = reverse("debug-trace", args=[text])
        yield Hit("trace", text, "", f"{address}?{state.query_string()}")
    for found in find_names(text=text, scope=state.reader_scope):
        yield Hit(found.kind, found.name, _detail(found), _address(request, state, found))
    if holds(request, "imports"):
        for found in find_imports(text=text):
            address = reverse("import", args=[found.identity])
            yield Hit(found.kind, found.name, _detail(found), address)
    for document in documents():
        if text.lower() in document.title.lower():
            yield Hit("document", document.title, "", document.address)


def _detail(found: FoundName) -> str:
    named = "" if found.identity == found.name else found.identity
    return " · ".join(filter(None, (named, found.detail)))


def _address(request: HttpRequest, state: PageState, found: FoundName) -> str | None:
    """Where the name leads; None where its reader has no page that speaks of it."""
    if found.kind == "team" and holds(request, "showback"):
        return f"{reverse('showback_team', args=[found.identity])}?{state.query_string(team=None)}"
    if found.kind in EXPLAINED and holds(request, "explain"):
        return f"{page_address('explain')}?{state.query_string(**{found.kind: found.identity})}"
    if found.kind in ("feature", "model") and holds(request, "debug"):
        return f"{page_address('debug')}?{state.query_string(**{found.kind: found.identity})}"
    if found.kind == "cost centre" and holds(request, "chargeback"):
        return f"{page_address('chargeback')}?{state.query_string()}"
    return None
