"""The imports pages: where bills come from, and what became of each file."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.intake.imports.views import rejected_csv, show_import, show_imports, upload
from portal.pages.registry import Badge, PageSpec
from reports.queries.costs.trust import Trust


def bills_in_trouble(known: Trust) -> Badge | None:
    """Sources whose newest delivery was refused or lost rows."""
    troubled = sum(1 for source in known.sources if source.problem)
    return Badge(str(troubled), "newest bills have a problem") if troubled else None


IMPORTS = PageSpec(
    name="imports",
    label="Imports",
    position=80,
    group="set_up",
    roles=frozenset({Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(
        path("imports/", show_imports, name="imports"),
        path("imports/upload/", upload, name="import_upload"),
        path("imports/<int:import_id>/", show_import, name="import"),
        path("imports/<int:import_id>/rejected.csv", rejected_csv, name="import_rejected_csv"),
    ),
    badge=bills_in_trouble,
)
