"""A month of charges and usage of any size, written by SQL: the company stays the same, its detail
grows.

Twelve teams, 40 features, 10 models and every line of both bills at every size. A larger month has
more customers and prompt versions per feature and hour, more resources per bill and finer charge
periods, as a growing company's data has; so pages that answer per team, model or feature should
take the same time at every size.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection, connections, transaction

from allocation.models import BusinessUnit, CostCenter, LegalEntity, Source, Team, TeamPlacement
from allocation.usage.summary import summarise

TEAMS = 12
FEATURES = 40
MODELS = (
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-4.1"),
    ("openai", "gpt-4.1-mini"),
    ("openai", "o3-mini"),
    ("openai", "text-embedding-3-small"),
    ("openai", "gpt-5"),
    ("openai", "gpt-5-mini"),
    ("openai", "o1"),
    ("openai", "gpt-4.1-nano"),
)
PAIRS = 120  # features with the models they use: three each
MODEL_LINES = 240  # four for each model and project
LEAST_LINES = MODEL_LINES + 120  # and an instance for each pair of a team and a feature that occurs
SPANS_A_DAY = 40_000


@dataclass(frozen=True)
class Seeded:
    charges: int
    usage_rows: int
    latency_rows: int
    spans: int


USAGE_DIMENSIONS = """
INSERT INTO allocation_usagedimension (content_hash, is_inference, operation, provider, project,
    model_requested,
    model_answered, model, tier, context_band, service, team, feature, environment, customer,
        prompt_version)
SELECT decode(md5('seed' || n), 'hex'), true, 'chat', (%(providers)s::text[])[m], 'proj-' || f %% 6,
    (%(models)s::text[])[m], (%(models)s::text[])[m], (%(models)s::text[])[m], 'standard', 0,
    'service-' || f %% 15, 'team-' || lpad((f %% %(teams)s)::text, 2, '0'),
        'feature-' || lpad(f::text, 2, '0'),
    'production', 'customer-' || n / %(pairs)s, 'v' || 1 + n %% 3
FROM (
    SELECT n, n %% %(pairs)s %% %(features)s AS f,
        1 + (n %% %(pairs)s / %(features)s * 3 + n %% %(pairs)s %% %(features)s)
            %% array_length(%(models)s::text[], 1) AS m
    FROM generate_series(0, %(dimensions)s - 1) AS n
) AS numbered
ON CONFLICT (content_hash) DO NOTHING
"""

# Office hours are busier; the last hour of the month has twice the calls of pair 0.
USAGE = """
INSERT INTO usage_hourly (hour, dimension_id, spans, calls, calls_without_usage, errors,
    input_uncached, cache_read,
    cache_write_5m, cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio,
        output_image,
    duration_us, variance_input, variance_output, covariance, list_cost, price_version_id)
SELECT h, d.id, c, c, 0, c * (d.id %% 7) / 300, c * (700 + d.id %% 900), c * (d.id %% 300), 0, 0,
    c * (150 + d.id %% 250), 0, 0, 0, 0, 0, c * 900000::numeric, 0, 0, 0,
    c * (700 + d.id %% 900) * 0.0000025 + c * (150 + d.id %% 250) * 0.00001, %(price)s
FROM generate_series(%(first)s::timestamptz, %(last)s::timestamptz - interval '1 hour',
    interval '1 hour') AS h
CROSS JOIN allocation_usagedimension d
CROSS JOIN LATERAL (
    SELECT 5 + (d.id * 7 + extract(epoch FROM h)::bigint / 3600 * 13) %% 40
        + CASE WHEN extract(hour FROM h AT TIME ZONE 'UTC') BETWEEN 8 AND 18 THEN 30 ELSE 0 END AS c
) AS calls
WHERE d.content_hash = decode(md5('seed' || 0), 'hex') OR d.feature LIKE 'feature-%%'
"""

LATENCY = """
INSERT INTO latency_hourly (hour, dimension_id, bin, calls)
SELECT u.hour, u.dimension_id, 16 + (u.dimension_id %% 3)::int + b,
    greatest(u.calls * share, 1)::int
FROM usage_hourly u CROSS JOIN (VALUES (0, 0.3), (2, 0.5), (5, 0.15), (9, 0.05)) AS shape(b, share)
"""

SPANS = """
INSERT INTO span (span_day, trace_id, span_id, parent_span_id, dimension_id, started_at,
    duration_us, received_at, name,
    status_code, error_type, counted, not_counted, adjusted_count, input_uncached, cache_read,
        cache_write_5m,
    cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio, output_image,
        has_usage)
SELECT %(day)s, md5(%(day)s::text || n / 3)::uuid, n, CASE WHEN n %% 3 > 0 THEN n - n %% 3 END,
    ids.id,
    %(day)s::date::timestamp AT TIME ZONE 'UTC' + n * interval '1 day' / %(spans)s,
        200000 + (n * 7919) %% 4000000,
    %(day)s::date::timestamp AT TIME ZONE 'UTC' + n * interval '1 day' / %(spans)s, 'chat',
    CASE WHEN n %% 61 = 0 THEN 2 ELSE 1 END,
    CASE WHEN n %% 61 = 0 THEN (ARRAY['rate_limit', 'timeout', '500'])[1 + n %% 3] END,
    true, NULL, 1, 700 + n %% 900, n %% 300, 0, 0, 150 + n %% 250, 0, 0, 0, 0, 0, true
FROM generate_series(0, %(spans)s - 1) AS n
JOIN (
    SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS how_many
    FROM allocation_usagedimension WHERE feature LIKE 'feature-%%'
) AS ids ON ids.place = n %% ids.how_many
"""

# Four bill lines per model and project (input and output, each twice), the rest instances by team
# tag.
CHARGE_DIMENSIONS = """
INSERT INTO allocation_chargedimension (content_hash, billing_period_start, billing_period_end,
    billing_account_id,
    billing_currency, charge_category, charge_description, consumed_unit, pricing_unit,
        provider_name, publisher_name,
    invoice_issuer_name, service_category, service_name, sku_id, sku_meter, sub_account_id,
        resource_id, tags)
SELECT decode(md5('seed charge' || n), 'hex'), %(first)s, %(last)s, 'acct-1', 'USD', 'Usage',
    CASE WHEN is_model THEN model || ', ' || class ELSE 'Instance hours' END,
    CASE WHEN is_model THEN 'Tokens' ELSE 'Hours' END, CASE WHEN is_model THEN '1M tokens'
        ELSE 'Hours' END,
    CASE WHEN is_model THEN 'OpenAI' ELSE 'AWS' END, CASE WHEN is_model THEN 'OpenAI' ELSE 'AWS'
        END,
    CASE WHEN is_model THEN 'OpenAI' ELSE 'AWS' END,
    CASE WHEN is_model THEN 'AI and Machine Learning' ELSE 'Compute' END,
    CASE WHEN is_model THEN 'OpenAI API' ELSE 'Amazon Elastic Compute Cloud' END,
    CASE WHEN is_model THEN 'sku-' || n ELSE 'p5.48xlarge' END,
    CASE WHEN is_model THEN model || ' ' || class || ' tokens' ELSE 'p5.48xlarge BoxUsage' END,
    CASE WHEN is_model THEN 'proj-' || n %% 6 ELSE 'acct-aws-' || n %% 20 END, 'resource-' || n,
    CASE WHEN is_model THEN NULL ELSE jsonb_build_object('team',
        'team-' || lpad((n %% %(teams)s)::text, 2, '0'),
        'feature', 'feature-' || lpad((n %% %(features)s)::text, 2, '0'), 'node', n) END
FROM (
    SELECT n, n < %(model_lines)s AS is_model,
        (%(models)s::text[])[1 + n / 6 %% array_length(%(models)s::text[], 1)] AS model,
        CASE WHEN n / 60 %% 2 = 0 THEN 'input' ELSE 'output' END AS class
    FROM generate_series(0, %(dimensions)s - 1) AS n
) AS numbered
"""

# Lines in turn, each at even intervals over the month.
CHARGES = """
INSERT INTO charge (billing_month, scope_id, line, dimension_id, charge_period_start,
    charge_period_end, billed_cost,
    effective_cost, list_cost, consumed_quantity, pricing_quantity)
SELECT %(month)s, CASE WHEN d.consumed_unit = 'Tokens' THEN %(openai)s ELSE %(aws)s END, n + 2,
    d.id,
    %(first)s::timestamptz + n / d.how_many * %(hours)s / (%(charges)s / d.how_many + 1) * interval
        '1 hour',
    %(first)s::timestamptz + (n / d.how_many * %(hours)s / (%(charges)s / d.how_many + 1) + 1) *
        interval '1 hour',
    0.0137 * (1 + n %% 97), 0.0129 * (1 + n %% 97), 0.0151 * (1 + n %% 97), 100000 + n %% 5000, 0.1
FROM generate_series(0, %(charges)s - 1) AS n
JOIN (
    SELECT id, consumed_unit, row_number() OVER (ORDER BY id) - 1 AS place,
        count(*) OVER () AS how_many
    FROM allocation_chargedimension WHERE resource_id LIKE 'resource-%%'
) AS d ON d.place = n %% d.how_many
"""


def seed_month(*, month: date, charges: int, usage_rows: int) -> Seeded:
    """Fills an empty, migrated database; `usage_rows` is rounded to whole hours' worth. Does not
    allocate.
    """
    first = datetime(month.year, month.month, 1, tzinfo=UTC)
    last = (first + timedelta(days=32)).replace(day=1)
    hours = int((last - first).total_seconds() // 3600)
    seed_company(month)
    values: dict[str, Any] = {
        "first": first,
        "last": last,
        "month": month,
        "hours": hours,
        "teams": TEAMS,
        "features": FEATURES,
        "pairs": PAIRS,
        "model_lines": MODEL_LINES,
        "providers": [provider for provider, _ in MODELS],
        "models": [model for _, model in MODELS],
        "spans": SPANS_A_DAY,
        "day": (last - timedelta(days=1)).date(),
        "charges": charges,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT ensure_charge_partition(%(month)s), ensure_span_partition(%(day)s)", values
        )
        cursor.execute(
            "INSERT INTO allocation_priceversion (source, content_sha256, imported_at) VALUES "
            "('seed', 'seed', now()) RETURNING id"
        )
        values["price"] = cursor.fetchone()[0]
        values["openai"], values["aws"] = (
            seed_scope(name, first, last) for name in ("OpenAI", "AWS")
        )
        cursor.execute(USAGE_DIMENSIONS, {**values, "dimensions": max(usage_rows // hours, PAIRS)})
        cursor.execute(USAGE, values)
        usage_written = cursor.rowcount
        cursor.execute(LATENCY, values)
        latency_written = cursor.rowcount
        cursor.execute(SPANS, values)
        cursor.execute(
            CHARGE_DIMENSIONS, {**values, "dimensions": max(charges // hours, LEAST_LINES)}
        )
        cursor.execute(CHARGES, values)
        charges_written = cursor.rowcount
    summarise(seconds=3600)
    analyze()
    return Seeded(charges_written, usage_written, latency_written, SPANS_A_DAY)


def analyze() -> None:
    """Statistics, as autovacuum would gather them; only the owner may."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE")


def seed_company(month: date) -> None:
    entity = LegalEntity.objects.create(slug="seed", name="Seed Ltd")
    units = [
        BusinessUnit.objects.create(slug=f"unit-{n}", name=f"Unit {n}", legal_entity=entity)
        for n in range(3)
    ]
    for number in range(TEAMS):
        team = Team.objects.create(slug=f"team-{number:02}", name=f"Team {number}")
        center = CostCenter.objects.create(
            code=f"CC-{number:02}", name=team.name, legal_entity=entity
        )
        TeamPlacement.objects.create(
            team=team,
            business_unit=units[number % 3],
            cost_center=center,
            valid_from=month.replace(year=2020),
        )


def seed_scope(name: str, first: datetime, last: datetime) -> int:
    """A published scope of a new source."""
    source = Source.objects.create(name=name)
    delivered = source.import_set.create(file_name=f"{name}.csv", status="loaded", finished_at=last)
    scope = delivered.scopes.create(
        source=source,
        billing_account_id="acct-1",
        billing_period_start=first,
        billing_period_end=last,
        billing_month=first.date(),
        delivery="overwrite",
        state="current",
        published_at=last,
    )
    return int(scope.pk)
