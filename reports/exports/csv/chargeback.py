"""The chargeback CSV of a billing month, streamed from PostgreSQL in constant memory.

Text cells cannot become formulas in a spreadsheet: one that starts like a formula, also behind
spaces or in full-width form, gets an apostrophe. Numbers stay numbers. Lines end with LF and are
ordered by their keys, as bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection

from allocation.storage.rows import whole_month_plans
from allocation.values.periods import Period
from reports.asking import TeamScope
from reports.cost_question.question import CostQuestion
from reports.exports.detail import (
    detail_question,
    detail_values,
    lines_statement,
    rejected_statement,
    totals_statement,
)
from reports.readable import SKIPPED, safe_cell

BLOCK_BYTES = 65_536


def chargeback_csv(*, period: Period, scope: TeamScope) -> Iterator[bytes]:
    """Blocks of the month's CSV for a reader; raises NotAllocated before the first one."""
    return _blocks(detail_question(period, scope), period)


def _blocks(question: CostQuestion, period: Period) -> Iterator[bytes]:
    values = detail_values(question, period) | {"skipped": SKIPPED}
    for select, options in (
        (lines_statement(question, safe_cell), "FORMAT csv, HEADER"),
        (rejected_statement(), "FORMAT csv"),
        (totals_statement(question), "FORMAT csv"),
    ):
        with (
            whole_month_plans(),
            connection.cursor() as cursor,
            cursor.copy(f"COPY ({select}) TO STDOUT WITH ({options})", values) as copy,
        ):
            block = bytearray()
            for row in copy:  # COPY hands out single rows
                block += row
                if len(block) >= BLOCK_BYTES:
                    yield bytes(block)
                    block.clear()
            yield bytes(block)
