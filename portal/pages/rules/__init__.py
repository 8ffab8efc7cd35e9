"""The rules pages: those in force, the editor, previews and versions."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.registry import PageSpec, Right
from portal.pages.rules.editor import check_rules_text, edit_rules, preview_draft
from portal.pages.rules.previews import apply_preview, show_preview
from portal.pages.rules.versions import download_version, show_version, show_versions
from portal.pages.rules.views import show_rules

RULES = PageSpec(
    name="rules",
    label="Rules",
    position=100,
    group="set_up",
    roles=frozenset({Role.EXECUTIVE, Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(
        path("rules/", show_rules, name="rules"),
        path("rules/versions/", show_versions, name="rules_versions"),
        path("rules/versions/<int:number>/", show_version, name="rules_version"),
        path("rules/versions/<int:number>/rules.yaml", download_version, name="rules_version_file"),
    ),
    choices=("period", "range", "metric", "currency", "unit", "team"),
    rights=(
        Right(
            "rules-edit",
            frozenset({Role.FINANCE, Role.FINOPS_ADMIN}),
            (
                path("rules/edit/", edit_rules, name="rules_edit"),
                path("rules/edit/check/", check_rules_text, name="rules_check"),
                path("rules/edit/preview/", preview_draft, name="rules_preview_draft"),
                path("rules/previews/<int:preview_id>/", show_preview, name="rules_preview"),
            ),
        ),
        Right(
            "rules-apply",
            frozenset({Role.FINOPS_ADMIN}),
            (path("rules/previews/<int:preview_id>/apply/", apply_preview, name="rules_apply"),),
        ),
    ),
)
