"""How far head sampling alone may put an amount from what all spans would have given."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from reports.cost_question.answers import UsageCell


def sampling_error(usage: Iterable[UsageCell]) -> Decimal | None:
    """The standard error of the effective cost of these together, in its currency; None where every
    span was kept.

    Shares are taken as independent. Those of one bill line add up to it, so the true error of their
    sum is smaller.
    """
    variance = sum(cell.cost_variance for cell in usage)
    return Decimal(str(round(variance**0.5, 2))) if variance > 0 else None
