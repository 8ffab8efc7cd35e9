"""manage.py import_series NAME FILE --month YYYY-MM: one month of a series, such as seats."""

from __future__ import annotations

from portal.management.driver_command import DriverCommand


class Command(DriverCommand):
    help = (
        "Replace one month of a series by a CSV file with the columns team, feature, day, quantity."
    )
    kind = "series"
    leading = "name"
