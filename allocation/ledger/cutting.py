"""Cutting a charge group by its plan: who gets which amount, in canonical order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import lt
from typing import NamedTuple, TypeVar

from allocation.charges.groups import Amount, ChargeGroup
from allocation.plans.plan import Part, Plan
from allocation.values.money import texts_of
from allocation.values.split import split_quanta

# What a rule's own charge kind does not rename.
KINDS_OF_THEIR_OWN = ("unallocated", "untraced", "idle")


T = TypeVar("T")
Arrange = Callable[[list[int]], list[int]]


class Layout(NamedTuple):
    """The rows that a plan cuts any amount into, in canonical order: columns of one length.

    The entries of the plan's parts make a row each, in their order, unless `arrange` makes others
    of their amounts.
    """

    parts: tuple[Part, ...]
    weights: list[list[int]]  # of each part
    targets: list[int]
    kinds: list[str]
    quantities: list[str]  # of the driver, as text; "" where there is none
    rungs: list[int]
    arrange: Arrange | None = None


def layout_of(
    plan: Plan, kind: str | None, *, is_allocated: Sequence[bool], rank: Sequence[int]
) -> Layout:
    """`kind` is the rule's own charge kind for what is allocated under it."""
    targets: list[int] = []
    kinds: list[str] = []
    quantities: list[str] = []
    rungs: list[int] = []
    weights = [[weight for _, weight, _ in part.entries] for part in plan.parts]
    for part, own in zip(plan.parts, weights, strict=True):
        part_kind = kind if kind and part.kind not in KINDS_OF_THEIR_OWN else part.kind
        for target, _, rung in part.entries:
            allocated = is_allocated[target]
            targets.append(target)
            kinds.append(part_kind if allocated else "unallocated")
            rungs.append(rung if allocated else 6)
        quantities += texts_of(own, plan.places) if plan.driver else [""] * len(own)
    layout = Layout(plan.parts, weights, targets, kinds, quantities, rungs)
    return layout if len(plan.parts) == 1 else _ordered(layout, rank)


def _ordered(layout: Layout, rank: Sequence[int]) -> Layout:
    """Canonical order, with entries of the same target and kind in one row: unallocated cost can
    come from two parts.
    """
    half = len(layout.targets) // 2
    first, second = layout.kinds[:half], layout.kinds[half:]
    if layout.targets[:half] == layout.targets[half:] and all(map(lt, first, second)):
        return layout._replace(
            targets=interleaved(layout.targets),
            kinds=interleaved(layout.kinds),
            quantities=interleaved(layout.quantities),
            rungs=interleaved(layout.rungs),
            arrange=interleaved,
        )
    found: dict[tuple[int, str], list[int]] = {}
    for number, name in enumerate(zip(layout.targets, layout.kinds, strict=True)):
        found.setdefault(name, []).append(number)
    rows = [found[name] for name in sorted(found, key=lambda name: (rank[name[0]], name[1]))]
    firsts = [row[0] for row in rows]
    return layout._replace(
        targets=[layout.targets[n] for n in firsts],
        kinds=[layout.kinds[n] for n in firsts],
        quantities=[layout.quantities[n] for n in firsts],
        rungs=[layout.rungs[n] for n in firsts],
        arrange=partial(added, rows),
    )


def interleaved(column: list[T]) -> list[T]:
    """The first half's values between those of the second: both parts of each target together."""
    half = len(column) // 2
    found = column.copy()
    found[0::2], found[1::2] = column[:half], column[half:]
    return found


def added(rows: list[list[int]], amounts: list[int]) -> list[int]:
    """The amounts of each row's entries."""
    return [sum([amounts[n] for n in row]) if len(row) > 1 else amounts[row[0]] for row in rows]


class Cut(NamedTuple):
    """Amounts of a group by row, in quanta; each column adds up to the group's amount exactly."""

    billed: list[int]
    effective: list[int]
    listed: list[int] | None


def cut_group(group: ChargeGroup, layout: Layout) -> Cut:
    billed = cut_amount(group.billed_cost, layout)
    same = group.effective_cost == group.billed_cost
    effective = billed if same else cut_amount(group.effective_cost, layout)
    listed = cut_amount(group.list_cost, layout) if group.list_cost else None
    return Cut(billed, effective, listed)


def cut_amount(amount: Amount, layout: Layout) -> list[int]:
    """First into the parts, then each part among those who share it."""
    quanta = amount.quanta
    if len(layout.parts) == 1:
        (weights,) = layout.weights
        return [quanta] if len(weights) == 1 else split_quanta(quanta, weights)
    shares: list[int] = []
    of_parts = split_quanta(quanta, [part.weight for part in layout.parts])
    for part, weights in zip(of_parts, layout.weights, strict=True):
        shares += split_quanta(part, weights)
    return layout.arrange(shares) if layout.arrange else shares
