"""Cutting a charge group by its plan: whatever the plan, every quantum of it is somebody's."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from allocation.charges.groups import Amount, ChargeGroup
from allocation.ledger.writer import cut_group
from allocation.plans.plan import Part, Plan

DAY = date(2026, 10, 5)
entries = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 10**15), st.integers(1, 6)),
    min_size=1,
    max_size=8,
    unique_by=lambda e: e[0],
).map(lambda found: tuple(sorted(found)))
parts = st.lists(
    st.builds(
        Part,
        st.integers(1, 10**12),
        st.sampled_from(["shared", "untraced", "unallocated"]),
        entries,
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda part: part.kind,
).map(tuple)
amounts = st.builds(Amount, st.integers(-(10**22), 10**22), st.integers(12, 20))


@given(
    parts, amounts, amounts, st.none() | amounts, st.lists(st.booleans(), min_size=10, max_size=10)
)
def test_fault_074_no_plan_loses_or_makes_money(
    pieces: tuple[Part, ...],
    billed_cost: Amount,
    effective_cost: Amount,
    list_cost: Amount | None,
    known: list[bool],
) -> None:
    group = ChargeGroup(1, DAY, 1, billed_cost, effective_cost, list_cost, None, None)
    plan = Plan(parts=pieces, driver="tokens", driver_total=1)

    rows = cut_group(group, plan, kind=None, is_allocated=known, rank=list(range(10)))

    assert sum(row[2] for row in rows) == billed_cost.quanta
    assert sum(row[3] for row in rows) == effective_cost.quanta
    if list_cost is not None:
        assert sum(row[4] or 0 for row in rows) == list_cost.quanta
    assert len({row[:2] for row in rows}) == len(rows)
    assert all((row[1] == "unallocated") == (row[6] == 6) for row in rows if not known[row[0]])


@given(parts, amounts)
def test_a_refund_of_a_whole_group_mirrors_it(pieces: tuple[Part, ...], amount: Amount) -> None:
    def cut(quanta: int) -> list[tuple[int, str, int]]:
        group = ChargeGroup(1, DAY, 1, Amount(quanta, 12), Amount(quanta, 12), None, None, None)
        rows = cut_group(
            group, Plan(parts=pieces), kind=None, is_allocated=[True] * 10, rank=list(range(10))
        )
        return [(row[0], row[1], row[2]) for row in rows]

    assert [(t, k, -quanta) for t, k, quanta in cut(amount.quanta)] == cut(-amount.quanta)
