"""What moved a cost: every mover once, exact, and with a reason that its figures bear out."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocation.values.money import exact_sum
from allocation.values.periods import Period
from reports.analysis.movers import Mover, MoverKey, movers, peak_of, reason_of
from reports.analysis.spend import APART
from reports.cost_question.answers import UsageCell
from reports.queries.costs.spend_items import SpendItem

OCTOBER, NOVEMBER = Period.parse("2026-10"), Period.parse("2026-11")
PERIODS = (NOVEMBER, OCTOBER)


def item(now: str, before: str, **changes: str | None) -> SpendItem:
    plain = SpendItem(
        "search",
        "ranking",
        "gpt-4o",
        "named",
        "OpenAI API",
        "shared",
        Decimal(now),
        Decimal(before),
    )
    return plain._replace(**changes)  # type: ignore[arg-type]


def gpu(now: str, before: str) -> Mover:
    key = MoverKey("recommendations", "retraining", None, "training", "EC2", None)
    return Mover(key, Decimal(now), Decimal(before))


def calls(*, calls: int, tokens: int, calls_before: int, tokens_before: int) -> UsageCell:
    return UsageCell(
        "search",
        "ranking",
        "gpt-4o",
        Decimal(calls),
        Decimal(tokens),
        Decimal(calls_before),
        Decimal(tokens_before),
    )


def test_a_model_is_one_mover_whatever_service_bills_it() -> None:
    found = movers([item("3", "1"), item("5", "1", service="Bedrock")])

    assert [(mover.key.model, mover.amount) for mover in found] == [("gpt-4o", 6)]


def test_tax_and_credits_stand_for_themselves() -> None:
    found = movers([item("3", "1", kind="tax"), item("4", "1", kind="tax", team="support")])

    assert [(mover.key.apart, mover.amount) for mover in found] == [("tax", 5)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.integers(-(10**18), 10**18),
            st.integers(-(10**18), 10**18),
            st.sampled_from(["a", "b", None]),
            st.sampled_from(["shared", *APART]),
        ),
        max_size=12,
    )
)
def test_the_movers_add_up_to_the_change(rows: list[tuple[int, int, str | None, str]]) -> None:
    items = [
        item("0", "0", model=model, kind=kind)._replace(
            now=Decimal(now).scaleb(-12), before=Decimal(before).scaleb(-12)
        )
        for now, before, model, kind in rows
    ]

    moved = exact_sum(mover.amount for mover in movers(items))

    assert moved == exact_sum(one.now for one in items) - exact_sum(one.before for one in items)


def five_days_in_october() -> dict[date, Decimal]:
    days = {day: Decimal(70) for period in PERIODS for day in period.days()}
    return days | {date(2026, 10, 14) + timedelta(days=n): Decimal(3600) for n in range(5)}


def test_what_was_done_once_is_over() -> None:
    mover = gpu("2100", "19820")

    assert reason_of(mover, [], five_days_in_october(), PERIODS) == (
        "a one-off of 14 to 18 Oct is over"
    )
    assert peak_of(five_days_in_october(), NOVEMBER, mover.amount) is None


def test_a_peak_that_does_not_make_the_change_is_no_reason() -> None:
    assert peak_of(five_days_in_october(), OCTOBER, Decimal(100_000)) is None


def test_a_steady_service_costs_more_a_day() -> None:
    days = {day: Decimal(10) for day in OCTOBER.days()}

    assert reason_of(gpu("600", "310"), [], days, PERIODS) == "more a day, 10.00 \u2192 20.00"


def test_a_longer_month_is_no_rise() -> None:
    assert reason_of(gpu("300", "310"), [], {}, PERIODS) == "fewer days, 10.00 a day as before"


@pytest.mark.parametrize(
    ("now", "before", "days", "expected"),
    [
        ("5", "0", {}, "new"),
        ("0", "5", {}, "gone"),
        ("5", "0", {date(2026, 11, 20) + timedelta(days=n): Decimal(1) for n in range(11)}, "new"),
    ],
)
def test_new_and_gone(now: str, before: str, days: dict[date, Decimal], expected: str) -> None:
    assert reason_of(gpu(now, before), [], days, PERIODS).startswith(expected)


@pytest.mark.parametrize(
    ("now", "before", "use", "expected"),
    [
        ("20", "10", (200, 2000, 100, 1000), "more calls, 100 \u2192 200"),
        ("20", "10", (100, 2000, 100, 1000), "longer calls, 10 \u2192 20 tokens each"),
        (
            "5",
            "10",
            (100, 1000, 100, 1000),
            "a lower rate, 10,000.00 \u2192 5,000.00 per million tokens",
        ),
        # More calls at a much lower rate: the rate is why it fell.
        (
            "5",
            "10",
            (200, 2000, 100, 1000),
            "a lower rate, 10,000.00 \u2192 2,500.00 per million tokens",
        ),
    ],
)
def test_quantity_times_rate(
    now: str, before: str, use: tuple[int, int, int, int], expected: str
) -> None:
    (mover,) = movers([item(now, before)])
    of_calls = dict(zip(("calls", "tokens", "calls_before", "tokens_before"), use, strict=True))

    assert reason_of(mover, [calls(**of_calls)], {}, PERIODS) == expected
