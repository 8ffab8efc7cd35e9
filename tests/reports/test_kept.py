from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from allocation.values.periods import Period
from reports.queries.spend_cells import spend_cells
from reports.queries.spend_filter import Spend
from reports.scope import TeamScope
from tests.factories import Costs

pytestmark = pytest.mark.django_db
OCTOBER = Period.month(date(2026, 10, 1))


def spend_of(costs: Costs, *hashes: str, scope: TeamScope | None = None) -> Spend:
    return Spend(
        (costs.run.pk,), scope or TeamScope.everything(), "effective_cost", run_hashes=hashes
    )


def test_a_published_run_is_read_once(django_assert_num_queries: Any) -> None:
    costs = Costs(date(2026, 10, 1))
    costs.add(1, "5", team="search")
    spend = spend_of(costs, "a" * 64)
    first = spend_cells(spend=spend, period=OCTOBER, compare=None)

    with django_assert_num_queries(0):
        assert spend_cells(spend=spend, period=OCTOBER, compare=None) == first
    assert first[0].now == Decimal(5)


def test_another_content_scope_or_metric_is_another_question() -> None:
    costs = Costs(date(2026, 10, 1))
    costs.add(1, "5", billed="6", team="search")
    spend = spend_of(costs, "b" * 64)
    spend_cells(spend=spend, period=OCTOBER, compare=None)
    costs.add(2, "7", team="search")

    other = spend_cells(spend=spend_of(costs, "c" * 64), period=OCTOBER, compare=None)
    nobody = spend_cells(
        spend=replace(spend, scope=TeamScope(frozenset())), period=OCTOBER, compare=None
    )
    billed = spend_cells(spend=replace(spend, metric="billed_cost"), period=OCTOBER, compare=None)

    assert other[0].now == Decimal(12)
    assert nobody == []
    assert billed[0].now == Decimal(13)


def test_runs_without_a_hash_are_read_every_time() -> None:
    costs = Costs(date(2026, 10, 1))
    costs.add(1, "5", team="search")
    spend = spend_of(costs)
    spend_cells(spend=spend, period=OCTOBER, compare=None)
    costs.add(2, "7", team="search")

    assert spend_cells(spend=spend, period=OCTOBER, compare=None)[0].now == Decimal(12)


def test_the_scope_cannot_be_forgotten() -> None:
    with pytest.raises(TypeError):
        spend_cells(period=OCTOBER, compare=None)
    with pytest.raises(TypeError):
        Spend(runs=(), metric="effective_cost")  # type: ignore[call-arg]
