"""The sampling error that a page shows."""

from __future__ import annotations

from decimal import Decimal

from reports.analysis.sampling_error import sampling_error
from reports.cost_question.answers import UsageCell


def cell(variance: float) -> UsageCell:
    return UsageCell("t", "f", "m", Decimal(1), Decimal(1), Decimal(0), Decimal(0), variance)


def test_variances_add_up_under_the_root() -> None:
    assert sampling_error([cell(9.0), cell(16.0), cell(0.0)]) == Decimal("5.0")


def test_nothing_is_shown_where_every_span_was_kept() -> None:
    assert sampling_error([cell(0.0)]) is None
    assert sampling_error([]) is None
