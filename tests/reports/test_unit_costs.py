"""What a thousand calls cost: the cost and the calls of the same models, each period for itself."""

from __future__ import annotations

from decimal import Decimal

from reports.analysis.spend import UnitCost, caller_costs, unit_costs
from reports.cost_question.answers import SpendCell, UsageCell


def cost(
    now: int, before: int = 0, *, model: str | None = "gpt-4o", feature: str = "chat"
) -> SpendCell:
    return SpendCell(
        "search", feature, model, "OpenAI", "shared", None, Decimal(now), Decimal(before)
    )


def calls(
    now: int, before: int = 0, *, model: str = "gpt-4o", phase: str | None = None
) -> UsageCell:
    return UsageCell(
        "search", "chat", model, Decimal(now), Decimal(0), Decimal(before), Decimal(0), phase=phase
    )


def of_all(cells: list[SpendCell], usage: list[UsageCell]) -> UnitCost:
    return unit_costs(caller_costs(cells, usage), lambda _: None)[None]


def test_calls_that_another_currency_pays_for_do_not_make_these_cheaper() -> None:
    unit = of_all([cost(10)], [calls(1000), calls(9000, model="gemini-2.5-pro")])

    assert (unit.now, unit.calls) == (Decimal(10), Decimal(10_000))


def test_each_period_has_its_own_models() -> None:
    cells = [cost(10, 8), cost(0, 4, model="o3"), cost(6, 0, model="gpt-5")]

    unit = of_all(
        cells, [calls(1000, 1000), calls(500, 500, model="o3"), calls(1000, 700, model="gpt-5")]
    )

    assert (unit.now, unit.before) == (Decimal(8), Decimal(8))


def test_what_has_no_calls_is_no_cost_of_calls() -> None:
    unit = of_all(
        [cost(10), cost(90, model="o3"), cost(500, model=None), cost(7, feature="ads")],
        [calls(1000)],
    )

    assert unit.now == 10


def test_cost_counts_once_however_many_phases_called() -> None:
    unit = of_all([cost(10)], [calls(600), calls(400, phase="run"), calls(5000, phase="build")])

    assert (unit.now, unit.calls) == (Decimal(10), Decimal(1000))


def test_without_calls_or_cost_there_is_no_unit_cost() -> None:
    assert of_all([], [calls(1000)]).now is None
    assert unit_costs(caller_costs([cost(10)], []), lambda _: None) == {}
