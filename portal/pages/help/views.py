"""/help/: the documents of this release, as pages."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal.documents import document, documents
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState


@require_safe
def show_documents(request: HttpRequest) -> HttpResponse:
    state = PageState.from_request(request)
    context = {"documents": documents()}
    return render_page(request, "help/page.html", context, page="help", title="Help", state=state)


@require_safe
def show_document(request: HttpRequest, name: str) -> HttpResponse:
    found = document(name)
    if found is None:
        raise Http404
    state = PageState.from_request(request)
    context = {
        "document": found,
        "crumbs": [Crumb("Help", f"{reverse('help')}?{state.query_string()}"), Crumb(found.title)],
    }
    return render_page(
        request, "help/document.html", context, page="help", title=found.title, state=state
    )
