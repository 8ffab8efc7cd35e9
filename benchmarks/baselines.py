"""Two simpler ways to say who spent what, on the same imported data, to be compared with the
ledger.

`tag_only`: each row of the bill is its team tag's, and what has none is nobody's. `list_price`:
what the traced calls would have cost at public prices; no bill is looked at. Both by currency, in
effective cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

from django.db import connection

from allocation.models import ChargeDimension
from allocation.organisation.stored import load_organisation
from allocation.organisation.targets import Owner, resolve
from allocation.rules.conditions import Facts
from allocation.values.periods import Period
from benchmarks.attribution_errors import RATES, Costs

TEAM_TAGS = ("team", "owner_team", "app_team")

ROWS_SQL = """
-- One row per currency and charge dimension of the current runs that is AI spend.
SELECT r.currency, m.dimension_id, sum(c.effective_cost)
FROM allocation_allocationrun r
JOIN charge_to_split_key m ON m.run_id = r.id
JOIN charge_split_key b ON b.run_id = r.id AND b.split_key_id = m.split_key_id
JOIN allocation_chargescope s ON s.source_id = m.source_id AND s.state = 'current'
JOIN charge c ON c.billing_month = r.billing_month AND c.scope_id = s.id
    AND c.dimension_id = m.dimension_id
WHERE r.is_current AND r.billing_month = %(month)s AND b.ai_scope IN ('ai', 'ai_supporting')
GROUP BY 1, 2
"""
LIST_PRICE_SQL = """
-- One row per provider, team, feature and model: list price of the calls of some hours, in USD.
-- Sampled calls are extrapolated.
SELECT d.provider, d.team, d.feature, d.model, sum(u.list_cost)
FROM usage_hourly u JOIN allocation_usagedimension d ON d.id = u.dimension_id
WHERE u.hour >= %(start)s AND u.hour < %(end)s AND u.list_cost IS NOT NULL
GROUP BY 1, 2, 3, 4
"""


def tag_only(month: date) -> Costs:
    organisation = load_organisation()
    found: Costs = defaultdict(lambda: defaultdict(Decimal))
    with connection.cursor() as cursor:
        cursor.execute(ROWS_SQL, {"month": month})
        rows = cursor.fetchall()
    dimensions: dict[int, Mapping[str, object]] = {
        row["id"]: row
        for row in ChargeDimension.objects.filter(pk__in=[row[1] for row in rows]).values()
    }
    for currency, dimension, cost in rows:
        facts = Facts(dimensions[dimension])
        team = next((facts.tags[name] for name in TEAM_TAGS if name in facts.tags), None)
        target = resolve(
            organisation, Owner(team, facts.tags.get("feature")), model=facts.line.model, day=month
        )
        found[currency][target.team, target.model, target.feature if target.team else None] += cost
    return found


def list_price(month: date) -> Costs:
    organisation = load_organisation()
    found: Costs = defaultdict(lambda: defaultdict(Decimal))
    start, end = (
        datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (month,
            Period.month(month).end)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(LIST_PRICE_SQL, {"start": start, "end": end})
        for provider, team, feature, model, cost in cursor.fetchall():
            currency = "EUR" if provider == "gcp.vertex_ai" else "USD"
            target = resolve(organisation, Owner(team, feature), model=model, day=month)
            key = (target.team, target.model, target.feature if target.team else None)
            found[currency][key] += cost * RATES[currency]
    return found
