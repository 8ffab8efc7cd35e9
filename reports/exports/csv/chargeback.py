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

from allocation.models import AllocationRun
from allocation.storage.copy_text import whole_month_plans
from allocation.values.periods import Period
from reports.exports.format import BASES, Basis, NotAllocated
from reports.exports.formulas import SKIPPED, safe_cell
from reports.scope import TeamScope

KEYS = (
    "period", "cost_center", "team", "product", "model", "feature", "environment", "phase", "provider_name",
    "service_name", "billing_currency", "charge_kind", "rule", "source",
)  # fmt: skip
MEASURES = ("billed_cost", "effective_cost", "list_cost", "evidence")
COLUMNS = KEYS + MEASURES
CONTROL_TOTAL = "CONTROL TOTAL"
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
    SELECT {cells}, trim_scale(billed_cost) AS billed_cost, trim_scale(effective_cost) AS
        effective_cost,
        trim_scale(list_cost) AS list_cost, {evidence} AS evidence
    FROM (
        SELECT %(period)s AS period, c.code AS cost_center, s.name AS source, l.team, l.product,
            l.model, l.feature,
            l.environment, l.phase, l.provider_name, l.service_name,
                l.currency AS billing_currency, l.charge_kind,
            l.rule, summed.billed_cost, summed.effective_cost, summed.list_cost, summed.rung
        FROM (
            SELECT d.chargeback_key, p.cost_center_id, min(d.line_id) AS line_id,
                sum(d.billed_cost) AS billed_cost,
                sum(d.effective_cost) AS effective_cost,
                CASE WHEN count(d.list_cost) = count(*) THEN sum(d.list_cost) END AS list_cost,
                    max(d.evidence) AS rung
            FROM cost_daily d
            LEFT JOIN (
                SELECT t.slug, p.valid_from, p.valid_to, p.cost_center_id
                FROM team_placement_period p JOIN allocation_team t ON t.id = p.team_id
            ) p ON p.slug = d.team AND d.day >= p.valid_from AND (p.valid_to IS NULL
                OR d.day < p.valid_to)
            WHERE d.run_id = ANY(%(runs)s) AND (%(everything)s OR d.team = ANY(%(teams)s))
            GROUP BY 1, 2
        ) summed
        JOIN cost_line l ON l.id = summed.line_id
        JOIN allocation_source s ON s.id = l.source_id
        LEFT JOIN allocation_costcenter c ON c.id = summed.cost_center_id
    ) x
    ORDER BY {order}
) TO STDOUT WITH (FORMAT csv, HEADER)
"""
# One row per currency, under the same columns.
TOTALS = """
COPY (
    SELECT {cells}, trim_scale(sum(billed_cost)), trim_scale(sum(effective_cost)),
        CASE WHEN count(list_cost) = count(*) THEN trim_scale(sum(list_cost)) END, NULL
    FROM cost_daily
    WHERE run_id = ANY(%(runs)s) AND (%(everything)s OR team = ANY(%(teams)s))
    GROUP BY currency
    ORDER BY currency COLLATE "C"
) TO STDOUT WITH (FORMAT csv)
"""


def current_run_ids(period: Period) -> list[int]:
    runs = AllocationRun.objects.filter(billing_month=period.start, is_current=True)
    return list(runs.order_by("currency").values_list("pk", flat=True))


def chargeback_csv(*, period: Period, basis: Basis, scope: TeamScope) -> Iterator[bytes]:
    """Blocks of the month's CSV for a reader; raises NotAllocated before the first one.

    Both bases stand side by side in columns of their own, so that either can be posted and the
    other seen; `basis` only says which one the reader charges by. Control totals are sums over the
    reader's own lines.
    """
    if basis not in BASES:
        raise ValueError(f"basis is billed or effective, not {basis!r}")
    runs = current_run_ids(period)
    if not runs:
        raise NotAllocated(f"{period} is not allocated yet; allocate it first")
    return _blocks(runs, period, scope)


def _blocks(runs: list[int], period: Period, scope: TeamScope) -> Iterator[bytes]:
    texts = [name for name in KEYS if name != "period"]
    rungs = " ".join(f"WHEN {rung} THEN '{text}'" for rung, text in EVIDENCE.items())
    lines = LINES.format(
        cells="period, " + ", ".join(f"{safe_cell(name)} AS {name}" for name in texts),
        order=sort_key(texts),
        evidence=f"CASE rung {rungs} END",
    )
    told = {"period": "%(control_total)s", "billing_currency": "currency"}
    totals = TOTALS.format(cells=", ".join(told.get(name, "NULL") for name in KEYS))
    values: dict[str, Any] = {
        "runs": runs,
        "period": str(period),
        "everything": scope.is_everything,
        "teams": sorted(scope.teams or ()),
        "control_total": CONTROL_TOTAL,
        "skipped": SKIPPED,
    }
    for statement in (lines, totals):
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


def control_totals(*, period: Period, scope: TeamScope) -> list[tuple[str, Decimal, Decimal]]:
    """(currency, billed, effective) of what the CSV holds, for pages that print them beside the
    download.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT currency, sum(billed_cost), sum(effective_cost) FROM cost_daily"
            " WHERE run_id = ANY(%s) AND (%s OR team = ANY(%s)) GROUP BY 1 ORDER BY 1",
            [current_run_ids(period), scope.is_everything, sorted(scope.teams or ())],
        )
        return [tuple(row) for row in cursor.fetchall()]
