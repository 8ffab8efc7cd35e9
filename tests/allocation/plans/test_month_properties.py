"""What holds of every month, whatever its rules, tree, charges and drivers: made-up months, without
a database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.charges.groups import Amount
from allocation.charges.split_keys import billed_keys
from allocation.values.money import EXACT, exact_sum
from tests.allocation.examples import times
from tests.allocation.months import (
    Ledger,
    Line,
    MadeCharge,
    Month,
    allocate,
    changed,
    made_up,
)

MANY = times(5)  # 2,000 in `make test`, 100,000 in `make properties`
MONTHS = st.builds(made_up, st.integers(0, 2**40), st.integers(1, 8))


def total(amounts: list[Decimal]) -> Decimal:
    return exact_sum(amounts)


def amount(found: Amount) -> Decimal:
    return Decimal(found.quanta).scaleb(-found.places, EXACT)


@pytest.mark.parametrize("part", [1, 2])  # for two workers
@given(
    month=MONTHS,
    another=st.sampled_from(["shuffled", "negated", "alone"]),
    seed=st.integers(0, 2**32),
)
@MANY
def test_fault_074_no_month_loses_or_makes_money(
    part: int, month: Month, another: str, seed: int
) -> None:
    ledgers = allocate(month)

    for currency, ledger in ledgers.items():
        charges = [charge for charge in month.charges if month.currency_of(charge) == currency]
        every_source_adds_up(month, charges, ledger)
        every_group_adds_up(ledger)
        every_view_is_a_part_of_the_whole(ledger)
    if another == "shuffled":
        in_any_order_it_has_the_same_bytes(month.shuffled(seed), ledgers)
    elif another == "negated":
        with_every_sign_turned_it_mirrors(month.negated(), ledgers)
    else:
        one_currency_alone_is_as_among_others(month, ledgers)


def every_source_adds_up(month: Month, charges: list[MadeCharge], ledger: Ledger) -> None:
    """Allocated and unallocated are the charges, by source and metric."""
    for source in month.sources:
        own = [
            charge for charge in charges if month.dimensions[charge.dimension].source_id == source
        ]
        lines = [line for line in ledger.lines if line.split_key.source.id == source]
        assert total([line.billed for line in lines]) == total([charge.billed for charge in own])
        assert total([line.effective for line in lines]) == total(
            [charge.effective for charge in own]
        )


def every_group_adds_up(ledger: Ledger) -> None:
    lines: dict[tuple[object, object], list[Line]] = defaultdict(list)
    for line in ledger.lines:
        lines[line.split_key, line.day].append(line)
        assert line.target.is_allocated == (line.kind != "unallocated")
        assert (line.target.team is None) == (line.target.reason is not None)
    for group, split_key, plan in ledger.groups:
        own = lines[split_key, group.day]
        assert total([line.billed for line in own]) == amount(group.billed_cost)
        assert total([line.effective for line in own]) == amount(group.effective_cost)
        if group.list_cost is not None:
            assert total([line.listed or Decimal(0) for line in own]) == amount(group.list_cost)
        assert len({(line.target, line.kind) for line in own}) == len(own)
        assert sum(part.weight for part in plan.parts) > 0
        assert all(part.weight >= 0 and part.entries for part in plan.parts)
        assert all(weight > 0 for part in plan.parts for _, weight, _ in part.entries)


@given(month=MONTHS, seed=st.integers(0, 2**32))
@times(2)
def test_what_has_the_same_fingerprint_says_the_same(month: Month, seed: int) -> None:
    """So it may be taken over: whatever changed, these days of these stages would not change."""
    ledgers, others = allocate(month), allocate(changed(month, seed))

    for currency in ledgers.keys() & others.keys():
        before, after = ledgers[currency], others[currency]
        assert before.fingerprints.keys() == before.said.keys()
        for place in before.said.keys() & after.said.keys():
            if before.fingerprints[place] == after.fingerprints[place]:
                assert before.said[place] == after.said[place]


VIEWS: tuple[Callable[[Line], object], ...] = (
    lambda line: line.target.team,
    lambda line: line.target.reason,
    lambda line: (line.target.feature, line.target.model),
    lambda line: line.kind,
    lambda line: line.day,
    lambda line: line.rung,
    lambda line: line.split_key.rule,
)


def every_view_is_a_part_of_the_whole(ledger: Ledger) -> None:
    whole = total([line.effective for line in ledger.lines])
    for view in VIEWS:
        parts: dict[object, list[Decimal]] = defaultdict(list)
        for line in ledger.lines:
            parts[view(line)].append(line.effective)
        assert total([total(amounts) for amounts in parts.values()]) == whole


def in_any_order_it_has_the_same_bytes(shuffled: Month, ledgers: dict[str, Ledger]) -> None:
    again = allocate(shuffled)
    assert {currency: ledger.canonical for currency, ledger in again.items()} == {
        currency: ledger.canonical for currency, ledger in ledgers.items()
    }
    for currency, ledger in again.items():
        assert ledger.fingerprints == ledgers[currency].fingerprints


def with_every_sign_turned_it_mirrors(negated: Month, ledgers: dict[str, Ledger]) -> None:
    for currency, ledger in allocate(negated).items():
        turned = [
            line._replace(
                billed=line.billed.copy_negate(),
                effective=line.effective.copy_negate(),
                listed=None if line.listed is None else line.listed.copy_negate(),
            )
            for line in ledger.lines
        ]
        assert turned == ledgers[currency].lines


def one_currency_alone_is_as_among_others(month: Month, ledgers: dict[str, Ledger]) -> None:
    """No filter changes a number: the bills of one currency come out the same without those of the
    others.
    """
    for currency in month.currencies:
        alone = month.only(currency)
        if billed_keys(alone.split_keys.values()) == billed_keys(month.split_keys.values()):
            assert allocate(alone)[currency].canonical == ledgers[currency].canonical
