"""What a demo is made from: one frozen value, so that equal settings give equal bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta


@dataclass(frozen=True)
class DemoSettings:
    """`anchor` is when the demo was first made: everything worth finding is placed relative to it.
    `now` is where it ends.

    Spans: `sampling` is "declared" (each service as company.py says), "none" (every span kept; the
    population is shrunk to what would have been kept), "tail" (of such a shrunk population, traces
    with errors and slow ones are kept, and few of the rest), or a probability for all of it. `lost`
    is the share of spans lost at random. `complete` leaves out every gap in tags and spans
    (mis-tagged account, unknown and missing teams, lost usage). `case` is one difficulty of
    portal.demo.cases, beside a company that is otherwise complete.
    """

    anchor: datetime
    now: datetime
    first_day: date
    seed: int = 7
    scale: float = 1.0
    sampling: str | float = "declared"
    lost: float = 0.0
    complete: bool = False
    case: str | None = None

    @property
    def anchor_month(self) -> date:
        return self.anchor.date().replace(day=1)

    def day(self, offset: int) -> date:
        """The day at `offset` from the first day of the anchor's month."""
        return self.anchor_month + timedelta(days=offset)

    @property
    def days(self) -> list[date]:
        """Every UTC day that has begun, the running one included."""
        return [
            self.first_day + timedelta(days=n)
            for n in range((self.now.date() - self.first_day).days + 1)
        ]

    @property
    def months(self) -> list[date]:
        return sorted({day.replace(day=1) for day in self.days})


def month_after(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


def demo_settings(
    *,
    now: datetime,
    anchor: datetime | None = None,
    days: int | None = None,
    seed: int = 7,
    scale: float = 1.0,
    sampling: str | float = "declared",
    lost: float = 0.0,
    complete: bool = False,
    case: str | None = None,
) -> DemoSettings:
    """Settings that end at `now` and start three whole months before the running one, or `days`
    days ago.
    """
    now = now.astimezone(UTC)
    anchor = (anchor or now).astimezone(UTC)
    if days is None:
        first_day = anchor.date().replace(day=1)
        for _ in range(3):
            first_day = (first_day - timedelta(days=1)).replace(day=1)
    else:
        first_day = anchor.date() - timedelta(days=days - 1)
    return DemoSettings(anchor, now, first_day, seed, scale, sampling, lost, complete, case)


def at(day: date, hour: float = 0.0) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)
