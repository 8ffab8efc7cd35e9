"""manage.py import_rates FILE: monthly exchange rates with their source."""

from __future__ import annotations

from portal.management.driver_command import DriverCommand


class Command(DriverCommand):
    help = "Set the exchange rates that a CSV file has rows of: month, base, quote, rate, source."
    kind = "exchange_rates"
