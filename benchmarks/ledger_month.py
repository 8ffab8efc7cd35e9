"""A billing month of any size for the ledger's benchmarks: token lines, resources and fees of all
kinds, tax and credit.

Four charges in five are token lines, hourly for every (project, model, class) of three providers;
each (project, model) is called by a few features of many. The rest are the resources that the two
hundred rules of ledger_rules are about. Every row has x_ columns, and no day says what another
says. Prices are in twelve and more places. Bills count 2% more tokens than traces, as real ones do;
of one project, many more.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import connection, connections, transaction
from django.utils import timezone

from allocation.models import (
    ChargeDimension,
    ChargeScope,
    Feature,
    FeaturePlacement,
    IdentityOwner,
    Import,
    Product,
    RuleSet,
    Source,
    Team,
)
from allocation.rules.rule_sets import latest_rule_set
from allocation.runs.month import RunOutcome, allocate_period
from allocation.values.names import NO_RULE
from allocation.values.periods import Period
from benchmarks.ledger_resources import KEYS, BilledResource
from benchmarks.ledger_rules import ledger_rules
from reports.asking import TeamScope
from reports.cost_question.question import CostQuestion
from reports.cost_question.runs import current_runs
from reports.queries.costs.matched_rules import matched_charges
from reports.queries.reconcile.ledger import reconcile_period

MONTH = date(2026, 9, 1)
START, END = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
HOURS = 30 * 24
TEAMS = 300
FEATURES = 300
PRODUCTS = 30
CLASSES = ("input", "cached input", "output")
PROJECTS = 12  # of a month of a million charges; a smaller month has fewer, and fewer models
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
INSERT INTO allocation_chargedimension (content_hash, billing_period_start, billing_period_end,
    billing_account_id,
    billing_currency, charge_category, charge_description, provider_name, service_category,
        service_name, sub_account_id,
    consumed_unit, pricing_unit, sku_meter, tags, resource_id)
SELECT decode(md5('bench token ' || p || ' ' || m || ' ' || c || ' ' || r), 'hex'), '2026-09-01Z',
    '2026-10-01Z',
    'acct', 'USD', 'Usage', (%(models)s::text[])[m] || ', ' || (%(classes)s::text[])[c],
    (%(providers)s::text[])[m],
    'AI and Machine Learning',
    CASE (%(providers)s::text[])[m] WHEN 'Google Cloud' THEN 'Vertex AI'
        ELSE (%(providers)s::text[])[m] || ' API' END,
    'proj-' || p, 'Tokens', '1M tokens', (%(models)s::text[])[m] || ', ' ||
        (%(classes)s::text[])[c],
    jsonb_build_object('team', 'team-' || p), 'resource-' || r
FROM generate_series(1, %(projects)s) p, generate_series(1, array_length(%(models)s::text[], 1)) m,
    generate_series(1, 3) c, generate_series(1, %(per_line)s) r
ON CONFLICT DO NOTHING
"""
OTHER_DIMENSIONS = """
INSERT INTO allocation_chargedimension (content_hash, billing_period_start, billing_period_end,
    billing_account_id,
    billing_currency, charge_category, charge_description, provider_name, service_category,
        service_name, sub_account_id)
SELECT decode(md5('bench other ' || k || p), 'hex'), '2026-09-01Z', '2026-10-01Z', 'acct', 'USD',
    k, k, p, 'Other', 'Other',
    CASE WHEN p = 'AWS' THEN 'account-1' END
FROM unnest(ARRAY['Tax', 'Credit']) k, unnest(ARRAY['OpenAI', 'Anthropic', 'Google Cloud', 'AWS']) p
ON CONFLICT DO NOTHING
"""
# How much a project calls a model on the day of hour `h`; what a bill and the traces agree on.
VOLUME = "100 + (hashtext({project} || {model}) & 31) + h / 24"
# A row's x_ columns say which of the project's keys the calls were made with; every hour another.
TOKEN_CHARGES = """
INSERT INTO charge (billing_month, scope_id, line, dimension_id, charge_period_start,
    charge_period_end, billed_cost,
    effective_cost, list_cost, contracted_cost, consumed_quantity, pricing_quantity, extra)
SELECT '2026-09-01', %(scope)s, row_number() OVER (), d.id, t, t + interval '1 hour', cost,
    cost * 0.9, cost * 1.25, cost,
    tokens, tokens / 1000000.0,
    jsonb_build_object('x_key_name', (%(keys)s::text[])[1 + (d.id + h) %%
        array_length(%(keys)s::text[], 1)],
        'x_invoice_section', 'section-' || d.id %% 40, 'x_tokens_cached',
            (tokens / 7)::bigint::text)
FROM allocation_chargedimension d
CROSS JOIN generate_series(0, 719) h
CROSS JOIN LATERAL (SELECT '2026-09-01Z'::timestamptz + h * interval '1 hour' AS t) hours
CROSS JOIN LATERAL (
    SELECT (%(callers)s * ({volume})::numeric / %(per_line)s
        * CASE split_part(d.sku_meter, ', ', 2) WHEN 'cached input' THEN 92 WHEN 'output' THEN 105
            ELSE 102 END
        * CASE d.sub_account_id WHEN 'proj-12' THEN 1.7 ELSE 1 END) AS tokens
) a
CROSS JOIN LATERAL (SELECT tokens * 0.0000025 * (1 + d.id %% 7) AS cost) b
WHERE d.consumed_unit = 'Tokens'
""".replace(
    "{volume}", VOLUME.format(project="d.sub_account_id", model="split_part(d.sku_meter, ', ', 1)")
)
RESOURCE_CHARGES = """
INSERT INTO charge (billing_month, scope_id, line, dimension_id, charge_period_start,
    charge_period_end, billed_cost,
    effective_cost, list_cost, contracted_cost, consumed_quantity, pricing_quantity, extra)
SELECT '2026-09-01', %(scope)s, 100000000 + row_number() OVER (), r.id, t, t + interval '1 hour',
    cost, cost * 0.9,
    cost * 1.25, cost, 1 + n %% 10, 1 + n %% 10, r.extra || jsonb_build_object('x_operation',
        'operation-' || n %% 6)
FROM unnest(%(ids)s::bigint[], %(extras)s::jsonb[], %(costs)s::numeric[]) AS r(id, extra, cost_from)
CROSS JOIN generate_series(0, %(rows)s - 1) n
CROSS JOIN LATERAL (SELECT '2026-09-01Z'::timestamptz + n * 720 / %(rows)s * interval '1 hour' AS
    t) hours
CROSS JOIN LATERAL (SELECT cost_from * (1 + n %% 10) + (r.id %% 11) / 1000000.0 AS cost) b
"""
MONTHLY_CHARGES = """
INSERT INTO charge (billing_month, scope_id, line, dimension_id, charge_period_start,
    charge_period_end, billed_cost,
    effective_cost, list_cost, contracted_cost)
SELECT '2026-09-01', %(scope)s, 200000000 + row_number() OVER (), d.id, '2026-09-01Z',
    '2026-10-01Z', cost, cost, cost, cost
FROM allocation_chargedimension d
CROSS JOIN LATERAL (SELECT CASE d.charge_category WHEN 'Tax' THEN 1234.56 ELSE -77.7 END AS cost) c
WHERE d.service_name = 'Other'
"""
USAGE_DIMENSIONS = """
INSERT INTO allocation_usagedimension (content_hash, is_inference, operation, provider, project,
    model_requested,
    model_answered, model, tier, context_band, team, feature, environment)
SELECT decode(md5('bench usage ' || p || ' ' || m || ' ' || k), 'hex'), true, 'chat',
    (%(names)s::text[])[m], 'proj-' || p,
    (%(models)s::text[])[m], (%(models)s::text[])[m], (%(models)s::text[])[m], 'standard', 0,
    'team-' || (p * 31 + m * 7 + k) %% %(teams)s, 'feature-' || (p * 31 + m * 7 + k) %%
        %(features)s,
    CASE WHEN k %% 3 = 0 THEN 'staging' ELSE 'production' END
FROM generate_series(1, %(projects)s) p, generate_series(1, array_length(%(models)s::text[], 1)) m,
    generate_series(1, %(callers)s) k
ON CONFLICT DO NOTHING
"""
USAGE = """
INSERT INTO usage_hourly (hour, dimension_id, spans, calls, calls_without_usage, errors,
    input_uncached, cache_read,
    cache_write_5m, cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio,
        output_image,
    duration_us, variance_input, variance_output, covariance, list_cost)
SELECT t, d.id, 5, 5, 0, 0, 100 * volume, 90 * volume, 0, 0, 100 * volume, 3 * volume, 0, 0, 0, 0,
    5000000, 0, 0, 0,
    0.01 * (1 + d.id %% 5)
FROM allocation_usagedimension d
CROSS JOIN generate_series(0, 719) h
CROSS JOIN LATERAL (SELECT '2026-09-01Z'::timestamptz + h * interval '1 hour' AS t,
    {volume} AS volume) hours
ON CONFLICT DO NOTHING
""".replace("{volume}", VOLUME.format(project="d.project", model="d.model"))


PROVIDER_USAGE = """
INSERT INTO allocation_providerusage (day, provider, project, model, is_batch, api_key, requests,
    input_uncached, cache_read,
    cache_write_5m, cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio,
        output_image)
SELECT '2026-09-01'::date + day, (%(names)s::text[])[m], 'proj-' || p, (%(models)s::text[])[m],
    false, key, 5,
    1000 + number * day, 900, 0, 0, 800, 30, 0, 0, 0, 0
FROM generate_series(1, %(projects)s) p, generate_series(1, array_length(%(models)s::text[], 1)) m,
    generate_series(0, 29) day, unnest(%(keys)s::text[]) WITH ORDINALITY AS k(key, number)
WHERE (number + p) %% 4 = 0
"""
GPU_USAGE = """
INSERT INTO allocation_gpuusage (hour, cluster, node, workload, team, feature, capacity_seconds,
    booked_seconds,
    requested_seconds)
SELECT '2026-09-01Z'::timestamptz + day * interval '1 day', 'cluster', node, CASE WHEN w > 0
    THEN 'job-' || w END,
    CASE WHEN w > 0 THEN 'team-' || (number * 7 + w * 41) %% 300 END,
    CASE WHEN w > 0 THEN 'feature-' || (number * 7 + w * 41) %% 300 END,
    CASE WHEN w = 0 THEN 8 * 86400 END, CASE WHEN w > 0 THEN 60000 + w * 3600 ELSE 0 END, 0
FROM unnest(%(nodes)s::text[]) WITH ORDINALITY AS n(node, number), generate_series(0, 29) day,
    generate_series(0, 8) w
"""
SERIES = """
INSERT INTO allocation_driverpoint (series, month, day, team, feature, quantity)
SELECT series, '2026-09-01', CASE WHEN series = 'queries' THEN '2026-09-01'::date + day END,
    'team-' || n,
    CASE WHEN series <> 'seats' THEN 'feature-' || n END, 1 + (n * 37 + day * 11) %% 97
FROM unnest(ARRAY['seats', 'queries', 'stored']) series, generate_series(0, 299) n,
    generate_series(0, 29) day
WHERE series = 'queries' OR day = 0
"""


@dataclass(frozen=True)
class MonthSize:
    """How a month of some size is made up. Smaller months have fewer keys to split by, as well as
    fewer rows of each.
    """

    models: int
    projects: int
    callers: int  # usage rows per hour of a project's model
    per_line: int  # charges per hour of a project's model and class
    rows: int  # charges per resource
    copies: int  # of each resource


def shape_of(*, charges: int, usage_rows: int, resources: int) -> MonthSize:
    models = max(1, min(len(MODELS), charges // 8_000))
    projects = max(1, min(PROJECTS, charges // 80_000))
    pairs = projects * models
    copies = -(-charges // 5 // (resources * HOURS))
    return MonthSize(
        models=models,
        projects=projects,
        callers=max(1, round(usage_rows / HOURS / pairs)),
        per_line=max(1, round(charges * 0.8 / HOURS / (pairs * len(CLASSES)))),
        rows=max(1, min(HOURS, round(charges / 5 / (resources * copies)))),
        copies=copies,
    )


def fill(*, charges: int, usage_rows: int) -> tuple[int, int]:
    """Write about that many charges and usage rows; returns the counts that stand there. The
    database must be empty.
    """
    resources = ledger_rules().resources
    shape = shape_of(charges=charges, usage_rows=usage_rows, resources=len(resources))
    models = MODELS[: shape.models]
    values: dict[str, Any] = {
        "models": [model for _, _, model in models],
        "providers": [bill for bill, _, _ in models],
        "names": [name for _, name, _ in models],
        "classes": list(CLASSES),
        "keys": list(KEYS),
        "projects": shape.projects,
        "per_line": shape.per_line,
        "callers": shape.callers,
        "rows": shape.rows,
        "teams": TEAMS,
        "features": FEATURES,
        "nodes": [str(each.columns["resource_id"]) for each in resources if each.is_node],
    }
    with transaction.atomic(), connection.cursor() as cursor:
        organise()
        source = Source.objects.create(name="bench", delivery="append")
        values["scope"] = deliver(source).pk
        values |= write_resources(resources, shape.copies)
        cursor.execute("SELECT ensure_charge_partition(%s)", [MONTH])
        for statement in (
            TOKEN_DIMENSIONS, OTHER_DIMENSIONS, TOKEN_CHARGES, RESOURCE_CHARGES, MONTHLY_CHARGES,
            USAGE_DIMENSIONS, USAGE, PROVIDER_USAGE, GPU_USAGE, SERIES,
        ):  # fmt: skip
            cursor.execute(statement, values)
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM charge), (SELECT count(*) FROM usage_hourly)")
        counts: tuple[int, int] = cursor.fetchone()
    return counts


def organise() -> None:
    """Teams, features in products, and whose the providers' keys are."""
    ever = date(2020, 1, 1)
    teams = Team.objects.bulk_create(
        [Team(slug=f"team-{n}", name=f"Team {n}") for n in range(TEAMS)]
    )
    products = Product.objects.bulk_create(
        [Product(slug=f"product-{n}", name=f"Product {n}") for n in range(PRODUCTS)]
    )
    features = Feature.objects.bulk_create(
        [Feature(slug=f"feature-{n}", name=f"Feature {n}") for n in range(FEATURES)]
    )
    FeaturePlacement.objects.bulk_create(
        FeaturePlacement(
            feature=feature,
            owner_team=teams[n % TEAMS],
            product=products[n % PRODUCTS],
            valid_from=ever,
        )
        for n, feature in enumerate(features)
    )
    IdentityOwner.objects.bulk_create(
        IdentityOwner(
            provider=provider,
            kind="api_key",
            value=key,
            team=f"team-{n * 13}",
            feature=f"feature-{n}",
            valid_from=ever,
        )
        for provider in sorted({name for _, name, _ in MODELS})
        for n, key in enumerate(KEYS)
    )


def deliver(source: Source) -> ChargeScope:
    """One more delivery for the month, published: a scope to put charges under."""
    delivered = Import.objects.create(
        source=source, status="loaded", file_name="bench", finished_at=END
    )
    return ChargeScope.objects.create(
        source=source,
        bill_import=delivered,
        billing_account_id="acct",
        billing_period_start=START,
        billing_period_end=END,
        billing_month=MONTH,
        delivery="append",
        state="current",
        published_at=END,
    )


def write_resources(resources: tuple[BilledResource, ...], copies: int) -> dict[str, list[Any]]:
    """A charge dimension for each copy of each resource; what RESOURCE_CHARGES needs of them, in
    the same order.
    """
    every = [(each, copy) for each in resources for copy in range(copies)]
    made: dict[bytes, ChargeDimension] = {}
    hashes = []
    for each, copy in every:
        about: dict[str, Any] = {
            **each.columns,
            "sku_id": f"{each.columns['sku_id']}-{copy}",
            "tags": each.tags,
        }
        content_hash = hashlib.md5(json.dumps(about, sort_keys=True).encode()).digest()
        hashes.append(content_hash)
        made[content_hash] = ChargeDimension(
            content_hash=content_hash,
            billing_period_start=START,
            billing_period_end=END,
            billing_account_id="acct",
            billing_currency="USD",
            **about,
        )
    ChargeDimension.objects.bulk_create(made.values())
    return {
        "ids": [made[content_hash].pk for content_hash in hashes],
        "extras": [json.dumps(each.extra) for each, _ in every],
        "costs": [each.cost for each, _ in every],
    }


def analyze() -> None:
    """Statistics, as autovacuum would gather them; only the owner may."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


# ---------------------------------------------------------------- allocating it


def put_in_force(text: str) -> RuleSet:
    """The rules as the next version, without the preview that applying them asks for."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    number = latest_rule_set().number + 1
    return RuleSet.objects.create(
        number=number, text=text, content_sha256=digest, effective_from=MONTH
    )


def allocate(*, reuse: bool = False) -> tuple[float, RunOutcome]:
    """Seconds until an allocation of the month is published, and its run; the month must balance.

    What superseded runs left is cleared away after that, and not counted.
    """
    period = Period.month(MONTH)
    published: list[float] = []

    def note(_done: int, _total: int, said: str) -> None:
        if said == "published":
            published.append(time.monotonic())

    began = time.monotonic()
    outcome = allocate_period(period=period, now=timezone.now(), reuse=reuse, progress=note)
    seconds = published[0] - began
    if not reconcile_period(period=period).is_balanced:
        raise SystemExit("the month does not balance")
    (run,) = outcome.runs
    return seconds, run


def rules_with_charges() -> int:
    """How many rules took something in the month's current run."""
    question = CostQuestion(runs=tuple(current_runs()), scope=TeamScope.everything())
    taken = matched_charges(question=question)
    return sum(bool(take.charges) for take in taken if take.rule != NO_RULE)
