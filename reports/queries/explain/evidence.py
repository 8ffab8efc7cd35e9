"""What lies at the bottom of an amount: the delivered rows of a bill line, and some of the calls
that it was split by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection

from reports.asking import TeamScope, fetch, within_scope
from reports.cost_question.question import CostQuestion
from reports.cost_question.statement import parameters
from reports.queries.explain.variants import bill_line_variant, run_with_rules
from reports.queries.usage.tokens import all_tokens

BILL_ROWS = 25  # shown at once
TRACES = 5
BillPlace = tuple[int, int, int]  # scope, file, line
BEFORE_ALL: BillPlace = (0, 0, 0)


@dataclass(frozen=True)
class BillRow:
    """One delivered row, as it came."""

    scope: int
    file: int  # its number in the delivery
    line: int
    file_name: str
    import_id: int
    charge_period_start: datetime
    charge_period_end: datetime
    billed_cost: Decimal
    effective_cost: Decimal
    consumed_quantity: Decimal | None
    consumed_unit: str | None
    description: str | None
    sku: str | None
    resource: str | None
    sub_account: str | None
    invoice_id: str | None

    @property
    def place(self) -> BillPlace:
        return self.scope, self.file, self.line


# One row per charge of one split key, in the order of its files; the scopes are those that the run
# pinned. A reader of some teams gets the rows only where nobody else has a share in them.
BILL = """
SELECT c.scope_id, c.file_number, c.line,
    coalesce(delivered.files -> c.file_number::int ->> 'name', delivered.file_name), delivered.id,
    c.charge_period_start, c.charge_period_end, c.billed_cost, c.effective_cost,
    c.consumed_quantity, d.consumed_unit, d.charge_description, coalesce(d.sku_meter, d.sku_id),
    coalesce(d.resource_name, d.resource_id), coalesce(d.sub_account_name, d.sub_account_id),
    d.invoice_id
FROM allocation_allocationrun run
JOIN allocation_chargescope scope ON run.inputs -> 'scopes' @> to_jsonb(scope.id)
JOIN charge_to_split_key m ON m.run_id = run.id AND m.source_id = scope.source_id
    AND m.split_key_id = %(split_key_id)s
JOIN charge c ON c.billing_month = run.billing_month AND c.scope_id = scope.id
    AND c.dimension_id = m.dimension_id AND {variant} = m.variant
JOIN allocation_chargedimension d ON d.id = m.dimension_id
JOIN allocation_import delivered ON delivered.id = scope.bill_import_id
WHERE run.id = %(run)s AND (c.scope_id, c.file_number, c.line)
        > (%(after_scope)s, %(after_file)s, %(after_line)s)
    AND NOT EXISTS (
        SELECT FROM allocated_cost a JOIN allocation_target t ON t.id = a.target_id
        WHERE a.billing_month = run.billing_month AND a.run_id = run.id
            AND a.split_key_id = m.split_key_id
            AND {is_mine} IS NOT TRUE
    )
ORDER BY c.scope_id, c.file_number, c.line
LIMIT %(limit)s
"""


def bill_rows(
    *,
    run: int,
    split_key_id: int,
    after: BillPlace,
    teams: TeamScope,
    limit: int = BILL_ROWS + 1,
) -> list[BillRow]:
    """Delivered rows of one line after a place; as a rule at most 26, one more than a page shows.
    None for a reader of some teams where anyone else has a share of the line.
    """
    variant = bill_line_variant(run_with_rules(run))
    return fetch(
        BillRow,
        BILL.format(variant=variant, is_mine=within_scope("t.team")),
        {
            "run": run,
            "split_key_id": split_key_id,
            "after_scope": after[0],
            "after_file": after[1],
            "after_line": after[2],
            "limit": limit,
            "teams": teams.bound,
        },
    )


# What bills call the accounts and projects of some split keys.
ACCOUNTS = """
SELECT DISTINCT d.sub_account_id, d.sub_account_name
FROM unnest(%(runs)s::bigint[], %(split_keys)s::bigint[]) AS asked(run_id, split_key_id)
JOIN charge_to_split_key m ON m.run_id = asked.run_id AND m.split_key_id = asked.split_key_id
JOIN allocation_chargedimension d ON d.id = m.dimension_id
WHERE d.sub_account_name IS NOT NULL
ORDER BY d.sub_account_id, d.sub_account_name
"""


def account_names(lines: Sequence[tuple[int, int]]) -> dict[str, str]:
    """By id, of lines that the caller read within its scope; each a run and a split key."""
    runs, split_keys = zip(*lines, strict=True) if lines else ((), ())
    with connection.cursor() as cursor:
        cursor.execute(ACCOUNTS, {"runs": list(runs), "split_keys": list(split_keys)})
        return dict(cursor.fetchall())


@dataclass(frozen=True)
class SampleTrace:
    span_day: date
    trace_id: UUID
    started_at: datetime
    model: str | None
    team: str | None
    feature: str | None
    tokens: int


# A few counted spans of one day that the split key speaks of.
SAMPLE = """
SELECT s.span_day, s.trace_id, s.started_at, d.model, d.team, d.feature, {tokens}
FROM span s JOIN allocation_usagedimension d ON d.id = s.dimension_id
WHERE s.span_day = %(day)s AND s.counted AND d.model = %(key_model)s
    AND (%(key_project)s::text IS NULL OR %(key_project)s = '*' OR d.project = %(key_project)s)
    AND {of_question}
LIMIT %(limit)s
"""


def sample_traces(
    *, day: date, model: str, project: str | None, question: CostQuestion
) -> list[SampleTrace]:
    """At most five of the model calls that a traced line was split by on one day."""
    filters = [
        f"d.{name} = %(is_{name})s" for name, _ in question.filters if name in ("team", "feature")
    ]
    return fetch(
        SampleTrace,
        SAMPLE.format(
            tokens=all_tokens("s"), of_question=" AND ".join([within_scope("d.team"), *filters])
        ),
        {
            **parameters(question),
            "day": day,
            "key_model": model,
            "key_project": project,
            "limit": TRACES,
        },
    )
