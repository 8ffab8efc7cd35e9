"""Now against the usual: what the same hour of the week held in the weeks before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median


@dataclass(frozen=True)
class Comparison:
    """One measure now, and the median and range of the weeks before; None where nothing can be
    said.
    """

    now: Decimal | None
    usual: Decimal | None
    low: Decimal | None
    high: Decimal | None
    weeks: int

    @property
    def ratio(self) -> Decimal | None:
        """Now over usual; None without a comparison, or where the usual is nothing."""
        if self.now is None or not self.usual:
            return None
        return self.now / self.usual

    @property
    def place(self) -> str:
        """above, below or within the range of the weeks before; `no comparison` where there is
        none.
        """
        if self.now is None or self.low is None or self.high is None:
            return "no comparison"
        if self.now > self.high:
            return "above"
        return "below" if self.now < self.low else "within"

    def is_off(self, *, factor: Decimal, least: Decimal) -> bool:
        """Outside the range, and away from the median by `factor` and by `least` in the measure's
        unit.

        Four weeks make a narrow range: of five values in random order the newest is the largest or
        the smallest in two cases of five, so the range alone would call nearly every other hour
        unusual.
        """
        if self.now is None or self.usual is None or abs(self.now - self.usual) < least:
            return False
        if self.place == "above":
            return self.now >= self.usual * factor
        return self.place == "below" and self.now <= self.usual / factor


def compare(now: Decimal | None, past: Sequence[Decimal | None]) -> Comparison:
    """`past` holds one value for each known week; weeks in which the measure does not exist are
    None and left out.
    """
    known = [value for value in past if value is not None]
    if not known:
        return Comparison(now=now, usual=None, low=None, high=None, weeks=0)
    return Comparison(
        now=now, usual=median(known), low=min(known), high=max(known), weeks=len(known)
    )
