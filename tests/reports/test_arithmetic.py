"""The steps of Explain: what a plan gave is written out to the last digit, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocation.values.split import split_quanta
from reports.analysis.arithmetic import NotTheAmount, note_words, result_of, steps
from reports.queries.explain.amount import ExplainedDay, GroupPart

DAY = date(2026, 10, 1)
PLACES = 12


def money(quanta: int) -> Decimal:
    return Decimal(quanta).scaleb(-PLACES)


def part(kind: str, amount: Decimal, quantity: int, *, reason: str | None = None) -> GroupPart:
    return GroupPart(DAY, kind, reason, amount, Decimal(quantity), 1)


def day(kind: str, amount: str, group: str = "120.000000000000", **changes: object) -> ExplainedDay:
    plain = ExplainedDay(
        day=DAY,
        charge_kind=kind,
        evidence=1,
        reason=None,
        amount=Decimal(amount),
        driver_quantity=Decimal(250),
        shares=1,
        charges=3,
        group_amount=Decimal(group),
        quantity=None,
        driver="input tokens",
        driver_total=Decimal(1000),
        coverage=None,
        widened=None,
        note=None,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def kinds(found: ExplainedDay, *parts: GroupPart, method: str = "traced_usage") -> list[str]:
    written = steps(method, found, parts)
    assert result_of(written) == found.amount
    return [step.kind for step in written]


SPREAD = "untraced spread"
NINETENTHS = (part("shared", Decimal(108), 1000), part("untraced", Decimal(12), 1000))
OWNED = (part("shared", Decimal(60), 1000), part("untraced", Decimal(60), 1))


@pytest.mark.parametrize(
    ("found", "parts", "expected"),
    [
        (day("shared", "27", note=SPREAD), NINETENTHS, ["money", "less", "ratio"]),
        (day("untraced", "3", note=SPREAD), NINETENTHS, ["money", "less", "ratio"]),
        (
            day("untraced", "3", note=f"{SPREAD}; coverage derived"),
            NINETENTHS,
            ["money", "less", "ratio"],
        ),
        (day("shared", "15", note="untraced to owner"), OWNED, ["money", "less", "ratio"]),
        (
            day("untraced", "60", note="untraced to owner", driver_quantity=Decimal(1)),
            OWNED,
            ["money", "less"],
        ),
        (day("untraced", "120", note="no traces", coverage=Decimal(0), driver=None), (), ["money"]),
        (
            day("unallocated", "10.78", "10.78", note="no traces", coverage=Decimal(0)),
            (),
            ["money"],
        ),
        # One caller has all of it, though traces cover less: neither factor was applied.
        (
            day(
                "shared",
                "56.64",
                "56.64",
                note="within sampling error",
                coverage=Decimal("0.6342"),
                driver_quantity=Decimal(1000),
            ),
            (),
            ["money"],
        ),
        (
            day("shared", "3.333333333333", "10.000000000000", driver_total=Decimal(750)),
            (),
            ["money", "ratio", "rounding"],
        ),
        (
            day("shared", "-3.333333333334", "-10.000000000000", driver_total=Decimal(750)),
            (),
            ["money", "ratio", "rounding"],
        ),
    ],
)
def test_only_what_was_applied_is_a_step(
    found: ExplainedDay, parts: tuple[GroupPart, ...], expected: list[str]
) -> None:
    assert kinds(found, *parts) == expected


def test_what_capacity_was_not_used_is_the_rest() -> None:
    idle = day("idle", "20", note="unused capacity", driver_quantity=Decimal("0.001"))

    assert kinds(idle, method="capacity") == ["money", "less"]
    assert steps("capacity", idle, ())[1].value == 100


@pytest.mark.parametrize("amount", ["29.999999999998", "30.000000000002", "31", "0"])
def test_an_amount_that_the_shares_do_not_give_is_not_written_out(amount: str) -> None:
    with pytest.raises(NotTheAmount):
        steps("traced_usage", day("shared", amount), (part("shared", Decimal(120), 1000),))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    quanta=st.integers(-(10**15), 10**15).filter(bool),
    weights=st.lists(st.integers(1, 10**9), min_size=2, max_size=8),
    untraced=st.integers(1, 100),
    own=st.integers(1, 8),
    nobodys=st.integers(0, 2),
)
def test_every_cut_of_a_spread_line_is_written_out(
    quanta: int, weights: list[int], untraced: int, own: int, nobodys: int
) -> None:
    """Some of the callers have no team: their rows hold what is traced and what is not."""
    traced, rest = split_quanta(quanta, [100, untraced])
    shared, spread = split_quanta(traced, weights), split_quanta(rest, weights)
    named = len(weights) - min(nobodys, len(weights) - 1)
    merged = [one + other for one, other in zip(shared[named:], spread[named:], strict=True)]
    parts = [
        part("shared", money(sum(shared[:named])), sum(weights[:named])),
        part("untraced", money(sum(spread[:named])), sum(weights[:named])),
    ]
    if merged:
        nobody = part("unallocated", money(sum(merged)), sum(weights[named:]), reason="no team")
        parts.append(nobody._replace(shares=len(merged)))
    mine = min(own, named)
    whole = day("shared", "0", str(money(quanta)), note=SPREAD, driver_total=Decimal(sum(weights)))
    for kind, amounts, first, last in (
        ("shared", shared, 0, mine),
        ("untraced", spread, 0, mine),
        ("unallocated", [*shared[:named], *merged], named, len(weights)),
    ):
        if first == last:
            continue
        found = replace(
            whole,
            charge_kind=kind,
            reason="no team" if kind == "unallocated" else None,
            group_amount=Decimal(f"{money(quanta):.12f}"),
            amount=money(sum(amounts[first:last])),
            driver_quantity=Decimal(sum(weights[first:last])),
            shares=last - first,
        )
        assert result_of(steps("traced_usage", found, parts)) == found.amount


@pytest.mark.parametrize(
    ("note", "coverage", "expected"),
    [
        ("no traces", "0", "no call of it was traced"),
        ("over-traced", "1.12", "112.00% of what is billed is traced"),
        ("within sampling error", "0.6342", "63.42% is traced; the rest is within"),
        ("within sampling error; coverage derived", "0.6342", "is derived from cost"),
        ("unknown coverage", None, "nobody knows how much"),
        ("through pool platform", None, "through pool platform"),
    ],
)
def test_special_cases_are_told_in_words(note: str, coverage: str | None, expected: str) -> None:
    found = day("shared", "30", note=note, coverage=Decimal(coverage) if coverage else None)

    assert expected in (note_words(found) or "")
