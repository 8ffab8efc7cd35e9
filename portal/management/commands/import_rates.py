"""manage.py import_rates FILE: monthly exchange rates with their source."""

from __future__ import annotations

from typing import Any

from portal.ingest.drivers.delivery import Kind
from portal.ingest.drivers.rates.kind import RATES
from portal.management.driver_command import DriverCommand


class Command(DriverCommand):
    help = "Set the exchange rates that a CSV file has rows of: month, base, quote, rate, source."

    def kind(self, **_options: Any) -> Kind:
        return RATES
