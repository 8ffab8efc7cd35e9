"""Whose the keys, users, workspaces and projects of a provider are. One file is the whole list of
its providers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models

from allocation.catalogue.vocabulary import canonical_provider
from allocation.models import IdentityOwner, ImportKind, UsageIdentity
from portal.ingest.drivers.kinds import Asked, DeliveredRow, DriverKind, Scope, months_of
from portal.ingest.drivers.table import FileColumn, Problems, day, name_text, one_of, read_table

COLUMNS = (
    FileColumn(
        "provider", lambda text: canonical_provider(name_text(text)), needed=True, optional=False
    ),
    FileColumn("kind", one_of(*UsageIdentity.values), needed=True, optional=False),
    FileColumn("value", name_text, needed=True, optional=False),
    FileColumn("team", name_text, needed=True, optional=False),
    FileColumn("feature", name_text),
    FileColumn("valid_from", day, needed=True, optional=False),
)


def read(content: bytes, asked: Asked, problems: Problems) -> list[DeliveredRow]:
    return [
        DeliveredRow(line.number, IdentityOwner(**line.values))
        for line in read_table(content, COLUMNS, problems)
    ]


def stored(rows: Sequence[Any]) -> models.QuerySet[IdentityOwner]:
    return IdentityOwner.objects.filter(provider__in={row.provider for row in rows})


IDENTITY_OWNERS = DriverKind(
    name=ImportKind.IDENTITY_OWNERS.value,
    label="Who owns which key",
    help="CSV of keys, users, workspaces, projects. Replaces the whole list of its providers.",
    model=IdentityOwner,
    read=read,
    key=("provider", "kind", "value", "valid_from"),
    compared=("team", "feature"),
    scope=lambda row: Scope(row.provider, "", ""),
    stored=stored,
    months=lambda rows: (months_of(row.valid_from for row in rows)[0], None),
    tells_rows=True,
    position=4,
)
