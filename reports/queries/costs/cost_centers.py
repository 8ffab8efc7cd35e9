"""What is each cost centre charged, in a month and in the one before?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from reports.asking import fetch
from reports.cost_question.answers import costs
from reports.cost_question.question import CostQuestion

# One row per cost centre (and one without); a team belongs where it stood on the charge day.
COST_CENTERS = """
SELECT center.code, center.name, coalesce(since.mode, center.mode),
    costs.team IS NULL AS is_unallocated,
    coalesce(sum(costs.cost) FILTER (WHERE costs.is_now), 0),
    coalesce(sum(costs.cost) FILTER (WHERE NOT costs.is_now), 0)
FROM unnest(%(teams)s::text[], %(days)s::date[], %(costs)s::numeric[], %(are_now)s::boolean[])
    AS costs (team, day, cost, is_now)
LEFT JOIN allocation_team AS team ON team.slug = costs.team
LEFT JOIN team_placement_period AS placed ON placed.team_id = team.id
    AND placed.valid_from <= costs.day AND (placed.valid_to IS NULL OR placed.valid_to > costs.day)
LEFT JOIN allocation_costcenter AS center ON center.id = placed.cost_center_id
LEFT JOIN LATERAL (
    SELECT later.mode FROM allocation_costcenterplacement AS later
    WHERE later.cost_center_id = center.id AND later.valid_from <= %(mode_on)s
    ORDER BY later.valid_from DESC LIMIT 1
) AS since ON true
GROUP BY center.code, center.name, coalesce(since.mode, center.mode), costs.team IS NULL
ORDER BY 5 DESC, center.code
"""


@dataclass(frozen=True)
class CostCenterSpend:
    """`code` None: no owner (unallocated), or a team without a cost centre."""

    code: str | None
    name: str | None
    mode: str | None
    is_unallocated: bool
    now: Decimal
    before: Decimal


def cost_centers(
    *, question: CostQuestion, before: CostQuestion, before_until: date | None, mode_on: date
) -> list[CostCenterSpend]:
    """The cost of two questions by cost centre, largest first; whether a centre is charged back is
    that of the day `mode_on`. `before_until` leaves out later days of the compared one, for a month
    that is still running.

    Of every environment, so that the lines make the bills' total. Costs of a run are cached; where
    a team stands may be edited any time, so it is read anew.
    """
    question, before = replace(question, filters=()), replace(before, filters=())
    days = [(*row.key, row.now, True) for row in costs(question.by("team", "day"))]
    days += [
        (team, day, cost, False)
        for (team, day), cost, *_ in costs(before.by("team", "day"))
        if before_until is None or day < before_until
    ]
    columns = zip(*days, strict=True) if days else ((), (), (), ())
    values = dict(zip(("teams", "days", "costs", "are_now"), map(list, columns), strict=True))
    return fetch(CostCenterSpend, COST_CENTERS, values | {"mode_on": mode_on})
