"""What really caused each dollar of the demo's bills.

A line's cause is known where calls caused it: every call has a team and a feature, traced or not.
Where nobody in particular caused a line, the truth is what the stated rule says:

- capacity (GPU nodes, the idle one too, indexes, storage) belongs to the team and feature that runs
  it, used or not; so does a commitment, its unused part included;
- tax, support and credits follow the charges of their source and month (of their project, where
  they name one), in proportion to effective cost; in the basis of billed cost likewise;
- people trying models in the staff playground, and notebooks that everyone uses, have no feature:
  unallocated;
- services that have nothing to do with AI are one line, `other`.

Each entry adds up: over all causes the truth is the bill, exactly, per source, currency, month and
metric.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from allocation.values.money import plain, quanta_of, text_of
from allocation.values.split import split_quanta

PLACES = 18  # decimal places of a truth amount; no demo line has more


class Cause(NamedTuple):
    team: str | None
    model: str | None
    feature: str | None
    scope: str = "ai"  # ai, ai_supporting, other
    reason: str | None = None  # set where no team caused it


class TruthEntry(NamedTuple):
    month: date
    day: date
    source: str
    currency: str
    cause: Cause


UNTAGGED = Cause(None, None, None, reason="nobody's: shared and without a tag")
PLAYGROUND = Cause(None, None, None, reason="nobody's: staff trying models")
OTHER = Cause(None, None, None, scope="other", reason="not AI")

COLUMNS = (
    "month",
    "day",
    "source",
    "currency",
    "scope",
    "team",
    "model",
    "feature",
    "reason",
    "billed_cost",
    "effective_cost",
)


@dataclass
class Truth:
    """(billed, effective) in quanta of 10^-18 by entry."""

    amounts: dict[TruthEntry, list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0])
    )

    def add(
        self,
        *,
        month: date,
        days: Sequence[date],
        source: str,
        currency: str,
        costs: tuple[Decimal, Decimal],
        causes: Mapping[Cause, int],
    ) -> None:
        """Give one line's (billed, effective) to its days equally and to its causes by weight."""
        ordered = sorted(causes, key=str)
        weights = [causes[cause] for cause in ordered]
        for metric, cost in enumerate(costs):
            daily = split_quanta(quanta_of(format(cost, "f"), PLACES), [1] * len(days))
            for day, quanta in zip(days, daily, strict=True):
                for cause, share in zip(ordered, split_quanta(quanta, weights), strict=True):
                    if share:
                        self.amounts[TruthEntry(month, day, source, currency, cause)][metric] += (
                            share
                        )

    def weights(self, *, month: date, source: str) -> dict[Cause, int]:
        """Effective cost by cause, of one source and month; what tax, support and credits
        follow.
        """
        found: dict[Cause, int] = defaultdict(int)
        for entry, (_, effective) in self.amounts.items():
            if entry.month == month and entry.source == source:
                found[entry.cause] += effective
        return {cause: weight for cause, weight in found.items() if weight > 0}

    def total(self, *, month: date, source: str, metric: int) -> Decimal:
        quanta = sum(
            pair[metric]
            for entry, pair in self.amounts.items()
            if (entry.month, entry.source) == (month, source)
        )
        return decimal_of(quanta)

    def rows(self) -> Iterable[dict[str, str]]:
        for entry in sorted(self.amounts, key=str):
            billed, effective = self.amounts[entry]
            if billed or effective:
                month, day, source, currency, cause = entry
                yield {
                    "month": f"{month:%Y-%m}",
                    "day": day.isoformat(),
                    "source": source,
                    "currency": currency,
                    "scope": cause.scope,
                    "team": cause.team or "",
                    "model": cause.model or "",
                    "feature": cause.feature or "",
                    "reason": cause.reason or "",
                    "billed_cost": plain(decimal_of(billed)),
                    "effective_cost": plain(decimal_of(effective)),
                }

    def write(self, path: Path) -> None:
        """As CSV, or as a JSON list where the name ends in .json."""
        if path.suffix == ".json":
            path.write_text(json.dumps(list(self.rows()), indent=1) + "\n", encoding="utf-8")
            return
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows())
        path.write_text(out.getvalue(), encoding="utf-8")


def decimal_of(quanta: int) -> Decimal:
    return Decimal(text_of(quanta, PLACES))
