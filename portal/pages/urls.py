"""Addresses of pages. Each page module lists its own `urlpatterns`; a page is named as in
access.PAGES.
"""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

from portal.pages import (
    admin,
    chargeback,
    debug,
    drivers,
    executive,
    explain,
    gpu,
    home,
    imports,
    jobs,
    on_call,
    ownership,
    reconciliation,
    rule_editor,
    rule_previews,
    rule_versions,
    rules,
    showback,
    tag_conflicts,
    unowned,
)

urlpatterns: list[URLPattern | URLResolver] = [
    *home.urlpatterns,
    *executive.urlpatterns,
    *showback.urlpatterns,
    *chargeback.urlpatterns,
    *reconciliation.urlpatterns,
    *admin.urlpatterns,
    *on_call.urlpatterns,
    *debug.urlpatterns,
    *gpu.urlpatterns,
    *explain.urlpatterns,
    *rules.urlpatterns,
    *rule_editor.urlpatterns,
    *rule_previews.urlpatterns,
    *rule_versions.urlpatterns,
    *ownership.urlpatterns,
    *unowned.urlpatterns,
    *tag_conflicts.urlpatterns,
    *imports.urlpatterns,
    *drivers.urlpatterns,
    *jobs.urlpatterns,
]
