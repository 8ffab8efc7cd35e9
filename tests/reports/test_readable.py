from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from reports.readable import (
    ago,
    change,
    count,
    driver,
    exact,
    exact_grouped,
    middle_cut,
    money,
    percent,
    ratio,
    unit_cost,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1234567.891", "1,234,567.89"),
        ("-1234.5", "\u22121,234.50"),
        ("0.004", "<0.01"),
        ("-0.004", "just below 0"),
        ("0", "0.00"),
        ("123456789012345678901234567890.125", "123,456,789,012,345,678,901,234,567,890.12"),
    ],
)
def test_money(value: str, shown: str) -> None:
    assert money(Decimal(value)) == shown


def test_exact_has_every_digit_and_no_exponent() -> None:
    assert exact(Decimal("1E-18")) == "0.000000000000000001"
    assert exact(Decimal("12.500")) == "12.5"
    assert exact(None) == ""


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        ("150", "100", "up 50 (50.0%)"),
        ("100", "150", "down 50 (33.3%)"),
        ("0.66", "0.60", "up 0.06 (10.0%)"),
        ("100", "0", "new 100"),
        ("0", "100", "gone 100"),
        ("100", "100", "same"),
        ("199.97", "100", "up 100 (100.0%)"),  # a rise has no whole to fall short of
        ("0.03", "100", "down 100 (>99.9%)"),
        ("50", "-10", "up 60"),  # never a percent of a credit
        ("100", None, "no comparison"),
    ],
)
def test_change(now: str, before: str | None, words: str) -> None:
    assert str(change(Decimal(now), None if before is None else Decimal(before))) == words


def test_percent_does_not_round_up_to_all_or_down_to_nothing() -> None:
    assert percent(Decimal("0.99996")) == ">99.9%"
    assert percent(Decimal("0.0001")) == "<0.1%"
    assert percent(Decimal(1)) == "100.0%"
    assert percent(Decimal(0)) == "0.0%"
    assert percent(ratio(Decimal(1), Decimal(0))) == "\u2013"


def test_unit_costs_keep_significant_digits() -> None:
    assert unit_cost(Decimal("0.000123456")) == "0.0001235"
    assert unit_cost(Decimal("12.3456")) == "12.35"


def test_drivers_keep_their_parts() -> None:
    shown = [
        driver(Decimal(text)) for text in ("128.5", "86400", "12.3456", "0.0004", "0", "1234567.8")
    ]
    assert shown == ["128.5", "86,400", "12.35", "0.0004", "0", "1.23 M"]
    assert driver(None) == count(None)
    assert exact_grouped(Decimal("1234567.000100")) == "1,234,567.0001"
    assert exact_grouped(None) == count(None)


def test_counts_shorten_above_a_million() -> None:
    assert (count(999_999), count(4_380_000), count(2_500_000_000)) == (
        "999,999",
        "4.38 M",
        "2.50 B",
    )


def test_long_names_lose_their_middle() -> None:
    assert middle_cut("extraction-of-long-contract-clauses", 20) == "extraction\u2026t-clauses"
    assert middle_cut("short", 20) == "short"


def test_ago() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    assert ago(now - timedelta(seconds=5), now) == "just now"
    assert ago(now - timedelta(minutes=2), now) == "2 min ago"
    assert ago(now - timedelta(hours=30), now) == "30 h ago"
    assert ago(now - timedelta(days=5), now) == "5 days ago"
    assert ago(now + timedelta(minutes=5), now) == "just now"
