"""What was given so far, and the shares of what follows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from allocation.charges.split_keys import Level, SourceSettings, SplitKey
from allocation.organisation.targets import Target
from allocation.plans.allocation_base import (
    AllocationBase,
    BaseCost,
    by_target,
    in_order,
    one_sided,
)
from allocation.plans.plan import Plan
from allocation.rules.rules import COMMITMENT

A, B, C = Target(team="a"), Target(team="b"), Target(team="c")
FEE = SplitKey(
    SourceSettings(1, "cloud", "strict", "auto"),
    "USD",
    "fees",
    "direct",
    "ai",
    "AWS",
    "EC2",
    "Usage",
    "111",
    None,
)
TAX = replace(FEE, rule="tax", method="follow", charge_category="Tax")


class Book:
    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.teamless: set[int] = set()

    def number(self, target: Target) -> int:
        if target not in self.targets:
            self.targets.append(target)
        return self.targets.index(target)


def followed(
    base: AllocationBase, **columns: Any
) -> tuple[Plan, list[tuple[str, list[tuple[Target, int, int]]]]]:
    """The plan of a tax, and its parts with targets in place of their numbers."""
    book = Book()
    plan = base.plan(replace(TAX, **columns), book)
    return plan, [
        (part.kind, [(book.targets[n], weight, rung) for n, weight, rung in part.entries])
        for part in plan.parts
    ]


def test_tax_follows_the_narrowest_charges_that_it_relates_to() -> None:
    """Those of its service in its account, of its account, of its provider, of its source."""
    base = AllocationBase(
        {
            FEE: [(A, BaseCost(1, rung=1))],
            replace(FEE, service_name="S3"): [(B, BaseCost(2, rung=3))],
            replace(FEE, sub_account="222"): [(C, BaseCost(4, rung=2))],
        },
        12,
    )

    found = [
        followed(base, **columns)
        for columns in (
            {},
            {"service_name": "RDS"},
            {"sub_account": "333"},
            {"provider_name": None, "sub_account": None},
        )
    ]

    assert [plan.widened for plan, _ in found] == [None, "sub-account", "provider", "source"]
    assert [parts[0][1] for _, parts in found] == [
        [(A, 1, 1)],
        [(A, 1, 1), (B, 2, 3)],
        [(A, 1, 1), (B, 2, 3), (C, 4, 2)],
        [(A, 1, 1), (B, 2, 3), (C, 4, 2)],
    ]
    plan = found[1][0]
    assert (plan.driver, plan.driver_total, plan.places) == (
        "effective cost of related charges",
        3,
        12,
    )
    assert followed(base, kind="tax")[1][0][0] == "tax"


def test_nothing_is_charged_on_a_tax() -> None:
    base = AllocationBase({TAX: [(A, BaseCost(1))]})

    plan, parts = followed(base)

    assert parts == [("unallocated", [(Target(reason="nothing to follow"), 1, 6)])]
    assert (plan.note, plan.driver) == ("nothing to follow", None)


@pytest.mark.parametrize(
    ("cost", "by_list_cost", "driver"),
    [
        (BaseCost(2, 3, 5), False, "effective"),
        (BaseCost(0, 3, 5), False, "billed"),
        (BaseCost(0, 0, 5), False, None),
        (BaseCost(2, 3, 5), True, "list"),
        (BaseCost(2, 3, 0), True, "effective"),
        (BaseCost(0, 3, 0), True, "billed"),
    ],
)
def test_shares_go_by_effective_cost_and_else_by_billed_cost(
    cost: BaseCost, by_list_cost: bool, driver: str | None
) -> None:
    plan, _ = followed(AllocationBase({FEE: [(A, cost)]}), by_list_cost=by_list_cost)

    assert plan.driver == (driver and f"{driver} cost of related charges")


def test_only_what_the_named_rules_took_is_followed() -> None:
    base = AllocationBase(
        {FEE: [(A, BaseCost(1))], replace(FEE, rule="others"): [(B, BaseCost(1))]}
    )

    assert followed(base, of_rules=("others",))[1] == [("shared", [(B, 1, 0)])]
    assert followed(base, of_rules=("fees", "others"))[1] == [("shared", [(A, 1, 0), (B, 1, 0)])]
    assert followed(base, of_rules=("none",))[0].note == "nothing to follow"
    assert followed(base)[1] == [("shared", [(A, 1, 0), (B, 1, 0)])]


def test_a_commitments_purchase_follows_those_who_used_it_and_nobody_else() -> None:
    base = AllocationBase(
        {replace(FEE, commitment="plan-1"): [(A, BaseCost(1))], FEE: [(B, BaseCost(1))]}
    )

    used, unused = (
        followed(base, follows=COMMITMENT, commitment=name) for name in ("plan-1", "plan-2")
    )

    assert used[1] == [("shared", [(A, 1, 0)])]
    assert unused[0].note == "nothing to follow"


def test_bases_meet_at_the_finer_scale() -> None:
    coarse = AllocationBase({FEE: [(A, BaseCost(1, 2, 3, 4))]}, 12)
    fine = AllocationBase({TAX: [(B, BaseCost(5, 6, 7, 1))]}, 14)

    both = coarse.joined(fine)

    assert (both.places, both.costs) == (
        14,
        {FEE: [(A, BaseCost(100, 200, 300, 4))], TAX: [(B, BaseCost(5, 6, 7, 1))]},
    )
    assert fine.joined(coarse).costs == both.costs
    assert AllocationBase().joined(coarse) == coarse


def test_sums_are_of_the_wanted_by_what_their_targets_are_named() -> None:
    other = replace(FEE, rule="others")
    base = AllocationBase({FEE: [(A, BaseCost(1)), (B, BaseCost(2))], other: [(A, BaseCost(4))]})

    everything = base.summed(lambda key: True, lambda target: A)
    of_a = base.summed(
        lambda key: key.rule == "fees", lambda target: target if target == A else None
    )

    assert everything == {A: BaseCost(7)}
    assert of_a == {A: BaseCost(1)}


def test_a_target_that_comes_several_times_has_the_weakest_rung_of_all() -> None:
    costs = [(A, BaseCost(1, 2, 3, 1)), (B, BaseCost(5)), (A, BaseCost(10, 20, 30, 4))]

    assert by_target(costs) == {A: BaseCost(11, 22, 33, 4), B: BaseCost(5)}
    assert costs[0][1] == BaseCost(1, 2, 3, 1)  # as it was
    base = AllocationBase({FEE: [(A, BaseCost(1, rung=2)), (A, BaseCost(2, rung=1))]})
    level = Level("source", (1,))
    assert base.at(level) == {A: BaseCost(3, rung=2)}
    assert base.at(level) is base.at(level)


@pytest.mark.parametrize(
    ("costs", "weights"),
    [
        ({A: 3, B: 2}, {A: 3, B: 2}),
        ({A: 3, B: -2}, {A: 3}),
        ({A: -3, B: 2}, {A: 3}),
        ({A: -3, B: -2, C: 0}, {A: 3, B: 2}),
        ({A: 3, B: -3}, {}),
        ({}, {}),
    ],
)
def test_costs_on_the_side_of_their_sum_are_weights(
    costs: dict[Target, int], weights: dict[Target, int]
) -> None:
    assert one_sided(costs) == weights


def test_targets_without_a_team_come_first() -> None:
    assert in_order([B, Target(reason="x"), A]) == [Target(reason="x"), A, B]
