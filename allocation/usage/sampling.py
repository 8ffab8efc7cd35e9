"""How far sampling alone may put a run's shares from what all spans would have given.

A sampled span stands for w calls. With x the extrapolated tokens of a target under one key and day,
and v the estimated variance of x (Horvitz and Thompson's estimator), the target gets C x/X of a
line of cost C. The variance of that share, to first order, is

    (C/X)^2 [ (1 - x/X)^2 v + (x/X)^2 (V - v) ]

with X and V the sums over all targets of the key. Input and output tokens of a call are sampled
together, so their covariance enters twice. Days are independent. A target that has a key to itself
has no error: it gets the whole line.

First order is too little where a few spans stand for a day: the residuals are measured against the
share that the same spans gave. The jackknife, which measures each against the share of the others,
divides a span's residual by 1 - wt/X. The average of wt/X over the spans, each by its part of V, is
at least V/X^2 (large spans weigh more), so the variance of each side is raised by 1 + 2 V/X^2, the
jackknife's to first order.

What a share is off by on average, which no variance shows, its weight is corrected for
(allocation.usage.index.Weights).

Taxes, support and credits follow a source's cost in proportion and carry its error along: with F of
them on a cost of E, an error is 1 + F/E times as large. F and E are the source's of the month, so
this holds for whole months.

The rollup keeps v as if every span were kept or dropped by itself, the sum of w(w-1)tt over spans.
At the head whole traces are, and an agent's trace has many calls; so v is raised by what clustering
adds, measured on the stored spans.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.storage.rows import whole_month_plans
from allocation.usage.keys import ANY_PROJECT, SAME_PROVIDER, DeclaredUsage
from allocation.values.names import USAGE

# Declared provider, project, model, team and feature -> the factor on the variance of input and of
# output tokens.
Clustering = dict[tuple[str | None, ...], tuple[Decimal, Decimal]]

CLUSTERING_SQL = """
-- One row per provider, project, model, team and feature with sampled spans: variance by traces
-- over variance by spans.
WITH trace AS (
    SELECT d.provider, d.project, d.model, d.team, d.feature, max(w) AS w,
        sum(t) AS t, sum(t * t) AS tt, sum(o) AS o, sum(o * o) AS oo
    FROM span s JOIN allocation_usagedimension d ON d.id = s.dimension_id
    CROSS JOIN LATERAL (SELECT s.adjusted_count::float8 AS w,
        (s.output_text + s.reasoning + s.output_audio
        + s.output_image)::float8 AS o,
            (s.input_uncached + s.cache_read + s.cache_write_5m + s.cache_write_1h
        + s.input_audio + s.input_image)::float8 AS t) tokens
    WHERE s.span_day >= %(start)s AND s.span_day < %(end)s AND s.counted AND s.adjusted_count > 1
    GROUP BY s.trace_id, 1, 2, 3, 4, 5
)
SELECT provider, project, model, team, feature,
    round(coalesce(sum(w * (w - 1) * t * t) / nullif(sum(w * (w - 1) * tt), 0), 1)::numeric, 3),
    round(coalesce(sum(w * (w - 1) * o * o) / nullif(sum(w * (w - 1) * oo), 0), 1)::numeric, 3)
FROM trace GROUP BY 1, 2, 3, 4, 5
"""


def clustering_of(start: date, end: date) -> Clustering:
    """Of the spans of these days that are still stored; what is missing counts as not clustered."""
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(CLUSTERING_SQL, {"start": start, "end": end})
        return {tuple(row[:5]): (row[5], row[6]) for row in cursor.fetchall()}


def clustered(row: DeclaredUsage, clustering: Clustering) -> tuple[int, int]:
    """The row's variance with what clustering adds."""
    if row.variance == (0, 0):
        return row.variance
    providers = [
        row.key.provider,
        *(told for told, name in SAME_PROVIDER.items() if name == row.key.provider),
    ]
    names = (
        (provider, row.key.project, row.key.model, *row.attributes[:2]) for provider in providers
    )
    factors = next(
        (clustering[name] for name in names if name in clustering), (Decimal(1), Decimal(1))
    )
    return int(row.variance[0] * factors[0]), int(row.variance[1] * factors[1])


DAYS_SQL = "SELECT min(day), max(day) + 1 FROM charge_group WHERE run_id = %(run)s"
RECORD_SQL = """
-- Writes, per day, team, feature, model and environment whose share rests on sampled spans, the
-- variance of its cost.
WITH factor AS (
    SELECT * FROM unnest(%(names)s::text[], %(projects)s::text[], %(models)s::text[],
        %(teams)s::text[],
        %(features)s::text[], %(inputs)s::float8[], %(outputs)s::float8[])
        AS f(provider, project, model, team, feature, input, output)
), carried AS (
    -- One row per source: its whole cost over what others follow.
    SELECT b.source_id, (1 + coalesce(sum(g.effective_cost) FILTER (WHERE b.method = 'follow')
        / nullif(sum(g.effective_cost) FILTER (WHERE b.method <> 'follow'), 0), 0))::float8 AS
            with_followers
    FROM charge_group g
    JOIN charge_split_key b ON b.run_id = g.run_id AND b.split_key_id = g.split_key_id
    WHERE g.run_id = %(run)s
    GROUP BY 1
), line AS (
    -- Cost per key and day with what follows it, of input and of output tokens. A line without
    -- class counts as input.
    SELECT b.split_key->>'provider' AS provider, b.split_key->>'project' AS project,
        b.split_key->>'model' AS model,
        g.day,
        sum(g.effective_cost * c.with_followers) FILTER (WHERE b.split_key->>'token_class' IS NULL
            OR b.split_key->>'token_class' NOT IN ('output', 'reasoning', 'output_audio',
                'output_image')
        )::float8 AS cost_in,
        sum(g.effective_cost * c.with_followers) FILTER (WHERE b.split_key->>'token_class'
            IN ('output', 'reasoning', 'output_audio', 'output_image'))::float8 AS cost_out
    FROM charge_group g
    JOIN charge_split_key b ON b.run_id = g.run_id AND b.split_key_id = g.split_key_id
    JOIN carried c ON c.source_id = b.source_id
    WHERE g.run_id = %(run)s AND b.method = 'traced_usage'
    GROUP BY 1, 2, 3, 4
), used AS (
    SELECT coalesce(same.name, d.provider) AS provider, d.project, d.model,
        (u.hour AT TIME ZONE 'UTC')::date AS day, d.team, d.feature, d.environment, d.phase,
        sum(u.input_uncached + u.cache_read + u.cache_write_5m + u.cache_write_1h + u.input_audio
            + u.input_image)::float8 AS x_in,
        sum(u.output_text + u.reasoning + u.output_audio + u.output_image)::float8 AS x_out,
        sum(u.variance_input * coalesce(f.input, 1)) AS v_in,
            sum(u.variance_output * coalesce(f.output, 1)) AS v_out,
        sum(u.covariance * sqrt(coalesce(f.input * f.output, 1))) AS v_both
    FROM usage_live u JOIN allocation_usagedimension d ON d.id = u.dimension_id
    LEFT JOIN factor f ON f.provider = d.provider AND f.project IS NOT DISTINCT FROM d.project
        AND f.model = d.model
        AND f.team IS NOT DISTINCT FROM d.team AND f.feature IS NOT DISTINCT FROM d.feature
    LEFT JOIN unnest(%(told)s::text[], %(called)s::text[]) AS same(told, name)
        ON same.told = d.provider
    WHERE u.hour >= %(start)s AND u.hour < %(end)s
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), share AS (
    SELECT used.*,
        coalesce(line.cost_in / nullif(sum(x_in) OVER key, 0), 0) AS a,
        coalesce(line.cost_out / nullif(sum(x_out) OVER key, 0), 0) AS b,
        coalesce(x_in / nullif(sum(x_in) OVER key, 0), 0) AS s,
        coalesce(x_out / nullif(sum(x_out) OVER key, 0), 0) AS t,
        sum(x_in) OVER key AS total_in, sum(x_out) OVER key AS total_out,
        sum(v_in) OVER key AS all_in, sum(v_out) OVER key AS all_out,
            sum(v_both) OVER key AS all_both
    FROM used JOIN line ON used.day = line.day AND used.model = line.model
        AND used.provider IS NOT DISTINCT FROM line.provider
        AND (line.project = %(any)s OR used.project IS NOT DISTINCT FROM line.project)
    WINDOW key AS (PARTITION BY line.provider, line.project, line.model, line.day)
), raised AS (
    SELECT *, 1 + coalesce(2 * all_in / nullif(total_in * total_in, 0), 0) AS j,
        1 + coalesce(2 * all_out / nullif(total_out * total_out, 0), 0) AS k
    FROM share WHERE all_in > 0 OR all_out > 0
), found AS (
    SELECT day, team, feature, model, environment, phase, sum(
        j * a * a * ((1 - s) * (1 - s) * v_in + s * s * (all_in - v_in))
        + k * b * b * ((1 - t) * (1 - t) * v_out + t * t * (all_out - v_out))
        + sqrt(j * k) * 2 * a * b * ((1 - s) * (1 - t) * v_both + s * t * (all_both - v_both))
    ) AS variance
    FROM raised
    GROUP BY 1, 2, 3, 4, 5, 6
)
UPDATE slice_usage u SET cost_variance = found.variance
FROM found JOIN run_slice r ON r.run_id = %(run)s AND r.part = %(usage)s AND r.day = found.day
WHERE u.slice_id = r.slice_id AND u.team IS NOT DISTINCT FROM found.team
    AND u.feature IS NOT DISTINCT FROM found.feature AND u.model IS NOT DISTINCT FROM found.model
    AND u.environment IS NOT DISTINCT FROM found.environment AND u.phase IS NOT DISTINCT
        FROM found.phase
"""


def record_sampling(run_id: int, clustering: Clustering | None) -> None:
    """Write `cost_variance` of the run's usage_daily; nothing to do where every span was kept
    (None).
    """
    if clustering is None:
        return
    columns = [[name[n] for name in clustering] for n in range(5)]
    factors = [[pair[n] for pair in clustering.values()] for n in range(2)]
    names = ("names", "projects", "models", "teams", "features", "inputs", "outputs")
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(DAYS_SQL, {"run": run_id})
        start, end = cursor.fetchone() or (None, None)
        values: dict[str, Any] = dict(zip(names, [*columns, *factors], strict=True))
        values |= {
            "told": list(SAME_PROVIDER),
            "called": list(SAME_PROVIDER.values()),
            "any": ANY_PROJECT,
        }
        values |= {"run": run_id, "usage": USAGE, "start": start, "end": end}
        cursor.execute(RECORD_SQL, values)
