"""What each rule took in a month: charges and money of the current run."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from reports.queries.kept import kept
from reports.queries.spend_filter import Spend
from reports.rows import fetch

LIMIT = 50


@dataclass(frozen=True)
class RuleTake:
    """`charges` is None for a reader of some teams only: a charge that is shared belongs to no team
    alone.
    """

    rule: str
    charges: int | None
    billed_cost: Decimal
    effective_cost: Decimal


# One row per rule. Money is what the reader's teams were given, which for everything is all of the
# charges' cost.
SQL = """
WITH money AS (
    SELECT rule, sum(billed_cost) AS billed_cost, sum(effective_cost) AS effective_cost
    FROM cost_daily
    WHERE run_id = ANY(%(runs)s) AND (%(all_teams)s OR team = ANY(%(teams)s))
    GROUP BY rule
), counted AS (
    SELECT b.rule, sum(g.charges) AS charges
    FROM charge_bucket b JOIN charge_group g ON g.run_id = b.run_id AND g.bucket = b.bucket
    WHERE b.run_id = ANY(%(runs)s) AND %(all_teams)s
    GROUP BY b.rule
)
SELECT money.rule, counted.charges::bigint, money.billed_cost, money.effective_cost
FROM money LEFT JOIN counted ON counted.rule = money.rule
ORDER BY money.effective_cost DESC, money.rule COLLATE "C"
"""


@dataclass(frozen=True)
class Untaken:
    """Charges of one service that no rule took."""

    provider_name: str | None
    service_name: str | None
    charge_category: str
    source: str
    charges: int
    billed_cost: Decimal
    effective_cost: Decimal


# One row per provider, service and category of charges without a rule.
UNTAKEN = """
SELECT b.provider_name, b.service_name, b.charge_category, source.name, sum(g.charges)::bigint,
    sum(g.billed_cost),
    sum(g.effective_cost)
FROM charge_bucket b
JOIN charge_group g ON g.run_id = b.run_id AND g.bucket = b.bucket
JOIN allocation_source source ON source.id = b.source_id
WHERE b.run_id = ANY(%(runs)s) AND b.rule = %(no_rule)s AND %(all_teams)s
GROUP BY b.provider_name, b.service_name, b.charge_category, source.name
ORDER BY abs(sum(g.effective_cost)) DESC, b.provider_name COLLATE "C", b.service_name COLLATE "C"
LIMIT %(limit)s
"""


@kept
def rules_taken(*, spend: Spend) -> list[RuleTake]:
    """One row per rule that took something in these runs, most effective cost first. Runs must
    share a currency.
    """
    return fetch(RuleTake, SQL, _parameters(spend))


@kept
def charges_without_rule(*, spend: Spend, no_rule: str) -> list[Untaken]:
    """At most 50 services whose charges no rule took, most effective cost first; nothing for a
    reader of some teams.
    """
    return fetch(Untaken, UNTAKEN, {**_parameters(spend), "no_rule": no_rule, "limit": LIMIT})


def _parameters(spend: Spend) -> dict[str, object]:
    """Every environment: the page of rules is not narrowed to one."""
    scope = spend.scope
    return {
        "runs": list(spend.runs),
        "all_teams": scope.is_everything,
        "teams": sorted(scope.teams or ()),
    }
