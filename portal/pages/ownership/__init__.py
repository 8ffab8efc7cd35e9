"""The ownership pages: who owns what, what has no owner, and where tags disagree."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.ownership.tag_conflicts import show_tag_conflicts
from portal.pages.ownership.unknown import show_unknown, teach
from portal.pages.ownership.unowned import accept, show_coverage, show_unowned
from portal.pages.ownership.views import apply, export_csv, preview, show_ownership
from portal.pages.registry import Badge, PageSpec, Right
from reports.queries.costs.trust import Trust
from reports.readable import percent


def without_owner(known: Trust) -> Badge | None:
    if not known.unallocated:
        return None
    return Badge(percent(known.unallocated), "of the cost has no owner")


OWNERSHIP = PageSpec(
    name="ownership",
    label="Ownership",
    position=110,
    group="set_up",
    roles=frozenset({Role.EXECUTIVE, Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(
        path("ownership/", show_ownership, name="ownership"),
        path("ownership/organisation.csv", export_csv, name="ownership_csv"),
        path("ownership/unowned/", show_unowned, name="ownership_unowned"),
        path("ownership/unknown/", show_unknown, name="ownership_unknown"),
        path("ownership/coverage/", show_coverage, name="ownership_coverage"),
        path("ownership/tags/", show_tag_conflicts, name="ownership_tags"),
    ),
    choices=("period", "metric", "currency"),
    badge=without_owner,
    rights=(
        Right(
            "ownership-change",
            frozenset({Role.FINOPS_ADMIN}),
            (
                path("ownership/preview/", preview, name="ownership_preview"),
                path("ownership/apply/", apply, name="ownership_apply"),
                path("ownership/unowned/accept/", accept, name="ownership_accept"),
                path("ownership/unknown/teach/", teach, name="ownership_teach"),
            ),
        ),
    ),
)
