"""The usage that a run looks at, read once into a temporary table and asked there.

Facts and digests of all days come first, in a few rows; who used what is read only of the days
that are split again, and of the month as a whole where a line goes by it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property
from typing import Any

from django.db import connection, transaction

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.catalogue.entries import Entries
from allocation.catalogue.naming import CalledNames
from allocation.catalogue.vocabulary import UNNAMED_DOORS
from allocation.storage.rows import copy_cells, copy_lines, whole_month_plans
from allocation.usage.driver_data import Owners, caller_owners
from allocation.usage.facts import UsageFacts, UsageSums, number_of_calls, part_of
from allocation.usage.index import COST_PLACES
from allocation.usage.keys import (
    ALL_CALLS,
    WEIGHTED_PLACES,
    CallNames,
    DeclaredUsage,
    Key,
    Placed,
    call_names,
    declared_key,
    declared_usage,
    digest_of,
)
from allocation.usage.sellers import Named, Quantity, summed_up
from allocation.values.money import quanta_of

STALE_SQL = """
SELECT day FROM usage_day_version
WHERE summed IS DISTINCT FROM version AND day >= %(start)s AND day < %(end)s
ORDER BY day
"""
FORGET_SQL = "DELETE FROM usage_day_sum WHERE day = %(day)s"
# Most columns are zero in most rows, and a sum that sees none of them takes neither time nor
# memory.
SUM_SQL = """
INSERT INTO usage_day_sum (day, dimension_id, calls, {columns}, list_cost, is_priced,
    variance_input, variance_output)
SELECT %(day)s, dimension_id, sum(calls), {sums}, sum(list_cost), bool_and(list_cost IS NOT NULL),
    coalesce(sum(variance_input::numeric) FILTER (WHERE variance_input <> 0), 0),
    coalesce(sum(variance_output::numeric) FILTER (WHERE variance_output <> 0), 0)
FROM usage_hourly
WHERE hour >= %(day)s::timestamp AT TIME ZONE 'UTC' AND hour < (%(day)s::date + 1)::timestamp AT
    TIME ZONE 'UTC'
GROUP BY dimension_id
""".format(
    columns=", ".join(TOKEN_COLUMNS),
    sums=", ".join(
        f"coalesce(sum({name}) FILTER (WHERE {name} <> 0), 0)" for name in TOKEN_COLUMNS
    ),
)


def sum_days(start: date, end: date) -> int:
    """Sum up the days of the half-open range that changed since they were; how many."""
    with connection.cursor() as cursor:
        cursor.execute(STALE_SQL, {"start": start, "end": end})
        stale = [day for (day,) in cursor.fetchall()]
    return sum(sum_day(day) for day in stale)


def sum_day(day: date) -> bool:
    """Whether there was anything to do: another run may have summed the day while this one waited
    for it.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('apportion usage days'))")
        # The version comes first: a day that changes meanwhile is stale again.
        cursor.execute(
            "SELECT version FROM usage_day_version"
            " WHERE day = %s AND summed IS DISTINCT FROM version",
            [day],
        )
        stale = cursor.fetchone()
        if stale is None:
            return False
        cursor.execute(FORGET_SQL, {"day": day})
        cursor.execute(SUM_SQL, {"day": day})
        cursor.execute("UPDATE usage_day_version SET summed = %s WHERE day = %s", [stale[0], day])
        return True


VERSIONS_SQL = """
-- One row per day with usage: its version, NULL while some of it waits to be merged.
SELECT day, CASE WHEN bool_or(waits) THEN NULL ELSE max(version) END
FROM (
    SELECT day, version, false AS waits FROM usage_day_version
    UNION ALL
    SELECT DISTINCT (hour AT TIME ZONE 'UTC')::date, NULL::bigint, true FROM usage_delta
) days
WHERE day >= %(start)s AND day < %(end)s
GROUP BY 1
"""


def usage_versions(start: date, end: date) -> dict[date, int | None]:
    """The version of each day's usage rollup; None is like no other."""
    with connection.cursor() as cursor:
        cursor.execute(VERSIONS_SQL, {"start": start, "end": end})
        return dict(cursor.fetchall())


REGION = """(lower(d.region) || CASE
    WHEN starts_with(coalesce(d.model_requested, d.model_answered), 'global.') THEN ' global'
    ELSE '' END)"""
TIER = "CASE WHEN d.tier IN ('batch', 'provisioned') THEN d.tier END"
# What a call declares, in the order of keys.call_names. Who is behind a gateway's key matters where
# nothing says whose the call is.
KEY_COLUMNS = ("d.provider", "d.project", "d.model", TIER, REGION)
DECLARED = (
    *KEY_COLUMNS,
    *("d.team", "d.feature", "d.product", "d.environment", "d.customer", "d.phase"),
    *("d.entry_team", "d.entry_feature"),
    "CASE WHEN d.team IS NULL THEN d.caller END",
)

# One row per day and what calls declare, which one of its dimensions stands for; `declared` is its
# place in canonical order. `is_priced` false: some usage of the row has no list price. Days that
# usage_day_sum knows come from there, others from their hours; and all that waits to be merged.
FILL = """
CREATE TEMPORARY TABLE run_usage AS
WITH summed AS (
    SELECT day FROM usage_day_version
    WHERE summed = version AND day >= %(start)s AND day < %(end)s
), used AS MATERIALIZED (
    SELECT day, dimension_id, calls, {columns}, list_cost, is_priced, variance_input,
        variance_output
    FROM usage_day_sum JOIN summed USING (day)
    WHERE day >= %(start)s AND day < %(end)s
    UNION ALL
    SELECT other.day, hours.* FROM (
        SELECT %(start)s::date + n AS day
        FROM generate_series(0, %(end)s::date - %(start)s::date - 1) n
        EXCEPT SELECT day FROM summed
    ) other
    CROSS JOIN LATERAL (
        SELECT dimension_id, calls, {columns}, list_cost, list_cost IS NOT NULL,
            variance_input::numeric, variance_output::numeric
        FROM usage_hourly
        WHERE hour >= other.day::timestamp AT TIME ZONE 'UTC'
            AND hour < (other.day + 1)::timestamp AT TIME ZONE 'UTC'
    ) hours
    UNION ALL
    SELECT (hour AT TIME ZONE 'UTC')::date, dimension_id, sum(calls), {waiting}, NULL, false,
        sum(variance_input::numeric), sum(variance_output::numeric)
    FROM usage_delta
    WHERE hour >= %(start)s::timestamp AT TIME ZONE 'UTC'
        AND hour < %(end)s::timestamp AT TIME ZONE 'UTC'
    GROUP BY 1, 2
), named AS MATERIALIZED (
    SELECT d.id, dense_rank() OVER (ORDER BY {order}) AS declared,
        CASE WHEN d.observer = 'gateway' THEN 2 ELSE 1 END AS rung
    FROM allocation_usagedimension d WHERE d.id IN (SELECT dimension_id FROM used)
)
SELECT u.day, n.declared, min(n.id) AS dimension_id, max(n.rung) AS rung,
    trim_scale(round(sum(u.calls), {places})) AS calls, {sums},
    CASE WHEN bool_and(u.is_priced) THEN trim_scale(round(sum(u.list_cost), {cost_places})) END
        AS list_cost,
    round(sum(u.variance_input)) AS variance_input,
    round(sum(u.variance_output)) AS variance_output
FROM used u JOIN named n ON n.id = u.dimension_id
GROUP BY u.day, n.declared
"""
# One row per day: a hash of everything that its calls declare and come to.
DIGESTS = """
COPY (
    SELECT r.day, encode(sha256(string_agg(
            md5(row({declared}, r.rung, r.calls, {tokens}, r.list_cost, r.variance_input,
                r.variance_output)::text), '' ORDER BY r.declared)::bytea), 'hex')
    FROM run_usage r JOIN allocation_usagedimension d ON d.id = r.dimension_id
    GROUP BY r.day
) TO STDOUT
"""
# One row per day, key and set of columns that have tokens, with the decimal places of its rows.
# What has no tokens needs no price.
FACTS = """
COPY (
    SELECT r.day, {key}, max(greatest({scales})), {bits} AS bits, sum(r.calls), {sums},
        CASE WHEN bool_and(r.list_cost IS NOT NULL OR {bits} = 0)
            THEN trim_scale(coalesce(sum(r.list_cost), 0)) END,
        sum(r.variance_input), sum(r.variance_output)
    FROM run_usage r JOIN allocation_usagedimension d ON d.id = r.dimension_id
    GROUP BY 1, 2, 3, 4, 5, 6, bits
) TO STDOUT
"""
CALLERS = """
SELECT DISTINCT d.caller FROM run_usage r JOIN allocation_usagedimension d ON d.id = r.dimension_id
WHERE d.caller IS NOT NULL AND d.team IS NULL
"""
DAYS = """
COPY (
    SELECT day, dimension_id, rung, calls, {tokens}, list_cost, variance_input, variance_output
    FROM run_usage r WHERE day = ANY(%(days)s::date[]) ORDER BY day, declared
) TO STDOUT
"""
# All days of each span between two cuts in one row, under one of them.
MONTH = """
COPY (
    SELECT min(day), min(dimension_id), rung, trim_scale(sum(calls)), {sums},
        CASE WHEN bool_and(list_cost IS NOT NULL OR {bits} = 0)
            THEN trim_scale(sum(list_cost)) END,
        sum(variance_input), sum(variance_output)
    FROM run_usage r
    GROUP BY width_bucket(day, %(cuts)s::date[]), declared, rung
    ORDER BY 1, declared, rung
) TO STDOUT
"""
NAMES = """
COPY (
    SELECT d.id, {declared} FROM allocation_usagedimension d WHERE d.id = ANY(%(ids)s::bigint[])
) TO STDOUT
"""
BITS = "+".join(f"(r.{name} <> 0)::int * {1 << n}" for n, name in enumerate(TOKEN_COLUMNS))
SUMS = ", ".join(f"trim_scale(sum(r.{name}))" for name in TOKEN_COLUMNS)
SCALES = ", ".join(f"scale(r.{name})" for name in TOKEN_COLUMNS)
TOKENS = ", ".join(f"r.{name}" for name in TOKEN_COLUMNS)


def _fill_sql(declared: Sequence[str]) -> str:
    return FILL.format(
        columns=", ".join(TOKEN_COLUMNS),
        waiting=", ".join(f"sum({name})" for name in TOKEN_COLUMNS),
        order=", ".join(f'{name} COLLATE "C"' for name in declared),
        places=WEIGHTED_PLACES,
        cost_places=COST_PLACES,
        sums=", ".join(
            f"trim_scale(round(sum(u.{name}), {WEIGHTED_PLACES})) AS {name}"
            for name in TOKEN_COLUMNS
        ),
    )


# One row per provider and model that calls, or a provider's own report, name in a range of days.
CALLED = """
SELECT DISTINCT d.provider, d.model FROM allocation_usagedimension d
WHERE d.model IS NOT NULL AND d.id IN (
    SELECT dimension_id FROM usage_day_sum WHERE day >= %(start)s AND day < %(end)s
    UNION ALL
    SELECT dimension_id FROM usage_delta
    WHERE hour >= %(start)s::timestamp AT TIME ZONE 'UTC'
        AND hour < %(end)s::timestamp AT TIME ZONE 'UTC')
UNION
SELECT provider, model FROM allocation_providerusage
WHERE model IS NOT NULL AND day >= %(start)s AND day < %(end)s
"""


def called_names(start: date, end: date) -> CalledNames:
    """The models that usage of the half-open range of days names."""
    sum_days(start, end)
    with connection.cursor() as cursor:
        cursor.execute(CALLED, {"start": start, "end": end})
        return CalledNames(
            (key.provider, key.model)
            for provider, model in cursor.fetchall()
            if (key := declared_key((provider, None, model, None, None))).model
        )


@dataclass
class MonthUsage:
    """Usage of the half-open range of days, as it stood when the table was filled.

    Raises nothing where there is none. What belongs to a gateway's key is its owner's where the
    call names no team.
    """

    start: date
    end: date
    by_region: bool
    caller_pays: bool
    entries: Entries
    owners: Owners
    _names: dict[str, CallNames] = field(default_factory=dict)

    @cached_property
    def digests(self) -> dict[date, str]:
        """Of each day that has usage: equal for equal content, however it came."""
        sql = DIGESTS.format(declared=", ".join(self._declared), tokens=TOKENS)
        lines = (line.split("\t") for line in copy_lines(sql))
        return {date.fromisoformat(day): sha256 for day, sha256 in lines}

    @cached_property
    def sha256(self) -> str:
        days = [f"{day} {sha256}" for day, sha256 in sorted(self.digests.items())]
        return digest_of([self.start, self.end, *days])

    @cached_property
    def callers(self) -> list[str]:
        """Gateways' keys of calls that name no team."""
        with connection.cursor() as cursor:
            cursor.execute(CALLERS)
            return sorted(caller for (caller,) in cursor.fetchall())

    @cached_property
    def _declared_sums(self) -> list[tuple[Key, date, list[str | None]]]:
        """Key and day of each row of FACTS, with its cells from the scale on."""
        key_columns = ", ".join(self._declared[: len(KEY_COLUMNS)])
        sql = FACTS.format(key=key_columns, scales=SCALES, bits=BITS, sums=SUMS)
        lines = [copy_cells(line) for line in copy_lines(sql)]
        keys: dict[tuple[str | None, ...], Key] = {}
        found = []
        for day, *cells in lines:
            declared = tuple(cells[:5])
            key = keys.get(declared)
            if key is None:
                key = keys[declared] = declared_key(declared, self.entries)
            found.append((key, date.fromisoformat(day or ""), cells[5:]))
        return found

    def names(self) -> set[Named]:
        """The providers and models that calls declare."""
        return {(key.provider, key.model) for key, _, _ in self._declared_sums}

    def totals(self) -> dict[Named, Quantity]:
        """What calls come to, by the provider and model that they declare."""
        return summed_up(
            (
                (key.provider, key.model),
                Quantity(
                    sum((Fraction(text or "0") for text in cells[3:-3]), Fraction(0)),
                    None if cells[-3] is None else Fraction(cells[-3]),
                ),
            )
            for key, _, cells in self._declared_sums
        )

    def facts(self, named: Callable[[Key], Placed], *, is_cut: bool) -> UsageFacts:
        """Sums by key; `named` says under which ones the bill has the calls that declare another,
        and what part of them where `is_cut`.
        """
        has_fractions = is_cut or any(cells[0] != "0" for _, _, cells in self._declared_sums)
        places = WEIGHTED_PLACES if has_fractions else 0
        parts = []
        guests = set()
        for declared, day, cells in self._declared_sums:
            sums = _sums(cells[1:], places)
            for key, part in named(declared):
                parts.append((key, day, sums if part == ALL_CALLS else part_of(sums, part)))
                if key.provider != declared.provider and declared.provider not in UNNAMED_DOORS:
                    guests.add(key)
        facts = UsageFacts.of(parts, places)
        facts.guests = frozenset(guests)
        return facts

    def read(self, days: Collection[date]) -> list[DeclaredUsage]:
        """Rows of these days, in canonical order."""
        return self._rows(DAYS.format(tokens=TOKENS), {"days": sorted(days)})

    def read_month(self, cuts: Iterable[date]) -> list[DeclaredUsage]:
        """Rows of the whole range, all days between two cuts in one.

        Whose a call is must be the same on all of these days; the owners' own days are cut at.
        """
        owned = {day for days, _ in self.owners.values() for day in days}
        values = {"cuts": sorted({self.start, *cuts, *owned})}
        return self._rows(MONTH.format(sums=SUMS, bits=BITS), values)

    @property
    def _declared(self) -> list[str]:
        return declared_columns(by_region=self.by_region)

    def _rows(self, sql: str, values: dict[str, Any]) -> list[DeclaredUsage]:
        lines = [line.split("\t", 2) for line in copy_lines(sql, values)]
        names = self._named({dimension for _, dimension, _ in lines})
        days = {text: date.fromisoformat(text) for text in {text for text, *_ in lines}}
        rows = [
            declared_usage(days[day], names[dimension], numbers)
            for day, dimension, numbers in lines
        ]
        return caller_owners(rows, self.owners)

    def _named(self, dimensions: Iterable[str]) -> dict[str, CallNames]:
        new = [int(pk) for pk in dimensions if pk not in self._names]
        if new:
            sql = NAMES.format(declared=", ".join(self._declared))
            for line in copy_lines(sql, {"ids": new}):
                pk, text = line.split("\t", 1)
                self._names[pk] = call_names(
                    text, caller_pays=self.caller_pays, entries=self.entries
                )
        return self._names


def declared_columns(*, by_region: bool) -> list[str]:
    """SQL of DECLARED; without `by_region` calls of all regions are one."""
    return [name if name != REGION or by_region else "NULL::text" for name in DECLARED]


@contextmanager
def month_usage(
    start: date,
    end: date,
    *,
    by_region: bool,
    caller_pays: bool,
    entries: Entries,
    owners: Owners,
) -> Iterator[MonthUsage]:
    """Usage of the days from `start` until `end`, excluded, to be asked inside the block."""
    sum_days(start, end)
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS run_usage")
        declared = declared_columns(by_region=by_region)
        cursor.execute(_fill_sql(declared), {"start": start, "end": end})
    try:
        yield MonthUsage(start, end, by_region, caller_pays, entries, owners)
    finally:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS run_usage")


def _sums(cells: Sequence[str | None], places: int) -> UsageSums:
    """From the bits on, as FACTS writes them."""
    bits, calls, *tokens, list_cost, variance_input, variance_output = cells
    return UsageSums(
        tokens=tuple([quanta_of(text or "0", places) for text in tokens]),
        calls={int(bits or 0): number_of_calls(calls or "0")},
        list_cost=None if list_cost is None else quanta_of(list_cost, COST_PLACES),
        variance=(int(variance_input or 0), int(variance_output or 0)),
    )
