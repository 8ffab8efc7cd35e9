"""Rejected rows, kept with the import that they came in."""

from __future__ import annotations

from collections.abc import Iterable

from allocation.models import Import, RejectedRow
from portal.ingest.problems import Problem

BATCH = 1000


def keep_rejected(bill_import: Import, problems: Iterable[Problem]) -> None:
    RejectedRow.objects.bulk_create(
        (RejectedRow(bill_import=bill_import, **each.to_json()) for each in problems),
        batch_size=BATCH,
    )
