"""The statements of cost questions, reviewed as files; none holds a value, each keeps the scope."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from allocation.values.periods import Period
from reports.asking import TeamScope
from reports.cost_question.answers import ZERO, CostRow, costs
from reports.cost_question.question import (
    DIMENSIONS,
    MEASURES,
    Alike,
    CostQuestion,
    SourceDays,
    UnknownDimension,
)
from reports.cost_question.runs import MonthRun
from reports.cost_question.statement import parameters, rollup, statement
from reports.exports.detail import line_sums, total_sums
from reports.queries.explain.amount import days_statement, lines_statement
from tests.factories import Costs
from tests.ledger_rows import asked_about
from tests.snapshots import compare

SNAPSHOTS = Path(__file__).parents[1] / "snapshots" / "cost_question"
OCTOBER = Period.month(date(2026, 10, 1))
RUN = MonthRun(7, OCTOBER.start, "USD", OCTOBER.last_day, Decimal(1), None)
TARGETS = ("team", "feature", "model", "provider", "charge_kind", "phase")

EVERYTHING = CostQuestion((RUN,), TeamScope.everything(), ai_only=False)
MONTH = replace(EVERYTHING, period=OCTOBER, ai_only=True)
COMPARED = replace(MONTH, compare=OCTOBER.before())
ALIKE = replace(COMPARED, alike=Alike((SourceDays(3, date(2026, 10, 21), date(2026, 9, 21)),)))
FILTERED = MONTH.where(
    team="search", environment="production", rule="calls", source="aws", evidence=1, reason="x"
)


@dataclass(frozen=True)
class Snapshot:
    """`grain` is what one row of the statement is."""

    grain: str
    sql: str
    question: CostQuestion

    @property
    def text(self) -> str:
        return f"-- {self.grain}\n{self.sql.strip()}\n"


def of(grain: str, question: CostQuestion, *, is_page: bool = False) -> Snapshot:
    return Snapshot(grain, statement(question, is_page=is_page), question)


REPRESENTATIVE = {
    "whole_month": of("One row: all AI cost of the period.", MONTH),
    "compared_targets": of("One row per target and kind, two periods.", COMPARED.by(*TARGETS)),
    "alike_teams": of(
        "One row per team, two periods, only what is like for like.", ALIKE.by("team")
    ),
    "one_environment": of(
        "One row per team and day, in one environment.",
        MONTH.where(environment="production").by("team", "day"),
    ),
    "evidence": of("One row per rung, kind and reason.", MONTH.by("evidence", "charge_kind")),
    "attributed": of("One row per part of attribution.", MONTH.by("attribution")),
    "whole_bills": of(
        "One row per source, currency, kind and AI scope, of every day of the runs.",
        EVERYTHING.by("source", "currency", "charge_kind", "ai_scope"),
    ),
    "cost_centers": of("One row per cost centre.", EVERYTHING.by("cost_center")),
    "filtered_rules": of("One row per rule, of one target and source.", FILTERED.by("rule")),
    "api_page": of(
        "One page of rows per feature, model and currency.",
        EVERYTHING.by("feature", "model", "currency"),
        is_page=True,
    ),
    "chargeback_lines": Snapshot(
        "One line of the file per key.", line_sums(EVERYTHING), EVERYTHING
    ),
    "chargeback_totals": Snapshot(
        "One control total per currency.", total_sums(EVERYTHING), EVERYTHING
    ),
    "explain_lines": Snapshot(
        "One row per bill line behind an amount.", lines_statement(FILTERED), FILTERED
    ),
    "explain_days": Snapshot(
        "One row per day, kind and rung of a bill line.", days_statement(FILTERED), FILTERED
    ),
}


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_the_statement_is_the_reviewed_one(name: str, update_snapshots: bool) -> None:
    compare(SNAPSHOTS / f"{name}.sql", REPRESENTATIVE[name].text, update=update_snapshots)


def test_no_reviewed_statement_is_left_over() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.sql")} == set(REPRESENTATIVE)


def test_a_statement_that_changed_fails_with_its_difference(tmp_path: Path) -> None:
    kept = tmp_path / "kept.sql"
    compare(kept, "SELECT 1\n", update=True)

    compare(kept, "SELECT 1\n", update=False)
    with pytest.raises(AssertionError, match=r"(?s)review.*-SELECT 1.*\+SELECT 2"):
        compare(kept, "SELECT 2\n", update=False)
    with pytest.raises(AssertionError, match="missing"):
        compare(tmp_path / "new.sql", "SELECT 1\n", update=False)


# ---------------------------------------------------------------- values and identifiers

HOSTILE = "x'; DROP TABLE charge; --%(runs)s"


def test_no_value_of_a_question_stands_in_its_statement() -> None:
    hostile = replace(COMPARED, scope=TeamScope(frozenset({HOSTILE}))).where(
        **{name: HOSTILE for name in DIMENSIONS if name not in ("day", "evidence")}
    )

    for build in (statement, lines_statement, days_statement):
        if build is not statement:
            hostile = replace(hostile, filters=tuple(f for f in hostile.filters if f[0] in LEDGER))
        assert "DROP" not in build(hostile)
        assert build(hostile) == build(harmless(hostile))


LEDGER = ("team", "feature", "model", "rule", "source", "charge_kind", "reason")


def harmless(question: CostQuestion) -> CostQuestion:
    """The same question about other values."""
    return replace(
        question,
        scope=TeamScope(frozenset({"search"})),
        metric="billed_cost",
        filters=tuple((name, "a") for name, _ in question.filters),
    )


def test_what_is_no_dimension_or_metric_can_not_be_asked() -> None:
    for wrong in ("daily.team", "team; --", "", "list_cost"):
        with pytest.raises(UnknownDimension):
            EVERYTHING.by(wrong)
        with pytest.raises(UnknownDimension):
            EVERYTHING.where(**{wrong: "x"})
        with pytest.raises(ValueError, match=r".*"):
            replace(EVERYTHING, metric=wrong)
    with pytest.raises(ValueError, match="compared"):
        replace(EVERYTHING, compare=OCTOBER)


# ---------------------------------------------------------------- against the database


@pytest.mark.django_db
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_every_dimension_and_measure_can_be_asked(dimension: str) -> None:
    for question in (EVERYTHING, MONTH, COMPARED):
        for asked in (question.by(dimension), question.where(**{dimension: None}).by(dimension)):
            with connection.cursor() as cursor:
                cursor.execute(rollup(asked, measures=list(MEASURES)), parameters(asked))
                assert cursor.fetchall() == []


@pytest.fixture
def month() -> Costs:
    made = Costs(OCTOBER.start)
    made.add(1, "5", billed="50", team="search", feature="chat", evidence=1)
    made.add(2, "7", billed="70", team="ads", feature="chat", evidence=4)
    made.add(3, "11", billed="110", reason="no rule", charge_kind="unallocated", evidence=6)
    made.add(4, "13", billed="130", team="search", ai_scope="other")
    return made


@pytest.mark.django_db
@pytest.mark.parametrize("dimension", [None, *DIMENSIONS])
def test_no_dimension_shows_what_is_outside_of_the_scope(
    month: Costs, dimension: str | None
) -> None:
    asked: dict[str, Any] = {"scope": TeamScope(frozenset({"search"})), "ai_only": False}
    question = asked_about(month.run, **asked)

    rows = costs(question.by(dimension) if dimension else question)

    assert sum(row.now for row in rows) == 18
    assert {"ads", None} & {row.key[0] for row in rows if dimension == "team"} == set()


@pytest.mark.django_db
def test_what_a_question_adds_up(month: Costs) -> None:
    question = asked_about(month.run)

    def total(asked: CostQuestion) -> Decimal:
        return sum((row.now for row in costs(asked)), Decimal(0))

    assert total(question) == 23
    assert total(replace(question, ai_only=False)) == 36
    assert total(replace(question, metric="billed_cost")) == 230
    assert total(replace(question, scope=TeamScope(frozenset()))) == 0
    assert total(replace(question, period=Period(date(2026, 10, 2), date(2026, 10, 3)))) == 7
    assert total(question.where(team="ads")) == 7
    assert total(question.where(team="ads").where(team="search")) == 5
    assert total(question.where(feature="chat", evidence=1)) == 5
    assert total(question.where(team=None)) == 23


@pytest.mark.django_db
def test_two_periods_stand_side_by_side(month: Costs) -> None:
    first, second = (Period(date(2026, 10, n), date(2026, 10, n + 1)) for n in (1, 2))
    question = asked_about(month.run, period=second, compare=first)

    rows = costs(question.by("team"))

    assert rows == [CostRow(("ads",), Decimal(7), ZERO), CostRow(("search",), ZERO, Decimal(5))]
