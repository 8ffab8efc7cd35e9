"""Model calls of some UTC days, summed up by whatever their usage dimensions tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from django.db import connection

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.catalogue.price_list import packaged
from allocation.catalogue.vocabulary import PACKAGE_PROVIDERS, SELLERS, canonical_provider
from reports.asking import TeamScope, within_scope
from reports.queries.usage.price_line import falls_back, line_in_force, price_match

# What rows can be made by -> SQL. A call that names no seller (a framework, a gateway, nothing) is
# shown under the one whose price list knows its model.
BY = {
    "service": "d.service",
    "provider": "coalesce(CASE WHEN d.provider = ANY(%(sellers)s) THEN d.provider END,"
    " maker.name, d.provider)",
    "model": "d.model",
    "team": "d.team",
    "feature": "d.feature",
    "product": "d.product",
    "environment": "d.environment",
    "customer": "d.customer",
    "project": "d.project",
    "key": "d.caller",
    "tier": "d.tier",
    "person": "coalesce(CASE WHEN %(shows_names)s THEN n.name END, w.person)",
    "repository": "w.repository",
    "day": "(u.hour AT TIME ZONE 'UTC')::date",
}
OF_WHO = ("person", "repository")
MEASURES = (
    "calls", "calls_without_usage", "errors", "cached_answers", "client_cost", "client_cost_calls",
    *TOKEN_COLUMNS,
)  # fmt: skip
TOKENS = " + ".join(f"u.{name}" for name in TOKEN_COLUMNS)

MAKER = """
LEFT JOIN LATERAL (
    SELECT called.name
    FROM allocation_pricematch m
    JOIN unnest(%(told)s::text[], %(called)s::text[]) AS called(id, name) ON called.id =
        m.price_provider
    WHERE m.model_text IN (d.model_answered, d.model_requested)
        AND m.provider = coalesce(d.provider, '')
    ORDER BY m.version_id DESC, m.model_text = d.model_answered DESC
    LIMIT 1) AS maker ON true
"""
# Whether usage of a tier that should have a price of its own was priced by a general line.
CLASSES = ", ".join(f"('{name}', u.{name})" for name in TOKEN_COLUMNS)
LINE = line_in_force(
    version="m.version_id",
    provider="m.price_provider",
    model="m.price_model",
    of_class="class.token_class",
    tier="d.tier",
    band="d.context_band",
    at="u.hour AT TIME ZONE 'UTC'",
)
GENERAL = f"""
LEFT JOIN LATERAL (
    SELECT bool_or({falls_back("d.tier", "line.tier")}) AS is_so
    FROM ({price_match(version="u.price_version_id", dimension="d")}) AS m
    CROSS JOIN (VALUES {CLASSES}) AS class(token_class, tokens)
    CROSS JOIN LATERAL ({LINE}) AS line
    WHERE coalesce(d.tier, 'standard') <> 'standard' AND class.tokens <> 0
) AS general ON true
"""  # noqa: S608  names of columns
WHO = """
LEFT JOIN usage_who w ON w.id = u.who_id
LEFT JOIN person_name n ON n.person = w.person
"""
# Usage of who is told, and what it leaves of the whole: that is of nobody.
WHOLE = """
SELECT u.hour, u.dimension_id, NULL::bigint AS who_id, 1 AS sign, {measures},
    u.list_cost, u.price_version_id FROM usage_hourly u
WHERE u.hour >= %(first)s AND u.hour < %(last)s
"""
TOLD = """
UNION ALL
SELECT u.hour, u.dimension_id, part.who_id, part.sign, {measures}, u.list_cost, u.price_version_id
FROM who_daily u CROSS JOIN LATERAL (VALUES (u.who_id, 1), (NULL, -1)) AS part(who_id, sign)
WHERE u.hour >= %(first)s AND u.hour < %(last)s
"""
# One row per combination of the columns; UTC days [first, last). Usage whose price is not known
# leaves its day without a cost, unless all of it is told of.
USAGE = """
WITH daily AS (
    SELECT date_trunc('day', u.hour, 'UTC') AS hour, u.dimension_id, u.who_id, {sums},
        coalesce(sum(u.sign * u.calls) FILTER (WHERE general.is_so), 0) AS general_calls,
        bool_or(u.list_cost IS NULL AND {tokens} > 0) AS is_unpriced,
        sum(u.sign * u.list_cost) AS list_cost
    FROM ({leaves}) AS u
    JOIN allocation_usagedimension d ON d.id = u.dimension_id
    {general}
    GROUP BY 1, 2, 3
)
SELECT {columns}, sum(u.calls), sum(u.calls_without_usage), sum(u.errors), sum(u.cached_answers),
    CASE WHEN bool_or(u.is_unpriced AND {tokens} > 0) THEN NULL
        ELSE coalesce(sum(u.list_cost) FILTER (WHERE NOT u.is_unpriced), 0) END,
    CASE WHEN sum(u.client_cost_calls) > 0 THEN sum(u.client_cost) END, sum(u.client_cost_calls),
    sum(u.general_calls), {token_sums}
FROM daily u
JOIN allocation_usagedimension d ON d.id = u.dimension_id
{who}
{maker}
WHERE {scope}
GROUP BY {numbers}
HAVING sum(u.calls) <> 0 OR sum(u.cached_answers) <> 0
ORDER BY {numbers}
"""
# The median is over spans, as far as they are kept.
FIRST_CHUNK = """
SELECT {columns}, percentile_cont(0.5) WITHIN GROUP (ORDER BY u.time_to_first_chunk_us) / 1000
FROM (
    SELECT *, date_trunc('hour', started_at, 'UTC') AS hour FROM call_as_counted
    WHERE span_day >= %(first)s AND span_day < %(last)s AND counted
        AND time_to_first_chunk_us IS NOT NULL) AS u
JOIN allocation_usagedimension d ON d.id = u.dimension_id
{who}
{maker}
WHERE {scope}
GROUP BY {numbers}
"""


@dataclass(frozen=True)
class UsageSum:
    """One combination; what is unknown is None."""

    key: tuple[Any, ...]
    first_chunk_ms: float | None
    tokens: dict[str, Decimal]
    calls: Decimal
    calls_without_usage: Decimal  # of those that did not fail
    calls_failed: Decimal
    cached_answers: Decimal  # no calls
    list_cost: Decimal | None  # USD; None where any of the usage has no price
    client_cost: Decimal | None
    client_cost_calls: Decimal
    general_price_calls: Decimal  # of a tier for which some class has no price of its own


def usage_by(
    *,
    names: Sequence[str],
    first: date,
    last: date,
    teams: TeamScope,
    only: Mapping[str, Any] | None = None,
    shows_names: bool = False,
) -> list[UsageSum]:
    """A row for each combination of these names of BY that has calls in the UTC days [first, last);
    `only` those whose name is as told. Persons by their names, where these are kept and to be
    shown.

    Reads what is merged and priced; `merge_deltas` first to have everything.
    """
    only = only or {}
    columns = [BY[name] for name in names]
    asked = {*names, *only}
    of_who = not asked.isdisjoint(OF_WHO)
    leaves = WHOLE + (TOLD if of_who else "")
    words = {
        "who": WHO if of_who else "",
        "columns": ", ".join(columns),
        "numbers": ", ".join(str(number) for number in range(1, len(names) + 1)),
        "general": GENERAL,
        "maker": MAKER if "provider" in asked else "",
        "scope": " AND ".join(
            [within_scope("d.team"), *(f"{BY[name]} = %(only_{name})s" for name in only)]
        ),
        "tokens": f"({TOKENS})",
        "leaves": leaves.format(measures=", ".join(f"u.{name}" for name in MEASURES)),
        "sums": ", ".join(f"sum(u.sign * u.{name}) AS {name}" for name in MEASURES),
        "token_sums": ", ".join(f"sum(u.{name})" for name in TOKEN_COLUMNS),
    }
    parameters = {
        "first": first,
        "last": last,
        "teams": teams.bound,
        "shows_names": shows_names,
        **{f"only_{name}": value for name, value in only.items()},
        **sellers(),
    }
    with connection.cursor() as cursor:
        cursor.execute(FIRST_CHUNK.format(**words), parameters)
        width = len(names)
        medians = {row[:width]: row[width] for row in cursor.fetchall()}
        cursor.execute(USAGE.format(**words), parameters)
        rows = cursor.fetchall()
    return [
        UsageSum(
            row[:width],
            medians.get(row[:width]),
            dict(zip(TOKEN_COLUMNS, row[width + 8 :], strict=True)),
            *row[width : width + 8],
        )
        for row in rows
    ]


@cache
def sellers() -> dict[str, list[str]]:
    """Who sells models, under our names; and with ours the names that prices are listed under: the
    package's, and our own.
    """
    lists = {name: PACKAGE_PROVIDERS.get(name, name) for name in SELLERS}
    lists |= {each.id: each.id for each in packaged().providers}
    called = {name: canonical_provider(of_list) for name, of_list in lists.items()}
    return {"sellers": sorted(SELLERS), "told": [*called], "called": [*called.values()]}
