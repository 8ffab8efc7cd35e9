"""What nobody understands of some runs' bills and of the month's calls, by money: wordings of
models, units, emitters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.catalogue.wording import WORDING, wording_text
from allocation.models import AllocationRun
from allocation.storage.rows import whole_month_plans
from allocation.values.money import exact_sum
from reports.asking import TeamScope, cached_by_run, fetch
from reports.cost_question.question import CostQuestion, cost_of
from reports.queries.explain.variants import run_scopes, run_variant
from reports.queries.ownership.unowned import sums_of

WORDING_KIND, UNIT_KIND = "wording", "unit"
COLUMNS = ", ".join(f"d.{name}" for name in WORDING)

# One row per distinct charge columns of model usage that nobody understands: the model, or how many
# tokens a unit is.
LINES = """
SELECT source.name, b.split_key ->> 'provider', b.split_key ->> 'model',
    coalesce((b.split_key ->> 'is_unknown')::boolean, false),
    b.split_key ? 'tokens_per_consumed_unit' OR b.split_key ? 'tokens_per_pricing_unit',
    sums.charges, {cost}, coalesce(d.consumed_unit, d.pricing_unit), {columns}
FROM ({sums}) AS sums
JOIN charge_to_split_key m ON m.run_id = %(run)s AND m.source_id = sums.source_id
    AND m.dimension_id = sums.dimension_id AND m.variant = sums.variant
JOIN charge_split_key b ON b.run_id = m.run_id AND b.split_key_id = m.split_key_id
    AND b.method IN ('traced_usage', 'provider_usage') AND b.split_key ? 'model'
JOIN allocation_source source ON source.id = m.source_id
JOIN allocation_chargedimension d ON d.id = m.dimension_id
ORDER BY m.source_id, m.dimension_id, m.variant
"""


@dataclass
class Unknown:
    """Bill lines of one unknown wording, or of one unit that nobody can convert. `texts` are what
    catalogue entries are matched with.
    """

    kind: str
    source: str
    provider: str | None
    name: str
    example: str = ""
    charges: int = 0
    costs: list[Decimal] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)

    @property
    def cost(self) -> Decimal:
        return exact_sum(self.costs)

    @property
    def identity(self) -> str:
        """The same for the same thing, whatever else is unknown."""
        about = repr((self.kind, self.source, self.provider, self.name))
        return hashlib.sha256(about.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class UnknownList:
    """Largest cost first. `known_texts` are the wordings of all other lines of model usage."""

    found: tuple[Unknown, ...] = ()
    known_texts: frozenset[str] = frozenset()

    @property
    def total(self) -> Decimal:
        return exact_sum(each.cost for each in self.found)

    def others(self, than: Unknown) -> frozenset[str]:
        """Wordings of every line of model usage but these."""
        return self.known_texts.union(*(each.texts for each in self.found if each is not than))


def unknown_lines(*, question: CostQuestion) -> UnknownList:
    """Of some runs that share a currency; nothing for a reader of some teams only."""
    if not question.scope.is_everything or not question.runs:
        return UnknownList()
    return _unknown_lines(question=question)


@cached_by_run
def _unknown_lines(*, question: CostQuestion) -> UnknownList:
    found: dict[tuple[str, str, str | None, str], Unknown] = {}
    known: set[str] = set()
    for row in _rows(question):
        source, provider, model, is_unknown, converts, charges, cost, unit, *columns = row
        texts = dict(zip(WORDING, columns, strict=True))
        if not is_unknown and (converts or not unit):
            known.add(wording_text(texts))
            continue
        kind, name = (WORDING_KIND, model) if is_unknown else (UNIT_KIND, unit)
        one = found.setdefault(
            (kind, source, provider, name), Unknown(kind, source, provider, name)
        )
        one.example = one.example or " · ".join(
            filter(None, [texts["sku_meter"] or texts["charge_description"], unit])
        )
        one.charges += charges
        one.costs.append(cost)
        one.texts.add(wording_text(texts))
    ordered = sorted(found.values(), key=lambda each: (-abs(each.cost), each.kind, each.name))
    return UnknownList(tuple(ordered), frozenset(known))


def _rows(question: CostQuestion) -> Iterable[Any]:
    for run in AllocationRun.objects.filter(pk__in=question.run_ids).select_related("rule_set"):
        scopes = run_scopes(run)
        sums = sums_of(run_variant(run, scopes))
        with whole_month_plans(), connection.cursor() as cursor:
            cursor.execute(
                LINES.format(sums=sums, cost=cost_of("sums"), columns=COLUMNS),
                {
                    "run": run.pk,
                    "month": run.billing_month,
                    "scopes": scopes,
                    "metric": question.metric,
                },
            )
            yield from cursor.fetchall()


@dataclass(frozen=True)
class SilentEmitter:
    """An instrumentation scope with calls of which nobody knows the tokens. `list_cost` is what
    they would have cost, in USD, at what the other calls of their models cost at list price; an
    estimate, None where no call of a model tells.
    """

    scope: str | None
    example: str | None  # a model that it calls
    calls: Decimal
    silent: Decimal
    list_cost: Decimal | None


# One row per instrumentation scope with calls without tokens.
EMITTERS = """
WITH used AS (
    SELECT d.scope, d.provider, d.model, sum(u.calls) AS calls,
        sum(u.calls_without_usage) AS silent, sum(u.list_cost) AS list_cost
    FROM usage_hourly u JOIN allocation_usagedimension d ON d.id = u.dimension_id
    WHERE d.is_inference AND u.hour >= %(start)s::timestamp AT TIME ZONE 'UTC'
        AND u.hour < %(end)s::timestamp AT TIME ZONE 'UTC'
    GROUP BY d.scope, d.provider, d.model
), price AS (
    SELECT provider, model, sum(list_cost) / nullif(sum(calls - silent), 0) AS of_a_call
    FROM used GROUP BY provider, model
)
SELECT used.scope, min(used.model) FILTER (WHERE used.silent > 0), sum(used.calls),
    sum(used.silent), round(sum(used.silent * price.of_a_call), 12)
FROM used LEFT JOIN price ON price.provider IS NOT DISTINCT FROM used.provider
    AND price.model IS NOT DISTINCT FROM used.model
GROUP BY used.scope HAVING sum(used.silent) > 0
ORDER BY 5 DESC NULLS LAST, 4 DESC, used.scope COLLATE "C"
LIMIT %(limit)s
"""
MOST_EMITTERS = 100


def silent_emitters(*, start: date, end: date, scope: TeamScope) -> list[SilentEmitter]:
    """Of the half-open range of days; nothing for a reader of some teams only."""
    if not scope.is_everything:
        return []
    values = {"start": start, "end": end, "limit": MOST_EMITTERS}
    return fetch(SilentEmitter, EMITTERS, values)


# Names of models that calls of some days have.
CALLED_MODELS = """
SELECT DISTINCT d.model FROM allocation_usagedimension d
WHERE d.is_inference AND d.model IS NOT NULL AND d.id IN (
    SELECT dimension_id FROM usage_hourly
    WHERE hour >= %(start)s::timestamp AT TIME ZONE 'UTC'
        AND hour < %(end)s::timestamp AT TIME ZONE 'UTC')
ORDER BY 1
"""


def called_models(*, start: date, end: date) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(CALLED_MODELS, {"start": start, "end": end})
        return [model for (model,) in cursor.fetchall()]
