"""Addresses of pages. Each page module lists its own `urlpatterns`; a page is named as in
access.PAGES.
"""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

from portal.pages.admin import views as admin
from portal.pages.explain import views as explain
from portal.pages.frame import home
from portal.pages.intake.drivers import views as drivers
from portal.pages.intake.imports import views as imports
from portal.pages.operate.debug import views as debug
from portal.pages.operate.gpu import views as gpu
from portal.pages.operate.jobs import views as jobs
from portal.pages.operate.on_call import views as on_call
from portal.pages.ownership import tag_conflicts, unowned
from portal.pages.ownership import views as ownership
from portal.pages.reconcile import views as reconciliation
from portal.pages.rules import editor as rule_editor
from portal.pages.rules import previews as rule_previews
from portal.pages.rules import versions as rule_versions
from portal.pages.rules import views as rules
from portal.pages.spend.chargeback import views as chargeback
from portal.pages.spend.executive import views as executive
from portal.pages.spend.showback import views as showback

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
