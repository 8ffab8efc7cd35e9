"""What was wrong with the spans of an ingest key, counted by the day: exporters tell nobody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from django.utils import timezone

from portal.ingest.otlp.traces import sql
from portal.ingest.otlp.traces.known import cursor
from portal.ingest.otlp.traces.normalise import Sender
from portal.ingest.otlp.traces.store import StoredSpans

WORDS = {
    "outside_window": "kept but not counted: their start is outside the time window",
    "unreadable": "counted without tokens: their counts can't be read",
    "short_of_total": "counted with fewer tokens than the total beside them says",
    "left_out": "usage on a span that is no model call: not counted",
    "conflicts": "repeat an earlier span's id with different content: the first is kept",
}


def note_findings(sender: Sender, refused: Iterable[str], stored: StoredSpans) -> None:
    """Add what happened to the key's findings of today; nothing where all went well."""
    found = Counter(f"refused: {general(reason)}" for reason in refused)
    found.update({words: getattr(stored, name) for name, words in WORDS.items()})
    today = timezone.now().date()
    rows = [
        (today, sender.api_key_id, finding, spans)
        for finding, spans in sorted(found.items())
        if spans
    ]
    if rows:
        with cursor() as c:
            c.executemany(sql.ADD_FINDING, rows)


def general(reason: str) -> str:
    """The reason without the value that it quotes."""
    return re.sub(r" '[^']*'", "", reason)
