"""What was read of a published run is read once; nothing else is remembered."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from allocation.values.periods import Period
from reports.asking import TeamScope, cached_by_run
from reports.cost_question.answers import costs
from reports.cost_question.question import CostQuestion
from tests.factories import Costs
from tests.ledger_rows import asked_about, month_run

pytestmark = pytest.mark.django_db
OCTOBER = Period.month(date(2026, 10, 1))


def about(month: Costs, sha256: str | None = None) -> CostQuestion:
    return asked_about(month.run, runs=(month_run(month.run, sha256),), period=OCTOBER)


def total(question: CostQuestion) -> Decimal:
    (row,) = costs(question)
    return row.now


def test_a_published_run_is_read_once(django_assert_num_queries: Any) -> None:
    month = Costs(date(2026, 10, 1))
    month.add(1, "5", team="search")
    question = about(month, "a" * 64)
    assert total(question) == Decimal(5)

    with django_assert_num_queries(0):
        assert total(question) == Decimal(5)


def test_another_content_scope_metric_or_dimension_is_another_question() -> None:
    month = Costs(date(2026, 10, 1))
    month.add(1, "5", billed="6", team="search")
    question = about(month, "b" * 64)
    assert total(question) == Decimal(5)
    month.add(2, "7", team="search")

    assert total(about(month, "c" * 64)) == Decimal(12)
    assert total(replace(question, scope=TeamScope(frozenset()))) == 0
    assert total(replace(question, metric="billed_cost")) == Decimal(13)
    assert [row.key for row in costs(question.by("team"))] == [("search",)]


def test_runs_without_a_hash_are_read_every_time() -> None:
    month = Costs(date(2026, 10, 1))
    month.add(1, "5", team="search")
    assert total(about(month)) == Decimal(5)
    month.add(2, "7", team="search")

    assert total(about(month)) == Decimal(12)


def test_what_stands_outside_of_runs_is_never_cached() -> None:
    """Cost centres are edited at any time."""
    month = Costs(date(2026, 10, 1))

    assert about(month, "d" * 64).by("team").is_final
    assert not about(month, "d" * 64).by("cost_center").is_final


def test_the_scope_cannot_be_forgotten() -> None:
    with pytest.raises(TypeError):
        CostQuestion(runs=())  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        cached_by_run(lambda *, question: question)(period=OCTOBER)
