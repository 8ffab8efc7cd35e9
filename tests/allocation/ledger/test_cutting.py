"""Cutting a charge group by its plan: whatever the plan, every quantum of it is somebody's."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.charges.groups import Amount, ChargeGroup
from allocation.ledger.cutting import Layout, cut_group, layout_of
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


def laid_out(plan: Plan, *, kind: str | None = None, known: list[bool] | None = None) -> Layout:
    """Of targets below ten, in the canonical order of their numbers."""
    return layout_of(plan, kind, is_allocated=known or [True] * 10, rank=range(10))


def group_of(billed: Amount, effective: Amount, listed: Amount | None = None) -> ChargeGroup:
    return ChargeGroup(1, DAY, 1, billed, effective, listed, None, None)


@given(
    parts, amounts, amounts, st.none() | amounts, st.lists(st.booleans(), min_size=10, max_size=10)
)
def test_fault_074_no_plan_loses_or_makes_money(
    pieces: tuple[Part, ...],
    billed: Amount,
    effective: Amount,
    listed: Amount | None,
    known: list[bool],
) -> None:
    plan = Plan(parts=pieces, driver="tokens", driver_total=1)

    layout = laid_out(plan, known=known)
    cut = cut_group(group_of(billed, effective, listed), layout)

    assert sum(cut.billed) == billed.quanta
    assert sum(cut.effective) == effective.quanta
    if listed is None:
        assert cut.listed is None
    else:
        assert cut.listed is not None
        assert sum(cut.listed) == listed.quanta
    rows = list(zip(layout.targets, layout.kinds, strict=True))
    assert len(rows) == len(set(rows)) == len(cut.billed) == len(cut.effective)
    assert rows == sorted(rows)
    for (target, kind), rung in zip(rows, layout.rungs, strict=True):
        if not known[target]:
            assert (kind, rung) == ("unallocated", 6)


@given(parts, amounts)
def test_a_refund_of_a_whole_group_mirrors_it(pieces: tuple[Part, ...], amount: Amount) -> None:
    layout = laid_out(Plan(parts=pieces))

    cut = cut_group(group_of(amount, amount), layout)
    back = Amount(-amount.quanta, amount.places)

    assert cut_group(group_of(back, back), layout).billed == [-share for share in cut.billed]


def test_a_group_is_cut_into_its_parts_first() -> None:
    """Seven quanta by two to one are five and two; these are cut by three and by two."""
    plan = Plan(
        parts=(
            Part(2, "shared", ((1, 1, 1), (2, 1, 2), (3, 1, 1))),
            Part(1, "untraced", ((1, 1, 4), (4, 1, 4))),
        )
    )

    layout = laid_out(plan)
    cut = cut_group(group_of(Amount(7, 12), Amount(-7, 12), Amount(3, 12)), layout)

    rows = list(zip(layout.targets, layout.kinds, layout.rungs, strict=True))
    assert rows == [
        (1, "shared", 1),
        (1, "untraced", 4),
        (2, "shared", 2),
        (3, "shared", 1),
        (4, "untraced", 4),
    ]
    assert cut.billed == [2, 1, 2, 1, 1]
    assert cut.effective == [-2, -1, -2, -1, -1]
    assert cut.listed == [1, 1, 1, 0, 0]


def test_unallocated_cost_of_two_parts_is_one_row() -> None:
    """With what the first of them tells of its driver."""
    plan = Plan(
        parts=(
            Part(3, "shared", ((1, 1, 1), (2, 2, 1))),
            Part(1, "unallocated", ((1, 5, 6),)),
        ),
        driver="tokens",
        places=1,
    )

    layout = laid_out(plan, known=[True, False, True])

    assert (layout.targets, layout.kinds) == ([1, 2], ["unallocated", "shared"])
    assert (layout.quantities, layout.rungs) == (["0.1", "0.2"], [6, 1])
    assert cut_group(group_of(Amount(400, 12), Amount(400, 12)), layout).billed == [200, 200]


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("shared", "adjustment"),
        ("direct", "adjustment"),
        ("untraced", "untraced"),
        ("idle", "idle"),
        ("unallocated", "unallocated"),
    ],
)
def test_a_rules_own_kind_renames_what_has_none_of_its_own(kind: str, written: str) -> None:
    plan = Plan(parts=(Part(1, kind, ((1, 1, 1),)),))

    assert laid_out(plan, kind="adjustment").kinds == [written]
    assert laid_out(plan).kinds == [kind]


def test_without_a_driver_rows_have_no_quantity() -> None:
    entry = (Part(1, "direct", ((1, 25, 1),)),)

    assert laid_out(Plan(parts=entry, places=1)).quantities == [""]
    assert laid_out(Plan(parts=entry, driver="seats", places=1)).quantities == ["2.5"]
