"""A billing month of any size for the ledger's benchmarks, written by SQL: token lines, GPU resources, tax and credit.

Token lines come hourly for every (project, model, class) of three providers; each (project, model) is called by a few
features of many. Prices are in twelve and more places, and bills count 2% more tokens than traces, as real ones do.
"""

# ruff: noqa: E501 - statements read better as they are

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from django.db import connection, transaction

from allocation.models import ChargeScope, Import, Source, Team

MONTH = date(2026, 9, 1)
HOURS = 30 * 24
TEAMS = 300
FEATURES = 300
CLASSES = ("input", "cached input", "output")
PROJECTS = 12  # of a month of a million charges; a smaller month has fewer
MODELS = (
    ("OpenAI", "openai", "gpt-4o"),
    ("OpenAI", "openai", "gpt-4o-mini"),
    ("OpenAI", "openai", "gpt-4.1"),
    ("OpenAI", "openai", "o3-mini"),
    ("Anthropic", "anthropic", "claude-sonnet-4-5"),
    ("Anthropic", "anthropic", "claude-haiku-4-5"),
    ("Anthropic", "anthropic", "claude-opus-4-1"),
    ("Google Cloud", "gcp.vertex_ai", "gemini-2.5-flash"),
    ("Google Cloud", "gcp.vertex_ai", "gemini-2.5-pro"),
    ("Google Cloud", "gcp.vertex_ai", "gemini-2.0-flash"),
)

TOKEN_DIMENSIONS = """
INSERT INTO allocation_chargedimension (content_hash, billing_period_start, billing_period_end, billing_account_id,
    billing_currency, charge_category, charge_description, provider_name, service_category, service_name, sub_account_id,
    consumed_unit, pricing_unit, sku_meter, tags, resource_id)
SELECT decode(md5('bench token ' || p || ' ' || m || ' ' || c || ' ' || r), 'hex'), '2026-09-01Z', '2026-10-01Z',
    'acct', 'USD', 'Usage', (%(models)s::text[])[m] || ', ' || (%(classes)s::text[])[c],
    (%(providers)s::text[])[m],
    'AI and Machine Learning',
    CASE (%(providers)s::text[])[m] WHEN 'Google Cloud' THEN 'Vertex AI' ELSE (%(providers)s::text[])[m] || ' API' END,
    'proj-' || p, 'Tokens', '1M tokens', (%(models)s::text[])[m] || ', ' || (%(classes)s::text[])[c],
    jsonb_build_object('team', 'team-' || p), 'resource-' || r
FROM generate_series(1, %(projects)s) p, generate_series(1, array_length(%(models)s::text[], 1)) m,
    generate_series(1, 3) c, generate_series(1, %(resources)s) r
ON CONFLICT DO NOTHING
"""
GPU_DIMENSIONS = """
INSERT INTO allocation_chargedimension (content_hash, billing_period_start, billing_period_end, billing_account_id,
    billing_currency, charge_category, charge_description, provider_name, service_category, service_name, sub_account_id,
    consumed_unit, pricing_unit, sku_meter, resource_id, tags)
SELECT decode(md5('bench gpu ' || g), 'hex'), '2026-09-01Z', '2026-10-01Z', 'acct', 'USD', 'Usage',
    'p5.48xlarge instance', 'AWS', 'Compute', 'Amazon EC2', 'account-' || g %% 12, 'Hours', 'Hours',
    'BoxUsage:p5.48xlarge', 'i-' || g,
    CASE WHEN g %% 10 > 0 THEN jsonb_build_object('team', 'team-' || g %% 300, 'environment', 'production') END
FROM generate_series(1, %(gpus)s) g ON CONFLICT DO NOTHING
"""
OTHER_DIMENSIONS = """
INSERT INTO allocation_chargedimension (content_hash, billing_period_start, billing_period_end, billing_account_id,
    billing_currency, charge_category, charge_description, provider_name, service_category, service_name, sub_account_id)
SELECT decode(md5('bench other ' || k || p), 'hex'), '2026-09-01Z', '2026-10-01Z', 'acct', 'USD', k, k, p, 'Other', 'Other',
    CASE WHEN p = 'AWS' THEN 'account-1' END
FROM unnest(ARRAY['Tax', 'Credit']) k, unnest(ARRAY['OpenAI', 'Anthropic', 'Google Cloud', 'AWS']) p
ON CONFLICT DO NOTHING
"""
CHARGES = """
INSERT INTO charge (billing_month, scope_id, line, dimension_id, charge_period_start, charge_period_end, billed_cost,
    effective_cost, list_cost, contracted_cost, consumed_quantity, pricing_quantity)
SELECT '2026-09-01', %(scope)s, row_number() OVER (), d.id, t, t + interval '1 hour', cost, cost * 0.9, cost * 1.25, cost,
    CASE WHEN d.consumed_unit = 'Tokens' THEN tokens ELSE 1 END,
    CASE WHEN d.consumed_unit = 'Tokens' THEN tokens / 1000000.0 ELSE 1 END
FROM allocation_chargedimension d
CROSS JOIN generate_series('2026-09-01Z'::timestamptz, '2026-09-30 23:00Z', '1 hour') t
CROSS JOIN LATERAL (SELECT (102 * %(callers)s * (100 + d.id %% 37) / %(resources)s)::numeric AS tokens) a
CROSS JOIN LATERAL (SELECT CASE WHEN d.consumed_unit = 'Tokens' THEN tokens * 0.0000025 * (1 + d.id %% 7)
    ELSE 98.32 + (d.id %% 11) / 100000.0 END AS cost) b
WHERE d.charge_category = 'Usage'
"""
MONTHLY_CHARGES = """
INSERT INTO charge (billing_month, scope_id, line, dimension_id, charge_period_start, charge_period_end, billed_cost,
    effective_cost, list_cost, contracted_cost)
SELECT '2026-09-01', %(scope)s, 100000000 + row_number() OVER (), d.id, '2026-09-01Z', '2026-10-01Z', cost, cost, cost, cost
FROM allocation_chargedimension d
CROSS JOIN LATERAL (SELECT CASE d.charge_category WHEN 'Tax' THEN 1234.56 ELSE -77.7 END AS cost) c
WHERE d.charge_category <> 'Usage'
"""
USAGE_DIMENSIONS = """
INSERT INTO allocation_usagedimension (content_hash, is_inference, operation, provider, project, model_requested,
    model_answered, model, tier, context_band, team, feature, environment)
SELECT decode(md5('bench usage ' || p || ' ' || m || ' ' || k), 'hex'), true, 'chat', (%(names)s::text[])[m], 'proj-' || p,
    (%(models)s::text[])[m], (%(models)s::text[])[m], (%(models)s::text[])[m], 'standard', 0,
    'team-' || (p * 31 + m * 7 + k) %% %(teams)s, 'feature-' || (p * 31 + m * 7 + k) %% %(features)s,
    CASE WHEN k %% 3 = 0 THEN 'staging' ELSE 'production' END
FROM generate_series(1, %(projects)s) p, generate_series(1, array_length(%(models)s::text[], 1)) m,
    generate_series(1, %(callers)s) k
ON CONFLICT DO NOTHING
"""
USAGE = """
INSERT INTO usage_hourly (hour, dimension_id, spans, calls, calls_without_usage, errors, input_uncached, cache_read,
    cache_write_5m, cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio, output_image,
    duration_us, variance_input, variance_output, covariance, list_cost)
SELECT t, d.id, 5, 5, 0, 0, 100 * (100 + d.id %% 29), 90 * (100 + d.id %% 31), 0, 0, 100 * (90 + d.id %% 23), 300,
    0, 0, 0, 0, 5000000, 0, 0, 0, 0.01 * (1 + d.id %% 5)
FROM allocation_usagedimension d, generate_series('2026-09-01Z'::timestamptz, '2026-09-30 23:00Z', '1 hour') t
ON CONFLICT DO NOTHING
"""


def fill(*, charges: int, usage_rows: int) -> tuple[int, int]:
    """Write about that many charges and usage rows; returns the counts that stand there. The database must be empty."""
    projects = max(1, min(PROJECTS, charges // 80_000))
    pairs = projects * len(MODELS)
    callers = max(1, round(usage_rows / HOURS / pairs))
    resources = max(1, round(charges * 0.8 / HOURS / (pairs * len(CLASSES))))
    gpus = max(1, round(charges / HOURS) - pairs * len(CLASSES) * resources)
    values: dict[str, Any] = {
        "models": [model for _, _, model in MODELS],
        "providers": [bill for bill, _, _ in MODELS],
        "names": [name for _, name, _ in MODELS],
        "classes": list(CLASSES),
        "projects": projects,
        "resources": resources,
        "gpus": gpus,
        "callers": callers,
        "teams": TEAMS,
        "features": FEATURES,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        Team.objects.bulk_create([Team(slug=f"team-{n}", name=f"Team {n}") for n in range(TEAMS)])
        source = Source.objects.create(name="bench")
        scope = ChargeScope.objects.create(
            source=source,
            bill_import=Import.objects.create(source=source, status="loaded", file_name="bench"),
            billing_account_id="acct",
            billing_period_start=datetime(2026, 9, 1, tzinfo=UTC),
            billing_period_end=datetime(2026, 10, 1, tzinfo=UTC),
            billing_month=MONTH,
            delivery="overwrite",
            state="current",
        )
        values["scope"] = scope.pk
        cursor.execute("SELECT ensure_charge_partition(%s)", [MONTH])
        for statement in (
            TOKEN_DIMENSIONS, GPU_DIMENSIONS, OTHER_DIMENSIONS, CHARGES, MONTHLY_CHARGES, USAGE_DIMENSIONS, USAGE
        ):  # fmt: skip
            cursor.execute(statement, values)
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM charge), (SELECT count(*) FROM usage_hourly)")
        counts: tuple[int, int] = cursor.fetchone()
    return counts
