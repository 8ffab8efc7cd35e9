"""manage.py import_identity_owners FILE: whose a provider's keys, users, workspaces and projects
are.
"""

from __future__ import annotations

from typing import Any

from portal.ingest.drivers.delivery import Kind
from portal.ingest.drivers.identity_owners.kind import IDENTITY_OWNERS
from portal.management.driver_command import DriverCommand


class Command(DriverCommand):
    help = "Replace the whole list of owners of the providers that a CSV file has rows of."

    def kind(self, **_options: Any) -> Kind:
        return IDENTITY_OWNERS
