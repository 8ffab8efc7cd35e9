"""Help: the documents of this release, inside the portal."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.help.views import show_document, show_documents
from portal.pages.registry import PageSpec

HELP = PageSpec(
    name="help",
    label=None,
    position=160,
    roles=frozenset(Role),
    urls=(
        path("help/", show_documents, name="help"),
        path("help/<slug:name>/", show_document, name="help_document"),
    ),
)
