"""Where an amount comes from: rules, bill lines, and the numbers each day was split by.

Three steps down, each bounded: an amount is made of parts (rule and kind), a part of lines (charge
split keys), a line of days (charge groups). A reader of some teams sees their own shares, and of a
shared line only the totals that the arithmetic needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from allocation.values.names import OUTSIDE_SCOPE
from reports.asking import cached_by_run, fetch, within_scope
from reports.cost_question.answers import costs
from reports.cost_question.question import NOT_AI, CostQuestion, cost_of
from reports.cost_question.statement import parameters

LINES = 12  # shown at once

# Where the ledger has each dimension that can be filtered by: a share `a`, its target `t`, its
# split key `b` and its source.
LEDGER = {
    "team": "t.team",
    "feature": "t.feature",
    "product": "t.product",
    "model": "t.model",
    "environment": "t.environment",
    "reason": "t.reason",
    "provider": "b.provider_name",
    "service": "b.service_name",
    "rule": "b.rule",
    "source": "source.name",
    "charge_kind": "a.charge_kind",
    "evidence": "a.evidence",
}


class ExplainedPart(NamedTuple):
    """What one rule gave, of one kind and on one rung of evidence."""

    rule: str
    charge_kind: str
    evidence: int
    reason: str | None
    source: str
    amount: Decimal


def explain_parts(question: CostQuestion) -> list[ExplainedPart]:
    """What the amount is made of, largest first; the parts add up to it."""
    asked = replace(question, compare=None)
    rows = costs(asked.by("rule", "charge_kind", "evidence", "reason", "source"))
    parts = [ExplainedPart._make((*row.key, row.now)) for row in rows]
    return sorted(
        parts, key=lambda part: (-abs(part.amount), part.rule, part.charge_kind, part.evidence)
    )


@dataclass(frozen=True)
class ExplainedLine:
    """Charges of equal rule and split key, and the reader's share of it."""

    run: int
    split_key_id: int
    rule: str
    method: str
    source: str
    provider_name: str | None
    service_name: str | None
    charge_category: str
    split_key: str  # JSON
    amount: Decimal
    days: int


# One row per split key.
LINE_ROWS = """
WITH wanted AS MATERIALIZED (
    SELECT b.run_id, b.split_key_id, source.name AS source FROM charge_split_key b
    JOIN allocation_source source ON source.id = b.source_id
    WHERE {wanted}
), target AS MATERIALIZED (
    SELECT t.id FROM allocation_target t WHERE {target}
), share AS (
    SELECT a.run_id, a.split_key_id, wanted.source, sum({cost}) AS amount,
        count(DISTINCT a.day) AS days
    FROM wanted
    JOIN allocated_cost a ON a.run_id = wanted.run_id AND a.split_key_id = wanted.split_key_id
    WHERE {share} AND a.target_id IN (SELECT id FROM target)
    GROUP BY a.run_id, a.split_key_id, wanted.source
)
SELECT share.run_id, share.split_key_id, b.rule, b.method, share.source, b.provider_name,
    b.service_name, b.charge_category, b.split_key::text, share.amount, share.days
FROM share
JOIN charge_split_key b ON b.run_id = share.run_id AND b.split_key_id = share.split_key_id
ORDER BY abs(share.amount) DESC, share.run_id, share.split_key_id
OFFSET %(offset)s LIMIT %(limit)s
"""


@cached_by_run
def explain_lines(*, question: CostQuestion, offset: int = 0) -> list[ExplainedLine]:
    """The bill lines behind the amount, largest first; at most 13, one more than a page shows."""
    values = {**_parameters(question), "offset": offset, "limit": LINES + 1}
    return fetch(ExplainedLine, lines_statement(question), values)


def lines_statement(question: CostQuestion) -> str:
    return LINE_ROWS.format(
        wanted=_where(_of_split_key(question)),
        target=_where(_of_target(question)),
        share=_where(_of_share(question)),
        cost=cost_of("a"),
    )


@dataclass(frozen=True)
class ExplainedDay:
    """One charge group of a line and the reader's share of it, of one kind, rung and reason.

    `shares` are the rows of the ledger that make the amount. `group_amount`, `driver_total`,
    `quantity` and `coverage` are those of the whole group, whoever shares it.
    """

    day: date
    charge_kind: str
    evidence: int
    reason: str | None
    amount: Decimal
    driver_quantity: Decimal | None
    shares: int
    charges: int
    group_amount: Decimal
    quantity: Decimal | None
    driver: str | None
    driver_total: Decimal | None
    coverage: Decimal | None
    widened: str | None
    note: str | None


# One row per day, kind, rung and reason of one split key.
DAYS = """
SELECT a.day, a.charge_kind, a.evidence, t.reason, sum({cost}), sum(a.driver_quantity), count(*),
    g.charges, {group_cost}, g.quantity, g.driver, g.driver_total, g.coverage, g.widened, g.note
FROM allocated_cost a
JOIN charge_group g ON g.run_id = a.run_id AND g.split_key_id = a.split_key_id AND g.day = a.day
JOIN allocation_target t ON t.id = a.target_id
WHERE {share} AND a.run_id = %(run)s AND a.split_key_id = %(split_key_id)s AND {target}
GROUP BY a.day, a.charge_kind, a.evidence, t.reason, g.charges, g.billed_cost, g.effective_cost,
    g.quantity, g.driver, g.driver_total, g.coverage, g.widened, g.note
ORDER BY a.day, a.charge_kind COLLATE "C", a.evidence, t.reason COLLATE "C"
"""


@cached_by_run
def explain_days(*, question: CostQuestion, run: int, split_key_id: int) -> list[ExplainedDay]:
    """The days of one line, with what each was split by."""
    values = {**_parameters(question), "run": run, "split_key_id": split_key_id}
    return fetch(ExplainedDay, days_statement(question), values)


class GroupPart(NamedTuple):
    """What everybody together was given of one charge group, of one kind and for one reason."""

    day: date
    charge_kind: str
    reason: str | None
    amount: Decimal
    driver_quantity: Decimal | None
    shares: int


# One row per day, kind and reason of one split key, whoever's it is: sums that say nobody's share.
GROUP_PARTS = """
SELECT a.day, a.charge_kind, t.reason, sum({cost}), sum(a.driver_quantity), count(*)
FROM allocated_cost a
JOIN allocation_target t ON t.id = a.target_id
WHERE a.billing_month = ANY(%(months)s) AND a.run_id = %(run)s
    AND a.split_key_id = %(split_key_id)s
GROUP BY a.day, a.charge_kind, t.reason
"""


@cached_by_run
def group_parts(
    *, question: CostQuestion, run: int, split_key_id: int
) -> dict[date, list[GroupPart]]:
    """The parts that each day's charge group of one line was cut into."""
    values = {**_parameters(question), "run": run, "split_key_id": split_key_id}
    found: dict[date, list[GroupPart]] = {}
    with connection.cursor() as cursor:
        cursor.execute(GROUP_PARTS.format(cost=cost_of("a")), values)
        for row in cursor.fetchall():
            found.setdefault(row[0], []).append(GroupPart._make(row))
    return found


def days_statement(question: CostQuestion) -> str:
    return DAYS.format(
        share=_where(_of_share(question)),
        target=_where(_of_target(question)),
        cost=cost_of("a"),
        group_cost=cost_of("g"),
    )


def _parameters(question: CostQuestion) -> dict[str, Any]:
    months = sorted({run.month for run in question.runs})
    return {**parameters(question), "months": months, "outside": OUTSIDE_SCOPE}


def _where(conditions: Iterator[str]) -> str:
    return "\n        AND ".join(conditions)


def _of_split_key(question: CostQuestion) -> Iterator[str]:
    yield "b.run_id = ANY(%(runs)s)"
    if question.ai_only:
        yield f"b.ai_scope <> '{NOT_AI}'"
    yield from _filters(question, "b.", "source.")


def _of_target(question: CostQuestion) -> Iterator[str]:
    yield within_scope("t.team")
    if question.ai_only:
        yield "t.reason IS DISTINCT FROM %(outside)s"
    yield from _filters(question, "t.")


def _of_share(question: CostQuestion) -> Iterator[str]:
    yield "a.billing_month = ANY(%(months)s)"
    if question.period:
        yield "a.day >= %(start)s AND a.day < %(end)s"
    yield from _filters(question, "a.")


def _filters(question: CostQuestion, *tables: str) -> Iterator[str]:
    for name, _ in question.filters:
        if LEDGER[name].startswith(tables):
            yield f"{LEDGER[name]} = %(is_{name})s"
