"""manage.py import_identity_owners FILE: whose a provider's keys, users and the like are."""

from __future__ import annotations

from portal.management.driver_command import DriverCommand


class Command(DriverCommand):
    help = "Replace the whole list of owners of the providers that a CSV file has rows of."
    kind = "identity_owners"
