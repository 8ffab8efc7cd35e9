"""Where an amount comes from: rules, bill lines, the numbers each day was split by, bill rows and
sample traces.

Three steps down, each bounded: an amount is made of parts (rule and kind), a part of lines (charge
buckets), a line of days (charge groups). A reader of some teams sees their own shares, and of a
shared line only the totals that the arithmetic needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from allocation.models import AllocationRun
from allocation.rules.row_tests import variant_sql
from allocation.rules.rules import parse_rules
from reports.queries.kept import kept
from reports.rows import fetch
from reports.scope import TeamScope

LINES = 12  # shown at once
BILL_ROWS = 25
TRACES = 5
METRICS = ("effective_cost", "billed_cost")


@dataclass(frozen=True)
class Question:
    """Which amount is asked about. `runs` must share a currency; None means any, for the rest."""

    runs: tuple[int, ...]
    months: tuple[date, ...]  # billing months of the runs
    first_day: date | None = None  # charge days, both included; None is the whole billing month
    last_day: date | None = None
    metric: str = "effective_cost"
    ai_only: bool = True
    team: str | None = None
    feature: str | None = None
    product: str | None = None
    model: str | None = None
    environment: str | None = None
    provider: str | None = None
    service: str | None = None
    source: str | None = None
    rule: str | None = None
    charge_kind: str | None = None
    evidence: int | None = None
    reason: str | None = None
    run_hashes: tuple[str, ...] = ()  # sha256 of each run's content, where all have one

    @property
    def is_final(self) -> bool:
        """All runs are published and hashed, so the same question always has the same answer."""
        return bool(self.runs) and len(self.run_hashes) == len(self.runs)

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(self.metric)

    def parameters(self, teams: TeamScope) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "runs": list(self.runs),
            "run_hashes": list(self.run_hashes),
            "months": list(self.months),
            "all_teams": teams.is_everything,
            "teams": sorted(teams.teams or ()),
        }


# What the reader asks of a target `t`, of a bucket `b` and of its source. Every value is bound.
TARGET = """
    (%(all_teams)s OR t.team = ANY(%(teams)s))
    AND (%(team)s::text IS NULL OR t.team = %(team)s)
    AND (%(feature)s::text IS NULL OR t.feature = %(feature)s)
    AND (%(product)s::text IS NULL OR t.product = %(product)s)
    AND (%(model)s::text IS NULL OR t.model = %(model)s)
    AND (%(environment)s::text IS NULL OR t.environment = %(environment)s)
    AND (%(reason)s::text IS NULL OR t.reason = %(reason)s)
    AND (NOT %(ai_only)s OR t.reason IS DISTINCT FROM 'outside AI scope')
"""
BUCKET = """
    (NOT %(ai_only)s OR b.ai_scope <> 'other')
    AND (%(provider)s::text IS NULL OR b.provider_name = %(provider)s)
    AND (%(service)s::text IS NULL OR b.service_name = %(service)s)
    AND (%(rule)s::text IS NULL OR b.rule = %(rule)s)
    AND (%(source)s::text IS NULL OR source.name = %(source)s)
"""
AMOUNT = "CASE WHEN %(metric)s = 'billed_cost' THEN {0}.billed_cost ELSE {0}.effective_cost END"


@dataclass(frozen=True)
class Part:
    """What one rule gave, of one kind and on one rung of evidence."""

    rule: str
    charge_kind: str
    evidence: int
    reason: str | None
    source: str
    amount: Decimal


# One row per rule, kind, rung, reason and source.
PARTS = f"""
SELECT t.rule, t.charge_kind, t.evidence, t.reason, source.name, sum({AMOUNT.format("t")})
FROM cost_daily t
JOIN allocation_source source ON source.id = t.source_id
WHERE t.run_id = ANY(%(runs)s) AND {TARGET}
    AND (NOT %(ai_only)s OR t.ai_scope <> 'other')
    AND (%(provider)s::text IS NULL OR t.provider_name = %(provider)s)
    AND (%(service)s::text IS NULL OR t.service_name = %(service)s)
    AND (%(rule)s::text IS NULL OR t.rule = %(rule)s)
    AND (%(source)s::text IS NULL OR source.name = %(source)s)
    AND (%(charge_kind)s::text IS NULL OR t.charge_kind = %(charge_kind)s)
    AND (%(evidence)s::smallint IS NULL OR t.evidence = %(evidence)s)
    AND (%(first_day)s::date IS NULL OR t.day >= %(first_day)s)
    AND (%(last_day)s::date IS NULL OR t.day <= %(last_day)s)
GROUP BY t.rule, t.charge_kind, t.evidence, t.reason, source.name
ORDER BY abs(sum({AMOUNT.format("t")})) DESC, t.rule COLLATE "C", t.charge_kind COLLATE "C",
    t.evidence
"""  # noqa: S608  no value is written into it


@dataclass(frozen=True)
class Line:
    """One charge bucket: bill charges with equal rule and split key, and the reader's share of it."""

    run: int
    bucket: int
    rule: str
    method: str
    source: str
    provider_name: str | None
    service_name: str | None
    charge_category: str
    split_key: str  # JSON
    amount: Decimal
    days: int


# One row per bucket.
LINE_ROWS = f"""
WITH wanted AS MATERIALIZED (
    SELECT b.run_id, b.bucket, source.name AS source FROM charge_bucket b
    JOIN allocation_source source ON source.id = b.source_id
    WHERE b.run_id = ANY(%(runs)s) AND {BUCKET}
), target AS MATERIALIZED (
    SELECT t.id FROM allocation_target t WHERE {TARGET}
), share AS (
    SELECT a.run_id, a.bucket, wanted.source, sum({AMOUNT.format("a")}) AS amount,
        count(DISTINCT a.day) AS days
    FROM wanted JOIN allocated_cost a ON a.run_id = wanted.run_id AND a.bucket = wanted.bucket
    WHERE a.billing_month = ANY(%(months)s) AND a.target_id IN (SELECT id FROM target)
        AND (%(charge_kind)s::text IS NULL OR a.charge_kind = %(charge_kind)s)
        AND (%(evidence)s::smallint IS NULL OR a.evidence = %(evidence)s)
        AND (%(first_day)s::date IS NULL OR a.day >= %(first_day)s)
        AND (%(last_day)s::date IS NULL OR a.day <= %(last_day)s)
    GROUP BY a.run_id, a.bucket, wanted.source
)
SELECT share.run_id, share.bucket, b.rule, b.method, share.source, b.provider_name, b.service_name,
    b.charge_category,
    b.split_key::text, share.amount, share.days
FROM share JOIN charge_bucket b ON b.run_id = share.run_id AND b.bucket = share.bucket
ORDER BY abs(share.amount) DESC, share.run_id, share.bucket
OFFSET %(offset)s LIMIT %(limit)s
"""  # noqa: S608  no value is written into it


@dataclass(frozen=True)
class Day:
    """One charge group of a line and the reader's share of it, of one kind and rung.

    `group_amount`, `driver_total`, `quantity` and `coverage` are those of the whole group, whoever
    shares it.
    """

    day: date
    charge_kind: str
    evidence: int
    amount: Decimal
    driver_quantity: Decimal | None
    charges: int
    group_amount: Decimal
    quantity: Decimal | None
    driver: str | None
    driver_total: Decimal | None
    coverage: Decimal | None
    widened: str | None
    note: str | None


# One row per day, kind and rung of one bucket.
DAYS = f"""
SELECT a.day, a.charge_kind, a.evidence, sum({AMOUNT.format("a")}), sum(a.driver_quantity),
    g.charges,
    {AMOUNT.format("g")}, g.quantity, g.driver, g.driver_total, g.coverage, g.widened, g.note
FROM allocated_cost a
JOIN charge_group g ON g.run_id = a.run_id AND g.bucket = a.bucket AND g.day = a.day
JOIN allocation_target t ON t.id = a.target_id
WHERE a.billing_month = ANY(%(months)s) AND a.run_id = %(run)s AND a.bucket = %(bucket)s
    AND {TARGET}
    AND (%(charge_kind)s::text IS NULL OR a.charge_kind = %(charge_kind)s)
    AND (%(evidence)s::smallint IS NULL OR a.evidence = %(evidence)s)
    AND (%(first_day)s::date IS NULL OR a.day >= %(first_day)s)
    AND (%(last_day)s::date IS NULL OR a.day <= %(last_day)s)
GROUP BY a.day, a.charge_kind, a.evidence, g.charges, g.billed_cost, g.effective_cost, g.quantity,
    g.driver,
    g.driver_total, g.coverage, g.widened, g.note
ORDER BY a.day, a.charge_kind COLLATE "C", a.evidence
"""  # noqa: S608  no value is written into it


@dataclass(frozen=True)
class BillRow:
    """One delivered row, as it came."""

    scope: int
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


# One row per charge of one bucket, in the order of its files; the scopes are those that the run
# pinned. A reader of some teams gets the rows only where nobody else has a share in them.
BILL = """
SELECT c.scope_id, c.line, delivered.file_name, delivered.id, c.charge_period_start,
    c.charge_period_end, c.billed_cost,
    c.effective_cost, c.consumed_quantity, d.consumed_unit, d.charge_description,
        coalesce(d.sku_meter, d.sku_id),
    coalesce(d.resource_name, d.resource_id), coalesce(d.sub_account_name, d.sub_account_id),
        d.invoice_id
FROM allocation_allocationrun run
JOIN allocation_chargescope scope ON run.inputs -> 'scopes' @> to_jsonb(scope.id)
JOIN bucket_member m ON m.run_id = run.id AND m.source_id = scope.source_id
    AND m.bucket = %(bucket)s
JOIN charge c ON c.billing_month = run.billing_month AND c.scope_id = scope.id
    AND c.dimension_id = m.dimension_id
    AND {variant} = m.variant
JOIN allocation_chargedimension d ON d.id = m.dimension_id
JOIN allocation_import delivered ON delivered.id = scope.bill_import_id
WHERE run.id = %(run)s AND (c.scope_id, c.line) > (%(after_scope)s, %(after_line)s)
    AND (%(all_teams)s OR NOT EXISTS (
        SELECT FROM allocated_cost a JOIN allocation_target t ON t.id = a.target_id
        WHERE a.billing_month = run.billing_month AND a.run_id = run.id AND a.bucket = m.bucket
            AND (t.team IS NULL OR t.team <> ALL(%(teams)s))
    ))
ORDER BY c.scope_id, c.line
LIMIT %(limit)s
"""


@dataclass(frozen=True)
class SampleTrace:
    span_day: date
    trace_id: UUID
    started_at: datetime
    model: str | None
    team: str | None
    feature: str | None
    tokens: int


# A few counted spans of one day that the bucket's split key speaks of.
SAMPLE = """
SELECT s.span_day, s.trace_id, s.started_at, d.model, d.team, d.feature,
    s.input_uncached + s.cache_read + s.cache_write_5m + s.cache_write_1h + s.output_text +
        s.reasoning
        + s.input_audio + s.input_image + s.output_audio + s.output_image
FROM span s JOIN allocation_usagedimension d ON d.id = s.dimension_id
WHERE s.span_day = %(day)s AND s.counted AND d.model = %(key_model)s
    AND (%(key_project)s::text IS NULL OR %(key_project)s = '*' OR d.project = %(key_project)s)
    AND (%(all_teams)s OR d.team = ANY(%(teams)s))
    AND (%(team)s::text IS NULL OR d.team = %(team)s)
    AND (%(feature)s::text IS NULL OR d.feature = %(feature)s)
LIMIT %(limit)s
"""


@kept
def explain_parts(*, question: Question, teams: TeamScope) -> list[Part]:
    """What the amount is made of, largest first; the parts add up to it."""
    return fetch(Part, PARTS, question.parameters(teams))


@kept
def explain_lines(*, question: Question, teams: TeamScope, offset: int = 0) -> list[Line]:
    """The bill lines behind the amount, largest first; at most 13, one more than a page shows."""
    return fetch(
        Line, LINE_ROWS, {**question.parameters(teams), "offset": offset, "limit": LINES + 1}
    )


@kept
def explain_days(*, run: int, bucket: int, question: Question, teams: TeamScope) -> list[Day]:
    """The days of one line, with what each was split by."""
    return fetch(Day, DAYS, {**question.parameters(teams), "run": run, "bucket": bucket})


def explain_bill_rows(
    *, run: int, bucket: int, after: tuple[int, int], teams: TeamScope, limit: int = BILL_ROWS + 1
) -> list[BillRow]:
    """Delivered rows of one line after (scope, line); as a rule at most 26, one more than a page
    shows.

    None for a reader of some teams where anyone else has a share of the line.
    """
    cited = AllocationRun.objects.select_related("rule_set").get(pk=run)
    variant = variant_sql(
        parse_rules(cited.rule_set.text).row_tests,
        month=cited.billing_month,
        scopes=cited.inputs.get("scopes", []),
    )
    return fetch(
        BillRow,
        BILL.replace("{variant}", variant.replace("%", "%%")),
        {
            "run": run,
            "bucket": bucket,
            "after_scope": after[0],
            "after_line": after[1],
            "limit": limit,
            "all_teams": teams.is_everything,
            "teams": sorted(teams.teams or ()),
        },
    )


def sample_traces(
    *, day: date, model: str, project: str | None, question: Question, teams: TeamScope
) -> list[SampleTrace]:
    """At most five of the model calls that a traced line was split by on one day."""
    return fetch(
        SampleTrace,
        SAMPLE,
        {
            **question.parameters(teams),
            "day": day,
            "key_model": model,
            "key_project": project,
            "limit": TRACES,
        },
    )
