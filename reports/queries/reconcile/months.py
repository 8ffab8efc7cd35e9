"""What stands of each allocated month, and what its recalculations changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from reports.asking import TeamScope, fetch

# One row per succeeded run of the currency, oldest first, in the months asked for or in all. Rules
# under preview have negative numbers, and their runs are nobody's.
RUNS = """
SELECT run.id, run.billing_month, run.is_current, rules.number, run.finished_at,
    sum(balance.charges), sum(balance.allocated), sum(balance.unallocated),
    run.is_current AND (
        SELECT array_agg(scope.id ORDER BY scope.id) FROM allocation_chargescope AS scope
        WHERE scope.state = 'current' AND scope.billing_month = run.billing_month
    ) IS DISTINCT FROM (
        SELECT array_agg(known::bigint ORDER BY known::bigint)
        FROM jsonb_array_elements_text(run.inputs -> 'scopes') AS known
    )
FROM allocation_allocationrun AS run
JOIN allocation_ruleset AS rules ON rules.id = run.rule_set_id
JOIN allocation_runsource AS balance ON balance.run_id = run.id AND balance.metric = %(metric)s
WHERE run.status = 'succeeded' AND run.currency = %(currency)s AND rules.number > 0
GROUP BY run.id, rules.number
ORDER BY run.billing_month, run.id
"""


@dataclass(frozen=True)
class RunBalance:
    """What one calculation of a month said; charges are allocated or not, without remainder."""

    run: int
    month: date
    is_current: bool
    rule_set: int
    finished_at: datetime | None
    charges: Decimal
    allocated: Decimal
    unallocated: Decimal
    is_outdated: bool  # bills came or went since; of a run that is not current, false


def run_balances(*, currency: str, metric: str, scope: TeamScope) -> list[RunBalance]:
    """Of whole months, so nothing for a reader who sees only some teams."""
    if not scope.is_everything:
        return []
    return fetch(RunBalance, RUNS, {"currency": currency, "metric": metric})
