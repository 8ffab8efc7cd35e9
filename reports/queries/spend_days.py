"""What was spent each day, by team, by feature and by model?"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from django.db import connection

from allocation.values.periods import Period
from reports.queries.kept import kept
from reports.queries.spend_filter import Spend

# One row per day and team, day and feature, day and model of the AI scopes, in one scan. The number
# says which.
DAYS = """
SELECT grouping(team, feature, model) AS level, day, coalesce(team, feature, model) AS name,
    sum(cost) AS cost
FROM (
    SELECT day, team, feature, model,
        CASE %(metric)s WHEN 'billed_cost' THEN billed_cost ELSE effective_cost END AS cost
    FROM cost_daily
    WHERE run_id = ANY(%(runs)s) AND ai_scope <> 'other' AND day >= %(start)s AND day < %(end)s
        AND (%(teams)s::text[] IS NULL OR team = ANY(%(teams)s))
        AND (%(environment)s::text IS NULL OR environment = %(environment)s)
) AS costs
GROUP BY GROUPING SETS ((day, team), (day, feature), (day, model))
ORDER BY day
"""
BY_TEAM, BY_FEATURE, BY_MODEL = 0b011, 0b101, 0b110

Named = dict[str | None, dict[date, Decimal]]


@dataclass
class SpendDays:
    """Cost per name and day; the name None is what has no team (unallocated), feature or model."""

    by_team: Named = field(default_factory=dict)
    by_feature: Named = field(default_factory=dict)
    by_model: Named = field(default_factory=dict)


@kept
def spend_days(*, spend: Spend, period: Period) -> SpendDays:
    days = SpendDays()
    levels = {BY_TEAM: days.by_team, BY_FEATURE: days.by_feature, BY_MODEL: days.by_model}
    with connection.cursor() as cursor:
        cursor.execute(DAYS, {**spend.bound(), "start": period.start, "end": period.end})
        for level, day, name, cost in cursor.fetchall():
            levels[level].setdefault(name, {})[day] = cost
    return days
