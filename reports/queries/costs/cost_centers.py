"""What is each cost centre charged, in a month and in the one before?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from allocation.models import CostCenter
from allocation.values.money import EXACT
from reports.asking import fetch
from reports.cost_question.answers import costs
from reports.cost_question.question import NOT_AI, Alike, CostQuestion

# One row per cost centre, one of teams without any, and without a team one of AI and one of the
# rest; a team belongs where it stood on the charge day.
COST_CENTERS = """
SELECT center.code, center.name, coalesce(since.mode, center.mode),
    costs.team IS NULL AND NOT costs.is_outside AS is_unallocated,
    costs.team IS NULL AND costs.is_outside AS is_outside_ai,
    coalesce(sum(costs.cost) FILTER (WHERE costs.is_now), 0),
    coalesce(sum(costs.cost) FILTER (WHERE costs.is_now AND costs.is_alike), 0),
    coalesce(sum(costs.cost) FILTER (WHERE NOT costs.is_now AND costs.is_alike), 0)
FROM unnest(%(teams)s::text[], %(days)s::date[], %(outside)s::boolean[], %(costs)s::numeric[],
    %(are_now)s::boolean[], %(are_alike)s::boolean[])
    AS costs (team, day, is_outside, cost, is_now, is_alike)
LEFT JOIN allocation_team AS team ON team.slug = costs.team
LEFT JOIN team_placement_period AS placed ON placed.team_id = team.id
    AND placed.valid_from <= costs.day AND (placed.valid_to IS NULL OR placed.valid_to > costs.day)
LEFT JOIN allocation_costcenter AS center ON center.id = placed.cost_center_id
LEFT JOIN LATERAL (
    SELECT later.mode FROM allocation_costcenterplacement AS later
    WHERE later.cost_center_id = center.id AND later.valid_from <= %(mode_on)s
    ORDER BY later.valid_from DESC LIMIT 1
) AS since ON true
GROUP BY center.code, center.name, coalesce(since.mode, center.mode), 4, 5
ORDER BY 6 DESC, center.code, 5
"""


BOUND = ("teams", "days", "outside", "costs", "are_now", "are_alike")


@dataclass(frozen=True)
class CostCenterSpend:
    """`code` None: AI that nobody owns yet, what is no AI and is charged to nobody, or a team
    without a cost centre. `compared` is what of `now` is like for like with `before`.
    """

    code: str | None
    name: str | None
    mode: str | None
    is_unallocated: bool
    is_outside_ai: bool
    now: Decimal
    compared: Decimal
    before: Decimal


def cost_centers(
    *, question: CostQuestion, before: CostQuestion, like: Alike | None, mode_on: date
) -> list[CostCenterSpend]:
    """The cost of two questions by cost centre, largest first; whether a centre is charged back is
    that of the day `mode_on`. `like` says what of a month that is still open is compared.

    Of every environment, so that the lines make the bills' total. Costs of a run are cached; where
    a team stands may be edited any time, so it is read anew.
    """
    question, before = replace(question, filters=()), replace(before, filters=())
    days = [
        (team, day, ai_scope == NOT_AI, row.now, is_now, _is_alike(like, day, rest, is_now))
        for asked, is_now in ((question, True), (before, False))
        for row in costs(asked.by("team", "day", "ai_scope", "source_id", "with_invoice"))
        for team, day, ai_scope, *rest in [row.key]
    ]
    columns = zip(*days, strict=True) if days else ((),) * len(BOUND)
    values = dict(zip(BOUND, map(list, columns), strict=True))
    return fetch(CostCenterSpend, COST_CENTERS, values | {"mode_on": mode_on})


def _is_alike(like: Alike | None, day: date, rest: list[Any], is_now: bool) -> bool:
    """Whether a charge is compared; `rest` is its source and what brought it with the invoice."""
    if like is None:
        return True
    source, with_invoice = rest
    ends = next((one for one in like.days if one.source_id == source), None)
    if ends is None or with_invoice is not None:
        return False
    return day < (ends.end if is_now else ends.before_end)


def center_of_code(code: str) -> CostCenter | None:
    """A code tells nobody's amounts, so it needs no scope."""
    return CostCenter.objects.filter(code=code).first()


@dataclass(frozen=True)
class CenterLine:
    """What one team's feature costs one centre. `is_whole`: it is all that the feature costs the
    team; of a team that moved within the month, another centre has the rest.
    """

    team: str
    feature: str | None
    cost: Decimal
    is_whole: bool


def center_lines(*, question: CostQuestion, center: int | None) -> list[CenterLine]:
    """The centre's cost by team and feature, largest first; they add up to what `cost_centers` says
    of it. `center` None: of teams without one.
    """
    question = replace(question, filters=())
    wholes: dict[tuple[str, str | None], Decimal] = {}
    own: dict[tuple[str, str | None], Decimal] = {}
    for (team, feature, stands), cost, *_ in costs(question.by("team", "feature", "cost_center")):
        if team is not None:
            wholes[team, feature] = EXACT.add(wholes.get((team, feature), Decimal(0)), cost)
            if stands == center:
                own[team, feature] = cost
    lines = [CenterLine(*key, cost, cost == wholes[key]) for key, cost in own.items()]
    return sorted(lines, key=lambda line: (-line.cost, line.team, line.feature or ""))
