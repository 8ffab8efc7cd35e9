"""The lines of a month's chargeback and their totals, as every kind of detail file has them.

Both costs stand side by side, so there is one file: whoever charges by either finds the other
beside it. Names, mode, legal entity and business unit are those of the last day of the month.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from allocation.values.money import exact_sum
from allocation.values.periods import Period
from reports.asking import TeamScope
from reports.cost_question.question import CostQuestion
from reports.cost_question.runs import current_runs, runs_of_months
from reports.cost_question.statement import parameters, rollup
from reports.exports.format import NotAllocated
from reports.queries.reconcile.rejected import rejected_money

KEYS = (
    "period", "cost_center", "team", "product", "model", "feature", "environment", "phase",
    "provider_name", "service_name", "billing_currency", "charge_kind", "rule", "source",
)  # fmt: skip
MEASURES = ("billed_cost", "effective_cost", "list_cost", "evidence")
# What belongs to the keys of a line, and the part of its cost that is outside AI.
DETAILS = (
    "cost_center_name", "mode", "legal_entity", "business_unit", "team_name", "product_name",
    "feature_name", "method", "outside_ai_billed_cost", "outside_ai_effective_cost", "rule_set",
    "run", "line_id",
)  # fmt: skip
COLUMNS = KEYS + MEASURES + DETAILS
AMOUNTS = (
    "billed_cost", "effective_cost", "list_cost", "outside_ai_billed_cost",
    "outside_ai_effective_cost",
)  # fmt: skip
NUMBERS = frozenset({"rule_set"})
RUN_DIGITS = 12  # of the content hash, which is equal for equal ledgers, as a run's number is not
CONTROL_TOTAL = "CONTROL TOTAL"
REJECTED = "REJECTED"
EVIDENCE = {
    1: "traces",
    2: "gateway logs",
    3: "provider usage",
    4: "key or project owner",
    5: "inferred owner",
    6: "unallocated",
}

# One row per KEYS; `evidence` is the weakest rung among what a line sums up. A team's cost centre
# is that of the day. Days are summed under the key of what the file shows as one line; names are
# joined to the sums, which are fewer. A line's id is that of its keys, so it is the same in every
# file of the month.
LINES = """
SELECT {cells}
FROM (
    SELECT %(period)s AS period, center.code AS cost_center, s.name AS source,
        l.team, l.product, l.model, l.feature, l.environment, l.phase,
        l.provider_name, l.service_name, l.currency AS billing_currency, l.charge_kind, l.rule,
        summed.billed_cost, summed.effective_cost, summed.list_cost,
        {evidence} AS evidence, summed.outside_ai_billed_cost, summed.outside_ai_effective_cost,
        center.name AS cost_center_name, center.mode, center.legal_entity,
        unit.name AS business_unit, team.name AS team_name, product.name AS product_name,
        feature.name AS feature_name, method.method, run.rule_set, run.run,
        md5(concat_ws(' ', %(period)s, summed.chargeback_key, center.code)) AS line_id
    FROM (
{summed}
    ) summed
    JOIN cost_line l ON l.id = summed.any_line
    JOIN allocation_source s ON s.id = l.source_id
    JOIN (
        SELECT made.currency, left(made.sha256, {run_digits}) AS run, rules.number AS rule_set
        FROM allocation_allocationrun made
        JOIN allocation_ruleset rules ON rules.id = made.rule_set_id
        WHERE made.id = ANY(%(runs)s)
    ) run ON run.currency = l.currency
    LEFT JOIN (
        SELECT rule, min(method) AS method FROM charge_split_key
        WHERE run_id = ANY(%(runs)s) GROUP BY rule
    ) method ON method.rule = l.rule
    LEFT JOIN (
        SELECT first.id, first.code, first.name, coalesce(since.mode, first.mode) AS mode,
            entity.name AS legal_entity
        FROM allocation_costcenter first
        LEFT JOIN LATERAL (
            SELECT mode, legal_entity_id FROM allocation_costcenterplacement
            WHERE cost_center_id = first.id AND valid_from <= %(last_day)s
            ORDER BY valid_from DESC LIMIT 1
        ) since ON true
        JOIN allocation_legalentity entity
            ON entity.id = coalesce(since.legal_entity_id, first.legal_entity_id)
    ) center ON center.id = summed.cost_center
    LEFT JOIN allocation_team team ON team.slug = l.team
    LEFT JOIN (
        SELECT placed.team_id, unit.name
        FROM team_placement_period placed
        JOIN allocation_businessunit unit ON unit.id = placed.business_unit_id
        WHERE placed.valid_from <= %(last_day)s
            AND (placed.valid_to IS NULL OR placed.valid_to > %(last_day)s)
    ) unit ON unit.team_id = team.id
    LEFT JOIN allocation_product product ON product.slug = l.product
    LEFT JOIN allocation_feature feature ON feature.slug = l.feature
) x
ORDER BY {order}
"""
# The billed cost of rows that deliveries left out, by currency, bound by `_rejected`.
LEFT_OUT = """unnest(%(rejected_currencies)s::text[], %(rejected_billed)s::numeric[])
        AS left_out (currency, billed_cost)"""
# One row per currency in which rows were left out, under the same columns.
REJECTED_ROWS = """
SELECT {cells}
FROM {left_out}
ORDER BY currency COLLATE "C"
"""
# One row per currency, under the same columns, with what was left out.
TOTALS = """
SELECT {cells}
FROM (
    SELECT currency,
        coalesce(summed.billed_cost, 0) + coalesce(left_out.billed_cost, 0) AS billed_cost,
        summed.effective_cost, summed.list_cost, summed.outside_ai_billed_cost,
        summed.outside_ai_effective_cost
    FROM (
{summed}
    ) summed
    FULL JOIN {left_out} USING (currency)
) x
ORDER BY currency COLLATE "C"
"""


def detail_question(period: Period, scope: TeamScope) -> CostQuestion:
    """Everything on the month's bills, AI or not; raises NotAllocated where there is no run."""
    runs = runs_of_months(current_runs(), [period.start])
    if not runs:
        raise NotAllocated(f"{period} is not allocated yet; allocate it first")
    return CostQuestion(runs=runs, scope=scope, ai_only=False)


def detail_values(question: CostQuestion, period: Period) -> dict[str, Any]:
    """What the statements bind.

    Control totals are sums over the reader's own lines and, for a reader of everything, the billed
    cost of rejected rows.
    """
    return {
        **parameters(question),
        "period": str(period),
        "last_day": period.last_day,
        "control_total": CONTROL_TOTAL,
        "rejected": REJECTED,
        **_rejected(question.scope, period),
    }


def lines_statement(question: CostQuestion, text: Callable[[str], str]) -> str:
    """One row per line, ordered by its keys as bytes; `text` is the SQL of a text cell."""
    rungs = " ".join(f"WHEN {rung} THEN '{words}'" for rung, words in EVIDENCE.items())
    return LINES.format(
        cells=", ".join(f"{_cell(name, text)} AS {name}" for name in COLUMNS),
        order=sort_key([name for name in KEYS if name != "period"]),
        evidence=f"CASE summed.weakest_evidence {rungs} END",
        run_digits=RUN_DIGITS,
        summed=line_sums(question),
    )


def rejected_statement() -> str:
    return REJECTED_ROWS.format(
        cells=_total_cells("rejected", {"billed_cost": "billed_cost"}), left_out=LEFT_OUT
    )


def totals_statement(question: CostQuestion) -> str:
    cells = _total_cells("control_total", {name: name for name in AMOUNTS})
    return TOTALS.format(cells=cells, summed=total_sums(question), left_out=LEFT_OUT)


def line_sums(question: CostQuestion) -> str:
    """One row per line of the file."""
    return rollup(
        question.by("chargeback_key", "cost_center"),
        measures=(*AMOUNTS, "weakest_evidence", "any_line"),
    )


def total_sums(question: CostQuestion) -> str:
    """One row per currency."""
    return rollup(question.by("currency"), measures=AMOUNTS)


def sort_key(columns: Iterable[str]) -> str:
    """SQL for one text that sorts as the columns do, each by its bytes and NULL first; cheaper than
    many columns.
    """
    cells = ", ".join(
        f"CASE WHEN {column} IS NULL THEN E'\\x01' ELSE E'\\x02' || {column} END"
        for column in columns
    )
    return f"concat_ws(E'\\x01', {cells}) COLLATE \"C\""


def _cell(column: str, text: Callable[[str], str]) -> str:
    if column in AMOUNTS:
        return f"trim_scale({column})"
    return column if column in NUMBERS or column == "period" else text(column)


def _total_cells(period: str, amounts: dict[str, str]) -> str:
    """The columns of a row that sums up a currency; `period` is what is bound for the first."""
    named = {"period": f"%({period})s", "billing_currency": "currency"}
    named |= {name: f"trim_scale({column})" for name, column in amounts.items()}
    return ", ".join(f"{named.get(name, 'NULL')} AS {name}" for name in COLUMNS)


def _rejected(scope: TeamScope, period: Period) -> dict[str, list[Any]]:
    """What is bound for rejected rows, which no team owns: none for a reader of some teams."""
    found: dict[str, list[Decimal]] = {}
    if scope.is_everything:
        for (_, currency), money in rejected_money(period.start).items():
            found.setdefault(currency, []).append(money.billed_cost)
    return {
        "rejected_currencies": list(found),
        "rejected_billed": [exact_sum(amounts) for amounts in found.values()],
    }
