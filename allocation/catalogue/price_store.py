"""Imports list prices: those of the sources beside the package are kept as they stand, and all
together make a version.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, LiteralString

import psycopg
from django.db import connection, transaction
from django.db.models import QuerySet

from allocation.catalogue.price_list import PriceLine, packaged
from allocation.catalogue.price_sources import (
    LITELLM,
    OWN,
    ComposedPrices,
    SourcedLine,
    first_day,
    source_name,
)
from allocation.catalogue.prices import current_version
from allocation.models import PriceVersion, SourcePrice

COPY_PRICES: Final[LiteralString] = """
COPY allocation_price (version_id, is_undated, provider, model, tier, token_class, context_from,
    time_of_day_from, time_of_day_to, valid_from, per_million, source) FROM STDIN
"""

LOCK = "SELECT pg_advisory_xact_lock(hashtext('apportion source prices'))"

OF_LINE = (
    "provider",
    "model",
    "tier",
    "token_class",
    "context_from",
    "valid_from",
    "per_million",
)
Group = tuple[str, str, str | None, str]  # provider, model, tier, token class


def told_prices() -> list[SourcedLine]:
    """Every price that a source beside the package states."""
    return _told(SourcePrice.objects.order_by("id"))


def _told(rows: QuerySet[SourcePrice]) -> list[SourcedLine]:
    found = rows.values_list("kind", "overrides", *OF_LINE)
    return [_read(kind, overrides, *told) for kind, overrides, *told in found]


def _read(kind: str, overrides: bool, *told: Any) -> SourcedLine:
    provider, model, tier, token_class, context_from, valid_from, per_million = told
    line = PriceLine(
        provider, model, tier, token_class, context_from, None, None, valid_from, per_million
    )
    return SourcedLine(kind, source_name(kind, valid_from), line, overrides)


@transaction.atomic
def replace_own(lines: Iterable[SourcedLine]) -> bool:
    """Put these own entries in force instead of the ones before; False where they are the same."""
    _wait_for_others()
    return _replace(SourcePrice.objects.filter(kind=OWN), OWN, lines)


@transaction.atomic
def replace_map(lines: Iterable[SourcedLine], valid_from: date) -> bool:
    """Put what a map says from a day on in place of what a map said for that day; False where it
    says nothing else. What the maps of earlier days said the same is not kept twice.
    """
    _wait_for_others()
    maps = SourcePrice.objects.filter(kind=LITELLM)
    earlier = _stated(_told(maps.filter(valid_from__lt=valid_from)))
    given = list(lines)
    stated = _stated(given)
    changed = [each for each in given if stated[_group(each)] != earlier.get(_group(each))]
    return _replace(maps.filter(valid_from=valid_from), LITELLM, changed)


def _group(each: SourcedLine) -> Group:
    return each.line.provider, each.line.model, each.line.tier, each.line.token_class


def _stated(lines: Iterable[SourcedLine]) -> dict[Group, dict[int, Decimal]]:
    """What the last day of each group says: price by context."""
    found: dict[Group, tuple[date, dict[int, Decimal]]] = {}
    for each in sorted(lines, key=first_day):
        day, prices = found.get(_group(each), (None, {}))
        prices = prices if day == first_day(each) else {}
        found[_group(each)] = (
            first_day(each),
            {
                **prices,
                each.line.context_from: each.line.per_million,
            },
        )
    return {group: prices for group, (_, prices) in found.items()}


def _replace(rows: QuerySet[SourcePrice], kind: str, lines: Iterable[SourcedLine]) -> bool:
    given = set(lines)
    if given == set(_told(rows)):
        return False
    rows.delete()
    SourcePrice.objects.bulk_create(
        [
            SourcePrice(
                kind=kind,
                overrides=each.overrides,
                **{name: getattr(each.line, name) for name in OF_LINE},
            )
            for each in sorted(given, key=repr)
        ],
        batch_size=5_000,
    )
    return True


def _wait_for_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute(LOCK)


@transaction.atomic
def ensure_prices(*, again: bool = False) -> tuple[PriceVersion, bool]:
    """The version that holds the prices of all sources as they are now, and whether this call
    imported it.

    Prices of a known version are not imported again; with `again` they are, unless it is the one
    in force.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('apportion prices'))")
    prices = ComposedPrices(packaged(), told_prices())
    known = PriceVersion.objects.filter(content_sha256=prices.content_sha256).order_by("-id")
    latest = known.first()
    if latest is not None and not (again and latest.pk != current_version()):
        return latest, False
    version = PriceVersion.objects.create(
        source=prices.source, content_sha256=prices.content_sha256
    )
    with (
        connection.wrap_database_errors,
        psycopg.Cursor(connection.connection) as raw,
        raw.copy(COPY_PRICES) as copy,
    ):
        for each in prices.lines():
            line = each.line
            copy.write_row((version.pk, line.valid_from is None, *astuple(line), each.source))
    return version, True


@lru_cache(maxsize=2)
def composed_prices(version: int) -> ComposedPrices:
    """The prices of all sources, as the version in force holds them."""
    return ComposedPrices(packaged(), told_prices())
