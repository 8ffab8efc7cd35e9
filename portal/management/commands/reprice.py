"""manage.py reprice: rate known usage again by a version of the list prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Sum

from allocation.catalogue.prices import current_version, reprice
from allocation.models import PriceVersion, UsageHourly
from allocation.values.money import plain
from portal.commands import PortalCommand, Refused


class Command(PortalCommand):
    help = (
        "Price all known usage by a version of the list prices, the one in force unless another is "
        "named."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--price-version", type=int, help="id of a price list; default: the one in force"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        number = current_version() if options["price_version"] is None else options["price_version"]
        version = PriceVersion.objects.filter(pk=number).first() if number is not None else None
        if version is None:
            known = ", ".join(
                str(pk) for pk in PriceVersion.objects.order_by("pk").values_list("pk", flat=True)
            )
            raise Refused(
                f"no price list has the id {number}: known are {known or 'none'}; import one by "
                "import_prices"
            )
        before = unpriced_calls()
        rows = reprice(version.pk)
        return {
            "status": "priced",
            "version": version.pk,
            "source": version.source,
            "rows_changed": rows,
            "unpriced_calls_before": before,
            "unpriced_calls": unpriced_calls(),
        }


def unpriced_calls() -> str:
    """Weighted calls in hours that have no list cost."""
    found = UsageHourly.objects.filter(list_cost=None).aggregate(calls=Sum("calls"))["calls"]
    return plain(found or Decimal(0))
