"""The chargeback CSV of a billing month, streamed from PostgreSQL in constant memory.

Text cells cannot become formulas in a spreadsheet: one that starts like a formula, also behind
spaces or in full-width form, gets an apostrophe. Numbers stay numbers. Lines end with LF and are
ordered by their keys, as bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.storage.rows import whole_month_plans
from allocation.values.money import exact_sum
from allocation.values.periods import Period
from reports.asking import TeamScope
from reports.cost_question.question import CostQuestion
from reports.cost_question.runs import current_runs, runs_of_months
from reports.cost_question.statement import parameters, rollup
from reports.exports.format import BASES, Basis, NotAllocated
from reports.queries.reconcile.rejected import rejected_money
from reports.readable import SKIPPED, safe_cell

KEYS = (
    "period", "cost_center", "team", "product", "model", "feature", "environment", "phase",
    "provider_name", "service_name", "billing_currency", "charge_kind", "rule", "source",
)  # fmt: skip
MEASURES = ("billed_cost", "effective_cost", "list_cost", "evidence")
COLUMNS = KEYS + MEASURES
CONTROL_TOTAL = "CONTROL TOTAL"
REJECTED = "REJECTED"
BLOCK_BYTES = 65_536
EVIDENCE = {
    1: "traces",
    2: "gateway logs",
    3: "provider usage",
    4: "key or project owner",
    5: "inferred owner",
    6: "unallocated",
}


def sort_key(columns: Iterable[str]) -> str:
    """SQL for one text that sorts as the columns do, each by its bytes and NULL first; cheaper than
    many columns.
    """
    cells = ", ".join(
        f"CASE WHEN {column} IS NULL THEN E'\\x01' ELSE E'\\x02' || {column} END"
        for column in columns
    )
    return f"concat_ws(E'\\x01', {cells}) COLLATE \"C\""


# One row per KEYS; `evidence` is the weakest rung among what a line sums up. A team's cost centre
# is that of the day. Days are summed under the key of what the file shows as one line; names are
# joined to the sums, which are fewer.
LINES = """
COPY (
    SELECT {cells}, trim_scale(billed_cost) AS billed_cost,
        trim_scale(effective_cost) AS effective_cost, trim_scale(list_cost) AS list_cost,
        {evidence} AS evidence
    FROM (
        SELECT %(period)s AS period, c.code AS cost_center, s.name AS source,
            l.team, l.product, l.model, l.feature, l.environment, l.phase,
            l.provider_name, l.service_name, l.currency AS billing_currency, l.charge_kind, l.rule,
            summed.billed_cost, summed.effective_cost, summed.list_cost, summed.weakest_evidence
        FROM (
{summed}
        ) summed
        JOIN cost_line l ON l.id = summed.any_line
        JOIN allocation_source s ON s.id = l.source_id
        LEFT JOIN allocation_costcenter c ON c.id = summed.cost_center
    ) x
    ORDER BY {order}
) TO STDOUT WITH (FORMAT csv, HEADER)
"""
# The billed cost of rows that deliveries left out, by currency, bound by `_rejected`.
LEFT_OUT = """unnest(%(rejected_currencies)s::text[], %(rejected_billed)s::numeric[])
        AS left_out (currency, billed_cost)"""
# One row per currency in which rows were left out, under the same columns.
REJECTED_ROWS = """
COPY (
    SELECT {cells}, trim_scale(billed_cost), NULL, NULL, NULL
    FROM {left_out}
    ORDER BY currency COLLATE "C"
) TO STDOUT WITH (FORMAT csv)
"""
# One row per currency, under the same columns, with what was left out.
TOTALS = """
COPY (
    SELECT {cells},
        trim_scale(coalesce(summed.billed_cost, 0) + coalesce(left_out.billed_cost, 0)),
        trim_scale(effective_cost), trim_scale(list_cost), NULL
    FROM (
{summed}
    ) summed
    FULL JOIN {left_out} USING (currency)
    ORDER BY currency COLLATE "C"
) TO STDOUT WITH (FORMAT csv)
"""


def chargeback_csv(*, period: Period, basis: Basis, scope: TeamScope) -> Iterator[bytes]:
    """Blocks of the month's CSV for a reader; raises NotAllocated before the first one.

    Both bases stand side by side in columns of their own, so that either can be posted and the
    other seen; `basis` only says which one the reader charges by. Control totals are sums over the
    reader's own lines and, for a reader of everything, the billed cost of rejected rows.
    """
    if basis not in BASES:
        raise ValueError(f"basis is billed or effective, not {basis!r}")
    runs = runs_of_months(current_runs(), [period.start])
    if not runs:
        raise NotAllocated(f"{period} is not allocated yet; allocate it first")
    return _blocks(CostQuestion(runs=runs, scope=scope, ai_only=False), period)


def _blocks(question: CostQuestion, period: Period) -> Iterator[bytes]:
    values = {
        **parameters(question),
        "period": str(period),
        "control_total": CONTROL_TOTAL,
        "rejected": REJECTED,
        **_rejected(question.scope, period),
        "skipped": SKIPPED,
    }
    for statement in (_lines(question), _rejected_rows(), _totals(question)):
        with (
            whole_month_plans(),
            connection.cursor() as cursor,
            cursor.copy(statement, values) as copy,
        ):
            block = bytearray()
            for row in copy:  # COPY hands out single rows
                block += row
                if len(block) >= BLOCK_BYTES:
                    yield bytes(block)
                    block.clear()
            yield bytes(block)


def line_sums(question: CostQuestion) -> str:
    """One row per line of the file."""
    return rollup(
        question.by("chargeback_key", "cost_center"),
        measures=("billed_cost", "effective_cost", "list_cost", "weakest_evidence", "any_line"),
    )


def total_sums(question: CostQuestion) -> str:
    """One row per currency."""
    return rollup(question.by("currency"), measures=("billed_cost", "effective_cost", "list_cost"))


def _lines(question: CostQuestion) -> str:
    texts = [name for name in KEYS if name != "period"]
    rungs = " ".join(f"WHEN {rung} THEN '{text}'" for rung, text in EVIDENCE.items())
    return LINES.format(
        cells="period, " + ", ".join(f"{safe_cell(name)} AS {name}" for name in texts),
        order=sort_key(texts),
        evidence=f"CASE weakest_evidence {rungs} END",
        summed=line_sums(question),
    )


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


def _rejected_rows() -> str:
    return REJECTED_ROWS.format(cells=_total_cells("rejected"), left_out=LEFT_OUT)


def _totals(question: CostQuestion) -> str:
    cells = _total_cells("control_total")
    return TOTALS.format(cells=cells, summed=total_sums(question), left_out=LEFT_OUT)


def _total_cells(period: str) -> str:
    """Keys of a row that sums up a currency; `period` is what is bound for the first."""
    named = {"period": f"%({period})s", "billing_currency": "currency"}
    return ", ".join(named.get(name, "NULL") for name in KEYS)
