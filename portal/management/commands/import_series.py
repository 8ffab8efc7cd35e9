"""manage.py import_series NAME FILE --month YYYY-MM: one month of an uploaded series, such as
seats.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from portal.ingest.drivers.delivery import Kind
from portal.ingest.drivers.series.kind import series_kind
from portal.management.driver_command import DriverCommand
from portal.management.periods import month_argument


class Command(DriverCommand):
    help = (
        "Replace one month of a series by a CSV file with the columns team, feature, day, quantity."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the series, for example seats")
        super().add_arguments(parser)
        parser.add_argument("--month", required=True, type=month_argument, metavar="YYYY-MM")

    def kind(self, **options: Any) -> Kind:
        return series_kind(name=options["name"], month=options["month"].start)
