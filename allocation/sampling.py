"""How far sampling alone may put a run's shares from what all spans would have given.

A sampled span stands for w calls. With x the extrapolated tokens of a target under one key and day, and v the estimated variance
of x (the rollup's sum of w(w-1)tt over its spans; Horvitz and Thompson's estimator under independent sampling), the target gets
C x/X of a line of cost C. The variance of that share, to first order, is

    (C/X)^2 [ (1 - x/X)^2 v + (x/X)^2 (V - v) ]

with X and V the sums over all targets of the key. Input and output tokens of a call are sampled together, so their covariance
enters twice. Days are independent. A target that has a key to itself has no error: it gets the whole line, sampled or not.
"""

from __future__ import annotations

from django.db import connection

DAYS_SQL = "SELECT min(day), max(day) + 1 FROM charge_group WHERE run_id = %(run)s"
IS_SAMPLED_SQL = """
SELECT EXISTS (SELECT FROM usage_live WHERE hour >= %(start)s AND hour < %(end)s AND (variance_input > 0 OR variance_output > 0))
"""
RECORD_SQL = """
-- Writes, per day, team, feature, model and environment whose share rests on sampled spans, the variance of its cost.
WITH line AS (
    -- Cost per key and day, of input and of output tokens. A line without class counts as input.
    SELECT b.split_key->>'provider' AS provider, b.split_key->>'project' AS project, b.split_key->>'model' AS model, g.day,
        sum(g.effective_cost) FILTER (WHERE b.split_key->>'token_class' IS NULL
            OR b.split_key->>'token_class' NOT IN ('output', 'reasoning', 'output_audio', 'output_image'))::float8 AS cost_in,
        sum(g.effective_cost) FILTER (WHERE b.split_key->>'token_class'
            IN ('output', 'reasoning', 'output_audio', 'output_image'))::float8 AS cost_out
    FROM charge_group g JOIN charge_bucket b ON b.run_id = g.run_id AND b.bucket = g.bucket
    WHERE g.run_id = %(run)s AND b.method = 'traced_usage'
    GROUP BY 1, 2, 3, 4
), used AS (
    SELECT d.provider, d.project, d.model, (u.hour AT TIME ZONE 'UTC')::date AS day, d.team, d.feature, d.environment,
        sum(u.input_uncached + u.cache_read + u.cache_write_5m + u.cache_write_1h + u.input_audio + u.input_image)::float8
            AS x_in,
        sum(u.output_text + u.reasoning + u.output_audio + u.output_image)::float8 AS x_out,
        sum(u.variance_input) AS v_in, sum(u.variance_output) AS v_out, sum(u.covariance) AS v_both
    FROM usage_live u JOIN allocation_usagedimension d ON d.id = u.dimension_id
    WHERE d.is_inference AND u.hour >= %(start)s AND u.hour < %(end)s
    GROUP BY 1, 2, 3, 4, 5, 6, 7
), share AS (
    SELECT used.*,
        coalesce(line.cost_in / nullif(sum(x_in) OVER key, 0), 0) AS a,
        coalesce(line.cost_out / nullif(sum(x_out) OVER key, 0), 0) AS b,
        coalesce(x_in / nullif(sum(x_in) OVER key, 0), 0) AS s,
        coalesce(x_out / nullif(sum(x_out) OVER key, 0), 0) AS t,
        sum(v_in) OVER key AS all_in, sum(v_out) OVER key AS all_out, sum(v_both) OVER key AS all_both
    FROM used JOIN line ON used.day = line.day AND used.provider IS NOT DISTINCT FROM line.provider
        AND used.project IS NOT DISTINCT FROM line.project AND used.model IS NOT DISTINCT FROM line.model
    WINDOW key AS (PARTITION BY used.provider, used.project, used.model, used.day)
), found AS (
    SELECT day, team, feature, model, environment, sum(
        a * a * ((1 - s) * (1 - s) * v_in + s * s * (all_in - v_in))
        + b * b * ((1 - t) * (1 - t) * v_out + t * t * (all_out - v_out))
        + 2 * a * b * ((1 - s) * (1 - t) * v_both + s * t * (all_both - v_both))
    ) AS variance
    FROM share WHERE all_in > 0 OR all_out > 0
    GROUP BY 1, 2, 3, 4, 5
)
UPDATE usage_daily SET cost_variance = found.variance
FROM found
WHERE usage_daily.run_id = %(run)s AND usage_daily.day = found.day AND usage_daily.team IS NOT DISTINCT FROM found.team
    AND usage_daily.feature IS NOT DISTINCT FROM found.feature AND usage_daily.model IS NOT DISTINCT FROM found.model
    AND usage_daily.environment IS NOT DISTINCT FROM found.environment
"""


def record_sampling(run_id: int) -> None:
    """Write `cost_variance` of the run's usage_daily; nothing to do where every span was kept."""
    with connection.cursor() as cursor:
        cursor.execute(DAYS_SQL, {"run": run_id})
        start, end = cursor.fetchone() or (None, None)
        values = {"run": run_id, "start": start, "end": end}
        cursor.execute(IS_SAMPLED_SQL, values)
        if (cursor.fetchone() or (False,))[0]:
            cursor.execute(RECORD_SQL, values)
