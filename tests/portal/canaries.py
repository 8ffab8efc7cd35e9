"""Two teams whose traces can be told apart in any output."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

MONTH = date(2026, 10, 1)
DAY = date(2026, 10, 14)
NOON = datetime(2026, 10, 14, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Canary:
    """A team's traces in any output: a word in its texts, and digits in its amounts."""

    slug: str
    word: str
    amount: Decimal

    @property
    def marks(self) -> list[str]:
        """What gives the team away: its word, and its amount as exact and as rounded pages write
        it.
        """
        whole = int(self.amount)
        return [self.word, str(whole), f"{whole:,}"]


ALPHA = Canary("alpha", "alphacanary", Decimal("10203.405060708"))
BRAVO = Canary("bravo", "bravocanary", Decimal("91827.364554637"))


def gives_away(body: str, canary: Canary, asked: str = "") -> list[str]:
    """Marks of the team found in an output, also as JSON writes them; not those that the caller
    wrote in `asked`.
    """
    total = int(ALPHA.amount + BRAVO.amount)
    marks = [*canary.marks, str(total), f"{total:,}"]
    return [
        mark
        for mark in marks
        if mark not in asked and (mark in body or json.dumps(mark)[1:-1] in body)
    ]
