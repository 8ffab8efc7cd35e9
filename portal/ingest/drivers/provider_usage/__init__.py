"""A provider's own usage report: one day of one key, user, workspace, project and model, in
exclusive token classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from django.db import models

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.catalogue.vocabulary import canonical_model, canonical_provider
from allocation.models import ImportKind, ProviderUsage
from allocation.values.money import EXACT, exact_sum
from portal.errors import Refused
from portal.ingest.drivers.kinds import Ask, Asked, DeliveredRow, DriverKind, Scope, months_of
from portal.ingest.drivers.provider_usage.pages import IDENTITY, QUANTITIES, Reported, page_records
from portal.ingest.drivers.table import (
    Bad,
    FileColumn,
    Problems,
    day,
    name_text,
    read_table,
    truth,
    whole_number,
)

KEY = ("day", "provider", "project", "model", "is_batch", "api_key", "user", "workspace")
COLUMNS = (
    FileColumn("day", day, needed=True, optional=False),
    FileColumn("project", name_text),
    FileColumn("model", name_text, optional=False),
    FileColumn("batch", truth),
    FileColumn("api_key", name_text),
    FileColumn("user", name_text),
    FileColumn("workspace", name_text),
    *(FileColumn(name, whole_number) for name in QUANTITIES),
)


def understand(asked: Asked) -> Asked:
    """Raises Refused without a provider."""
    try:
        name = canonical_provider(name_text(asked.get("provider") or ""))
    except Bad as error:
        raise Refused(f"the provider's name: {error}") from None
    if not name:
        raise Refused("a usage report needs its provider, such as openai")
    return {"provider": name}


def read(content: bytes, asked: Asked, problems: Problems) -> list[DeliveredRow]:
    is_json = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
    told = page_records(content, problems) if is_json else table_records(content, problems)
    return summed(asked["provider"], told, problems)


def stored(rows: Sequence[Any]) -> models.QuerySet[ProviderUsage]:
    return ProviderUsage.objects.filter(
        provider__in={row.provider for row in rows}, day__in={row.day for row in rows}
    )


def table_records(content: bytes, problems: Problems) -> list[Reported]:
    """Rows of the normalised CSV; an empty quantity is none of it."""
    return [
        Reported(
            line=line.number,
            place=None,
            moment=line.values["day"].isoformat(),
            day=line.values["day"],
            identity={name: line.values[name] for name in IDENTITY},
            model=line.values["model"],
            is_batch=bool(line.values["batch"]),
            quantities={name: line.values[name] or Decimal(0) for name in QUANTITIES},
        )
        for line in read_table(content, COLUMNS, problems)
    ]


def summed(provider: str, told: Iterable[Reported], problems: Problems) -> list[DeliveredRow]:
    """One row for each day and identity: hours of a day, and dated versions of one model, add up.

    The same bucket and group told twice is a doubt: two pages that overlap would count it double.
    """
    seen: set[tuple[Any, ...]] = set()
    rows: dict[tuple[Any, ...], DeliveredRow] = {}
    for each in told:
        if each.group in seen:
            problems.add(
                each.line,
                each.place,
                each.model,
                "this day, identity and model stand twice in the file",
            )
            continue
        seen.add(each.group)
        key = {
            "day": each.day,
            "provider": provider,
            "model": canonical_model(each.model) if each.model else None,
            "is_batch": each.is_batch,
            **each.identity,
        }
        found = rows.get(tuple(key.values()))
        if found is None:
            rows[tuple(key.values())] = DeliveredRow(
                each.line, ProviderUsage(**key, **each.quantities)
            )
        else:
            for name, quantity in each.quantities.items():
                setattr(found.row, name, EXACT.add(getattr(found.row, name), quantity))
    return list(rows.values())


def tokens_of(row: Any) -> Decimal:
    return exact_sum(getattr(row, name) for name in TOKEN_COLUMNS)


PROVIDER_USAGE = DriverKind(
    name=ImportKind.PROVIDER_USAGE.value,
    label="Provider usage",
    help="CSV, or JSON pages of OpenAI or Anthropic. Replaces the days it has.",
    model=ProviderUsage,
    asks=(Ask("provider", "Such as openai or anthropic."),),
    understand=understand,
    read=read,
    key=KEY,
    compared=QUANTITIES,
    scope=lambda row: Scope(row.provider, row.day.isoformat(), row.day.isoformat()),
    stored=stored,
    months=lambda rows: months_of(row.day for row in rows),
    measure=tokens_of,
    unit="tokens",
    position=3,
)
