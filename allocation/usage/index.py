"""Drivers: what traces say about who used what, and how one bill line is weighted by it.
`UsageIndex` is pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

from allocation.catalogue.entries import TRACE, Entries, meaning
from allocation.catalogue.token_classes import ALL_COLUMNS, OUTPUT_SIDE, SIDES, TOKEN_COLUMNS
from allocation.organisation.owners import Owner
from allocation.storage.copy_text import NULL, copy_cells

# Names under which traces and bills may mean the same door of a provider.
SAME_PROVIDER = {"gcp.gen_ai": "gcp.vertex_ai", "azure.ai.inference": "azure.ai.openai"}


class Key(NamedTuple):
    """What bills and traces are joined on. `project` None is its own key; "*" stands for all
    projects together.

    `region` None stands for all regions together, `model` None, on reserved capacity alone, for all
    models.
    """

    provider: str | None
    project: str | None
    model: str | None
    is_batch: bool
    is_reserved: bool = False  # served by reserved capacity
    region: str | None = None


ANY_PROJECT = "*"


class Usage(NamedTuple):
    """Traced usage of one target on one day under one key, in the index's own units."""

    target: int
    rung: int
    tokens: tuple[int, ...]  # as TOKEN_COLUMNS
    list_cost: int | None  # None: some of it is unpriced
    variance: tuple[int, int] = (
        0,
        0,
    )  # by sampling, of all input and of all output tokens, in tokens squared
    calls: int | Fraction = 0  # 0: not told


class Weights(NamedTuple):
    """A driver: targets in canonical order with a weight above zero each. `total` is their sum.

    Weights are corrected for sampling. With x a target's extrapolated usage, X that of all targets,
    v the variance of x and V the sum of v, the expected share x/X is off by (V x/X - v)/X^2 to
    second order: where a few calls stand for a day, who makes few and large ones gets too little,
    every day anew. Beale's ratio estimator weighs by x + v/X, which leaves terms of higher order
    only. Where every span is kept, v is 0 and the weight is x.
    """

    entries: tuple[tuple[int, int, int], ...]  # target, weight, rung
    total: int
    name: str  # "input tokens", "list cost", "total tokens"; "..., corrected for sampling"
    places: int  # weights are whole numbers of 10**-places


NOTHING = Weights((), 0, "", 0)
COST_PLACES = 18


class WholeMonthNeeded(Exception):
    """What was loaded is a few days, and a split goes by others."""


class AllReportsNeeded(WholeMonthNeeded):
    """The same of the providers' reports, which can be read whole beside a few days of traces."""


class Pool(NamedTuple):
    """Usage of several keys by day, and of a partial index what the rest of the month has in one."""

    days: dict[date, list[Usage]]
    rest: list[Usage]


ALL_USAGE = "*"  # among month reads: any call of the month


def month_name(provider: str | None, model: str | None) -> str:
    """What a split by the month depends on: one model's usage and bill, or, model None, all of the
    provider's.
    """
    return f"{provider or ''}|{model or '*'}"


@dataclass
class UsageIndex:
    """Usage by key and day, resolved to targets. `token_places`: tokens are whole numbers of
    10**-token_places.

    `month_reads` collects the names of what was asked of the month as a whole. A partial index
    knows on which days of the month each key was used, but only the rows of the days `loaded`, and
    at most the `rest` of the month in one; it raises WholeMonthNeeded where those don't answer.
    """

    token_places: int
    order: Sequence[int]  # target number -> its rank in canonical order
    days: dict[Key, dict[date, list[Usage]]]
    loaded: frozenset[date] | None = None  # None: all days
    lacking: type[WholeMonthNeeded] = WholeMonthNeeded
    rest: Mapping[Key, Sequence[Usage]] | None = None
    month_reads: set[str] = field(default_factory=set)
    # Of a partial index: tokens and calls of the days that were not loaded.
    elsewhere: dict[tuple[Key, tuple[int, ...]], tuple[Fraction, Fraction]] = field(
        default_factory=dict
    )
    _cache: dict[tuple[object, ...], Weights] = field(default_factory=dict)
    _pools: dict[tuple[object, ...], Pool] = field(default_factory=dict)
    _variances: dict[tuple[object, ...], Fraction] = field(default_factory=dict)

    def complete(
        self,
        loaded: frozenset[date],
        others: Iterable[tuple[Key, date]],
        rest: Mapping[Key, Sequence[Usage]] | None,
    ) -> None:
        """Make the index of some days a partial one of the month: `others` are all keys and days
        without rows.
        """
        self.loaded, self.rest = loaded, rest
        for key, day in others:
            self.days.setdefault(key, {}).setdefault(day, [])

    def reads_month(self, key: Key, *, whole_provider: bool = False) -> None:
        """To be told before rows of all days are looked at."""
        whole_provider = whole_provider or key.model is None
        self.month_reads.add(month_name(key.provider, None if whole_provider else key.model))

    def of_model(self, key: Key) -> dict[date, list[Usage]]:
        """Usage by day of exactly this key, or of all projects and regions where the key says so."""
        return self._of_model(key).days

    def _of_model(self, key: Key) -> Pool:
        every_project = key.project == ANY_PROJECT
        every_region = key.region is None and self.has_regions
        if not every_project and not every_region:
            return self._pool(("keys", key), [key] if key in self.days else [])
        blank: dict[str, Any] = {"project": ANY_PROJECT} if every_project else {}
        blank |= {"region": None} if every_region else {}
        return self._pool(("keys", key), (k for k in self.days if k._replace(**blank) == key))

    @cached_property
    def is_sampled(self) -> bool:
        return any(
            row.variance != (0, 0)
            for by_day in self.days.values()
            for rows in by_day.values()
            for row in rows
        )

    @cached_property
    def has_regions(self) -> bool:
        return any(key.region is not None for key in self.days)

    def of_capacity(self, key: Key) -> dict[date, list[Usage]]:
        """As `of_model`; of every model where the key names none."""
        return self._of_capacity(key).days

    def month_of_capacity(self, key: Key) -> list[Usage]:
        """The same, of all days."""
        self.reads_month(key)
        return self._all_rows(self._of_capacity(key), key)

    def _of_capacity(self, key: Key) -> Pool:
        if key.model is not None:
            return self._of_model(key)
        everything = key.project == ANY_PROJECT
        own = (
            k
            for k in self.days
            if (k.provider, k.is_batch, k.is_reserved) == (key.provider, False, key.is_reserved)
            and (everything or k.project == key.project)
        )
        return self._pool(("capacity", key), own)

    def known_of_provider(self, key: Key) -> Iterator[Usage]:
        """All that was loaded of every model of the key's provider and project."""
        pool = self._of_provider(key)
        for rows in (*pool.days.values(), pool.rest):
            yield from rows

    def _of_provider(self, key: Key) -> Pool:
        everything = key.project == ANY_PROJECT
        return self._pool(
            ("models", key.provider, key.project),
            (
                k
                for k in self.days
                if k.provider == key.provider and (everything or k.project == key.project)
            ),
        )

    def _pool(self, name: tuple[object, ...], keys: Iterable[Key]) -> Pool:
        if name not in self._pools:
            pool = self._pools[name] = Pool({}, [])
            for key in keys:
                for day, rows in self.days[key].items():
                    pool.days.setdefault(day, []).extend(rows)
                if self.rest is not None:
                    pool.rest.extend(self.rest.get(key, ()))
        return self._pools[name]

    def _all_rows(self, pool: Pool, key: Key) -> list[Usage]:
        if self.loaded is not None and self.rest is None and pool.days:
            raise self.lacking(f"all usage of {key}")
        return [row for rows in (*pool.days.values(), pool.rest) for row in rows]

    def traced(self, key: Key, day: date | None, columns: tuple[int, ...]) -> Fraction:
        """Tokens of these columns, as extrapolated; `day` None is the month."""
        if day is None:
            self.reads_month(key)
        return self._tokens(key, day, columns)

    def _tokens(self, key: Key, day: date | None, columns: tuple[int, ...]) -> Fraction:
        name = ("traced", key, day, columns)
        found = self._variances.get(name)
        if found is None:
            tokens = sum(
                row.tokens[column] for row in self._rows(key, day, False) for column in columns
            )
            found = self._variances[name] = Fraction(tokens, 10**self.token_places)
        return found

    def calls(self, key: Key, day: date | None, columns: tuple[int, ...]) -> Fraction:
        """Calls that tokens of these columns were traced from; `day` None is the month."""
        name = ("calls", key, day, columns)
        found = self._variances.get(name)
        if found is None:
            rows = self._rows(key, day, False)
            own = (row.calls for row in rows if any(row.tokens[n] for n in columns))
            found = self._variances[name] = Fraction(sum(own))
        return found

    def month_traced(self, key: Key, columns: tuple[int, ...]) -> Fraction:
        """Tokens of these columns in the month, also of a partial index that was told the rest."""
        if self.loaded is None:
            return self._tokens(key, None, columns)
        return sum(
            [self._tokens(key, day, columns) for day in self.loaded],
            self.elsewhere[key, columns][0],
        )

    def month_calls(self, key: Key, columns: tuple[int, ...]) -> Fraction:
        """As `month_traced`, calls."""
        if self.loaded is None:
            return self.calls(key, None, columns)
        return sum(
            [self.calls(key, day, columns) for day in self.loaded], self.elsewhere[key, columns][1]
        )

    def tokens(
        self, key: Key, day: date | None, columns: tuple[int, ...], *, whole_provider: bool = False
    ) -> Weights:
        """Weights by tokens of these columns; `day` None is the month."""
        return self._weights("tokens", key, day, columns, whole_provider)

    def list_cost(self, key: Key, day: date | None, *, whole_provider: bool = False) -> Weights:
        """Weights by list price of all classes; by total tokens where some of it has no price."""
        found = self._weights("list cost", key, day, ALL_COLUMNS, whole_provider)
        return (
            found
            if found is not NOTHING
            else self.tokens(key, day, ALL_COLUMNS, whole_provider=whole_provider)
        )

    def relative_variance(self, key: Key, day: date | None, columns: tuple[int, ...]) -> Fraction:
        """Sampling's variance of the tokens that these columns are part of, over their square; 0
        without sampling.

        A class has the relative variance of its side, input or output, since that is what the
        rollup keeps.
        """
        if not self.is_sampled:
            return Fraction(0)
        name = ("variance", key, day, columns)
        found = self._variances.get(name)
        if found is None:
            sides = {int(n in OUTPUT_SIDE) for n in columns}
            whole = [n for side in sides for n in SIDES[side]]
            rows = self._rows(key, day, False)
            variance = sum(row.variance[side] for row in rows for side in sides)
            tokens = Fraction(
                sum(row.tokens[n] for row in rows for n in whole), 10**self.token_places
            )
            found = self._variances[name] = (
                variance / tokens**2 if variance and tokens else Fraction(0)
            )
        return found

    def _weights(
        self, by: str, key: Key, day: date | None, columns: tuple[int, ...], whole_provider: bool
    ) -> Weights:
        if day is None:
            self.reads_month(key, whole_provider=whole_provider)
        name = (by, key if not whole_provider else (key.provider, key.project), day, columns)
        found = self._cache.get(name)
        if found is None:
            found = self._cache[name] = self._summed(
                by, self._rows(key, day, whole_provider), columns
            )
        return found

    def _rows(self, key: Key, day: date | None, whole_provider: bool) -> Sequence[Usage]:
        pool = self._of_provider(key) if whole_provider else self._of_model(key)
        if day is None:
            return self._all_rows(pool, key)
        if self.loaded is not None and day not in self.loaded and day in pool.days:
            raise self.lacking(f"usage of {key} on {day}")
        return pool.days.get(day, [])

    def _summed(self, by: str, rows: Sequence[Usage], columns: tuple[int, ...]) -> Weights:
        amounts: dict[int, int] = {}
        rungs: dict[int, int] = {}
        variances: dict[int, int] = {}
        only = columns[0] if len(columns) == 1 else None
        for row in rows:
            if by == "tokens":
                amount = (
                    row.tokens[only]
                    if only is not None
                    else sum([row.tokens[column] for column in columns])
                )
            elif row.list_cost is None:
                if any(row.tokens):
                    return NOTHING
                continue
            else:
                amount = row.list_cost
            if amount > 0:
                amounts[row.target] = amounts.get(row.target, 0) + amount
                rungs[row.target] = max(rungs.get(row.target, 0), row.rung)
                if row.variance != (0, 0):
                    variance = self._variance(by, row, amount, columns)
                    variances[row.target] = variances.get(row.target, 0) + variance
        if not amounts:
            return NOTHING
        targets = sorted(amounts, key=self.order.__getitem__)
        places = self.token_places if by == "tokens" else COST_PLACES
        label = (
            by
            if by != "tokens"
            else "total tokens"
            if columns == ALL_COLUMNS
            else _token_label(columns)
        )
        if any(variances.values()) and len(amounts) > 1:
            label += ", corrected for sampling"
            everything = sum(amounts.values())
            for target, variance in variances.items():
                amounts[target] += (2 * variance + everything) // (2 * everything)
        return Weights(
            tuple((t, amounts[t], rungs[t]) for t in targets), sum(amounts.values()), label, places
        )

    def _variance(self, by: str, row: Usage, amount: int, columns: tuple[int, ...]) -> int:
        """Sampling's variance of one row's weight, in its own units squared.

        A class has the relative variance of its side. List cost has that of input, of output where
        nothing went in.
        """
        whole = [sum([row.tokens[n] for n in side]) for side in SIDES]
        if by != "tokens":
            parts = [amount, 0] if whole[0] else [0, amount]
        else:
            parts = [sum([row.tokens[n] for n in columns if n in side]) for side in SIDES]
        return sum(
            variance * 10 ** (2 * self.token_places) * part**2 // all_of_it**2
            for variance, part, all_of_it in zip(row.variance, parts, whole, strict=True)
            if all_of_it
        )


def _token_label(columns: tuple[int, ...]) -> str:
    return " + ".join(TOKEN_COLUMNS[column] for column in columns) + " tokens"


# ---------------------------------------------------------------- from the database


# One row per day and what calls say of themselves, which one of its dimensions stands for; `said`
# is its place in canonical order. `is_priced` false: some usage of the row has no list price. Days
# that usage_day_sum knows come from there, others from their hours; and all that waits to be
# merged.
USAGE_ROWS = """
    WITH summed AS (
        SELECT day FROM usage_day_version WHERE summed = version AND day >= '{start}'
            AND day < '{end}'
    ), used AS MATERIALIZED (
        SELECT day, dimension_id, calls, {columns}, list_cost, is_priced, variance_input,
            variance_output
        FROM usage_day_sum JOIN summed USING (day)
        WHERE day >= '{start}' AND day < '{end}'
        UNION ALL
        SELECT other.day, hours.* FROM (
            SELECT '{start}'::date + n AS day FROM generate_series(0,
                '{end}'::date - '{start}'::date - 1) n
            EXCEPT SELECT day FROM summed
        ) other
        CROSS JOIN LATERAL (
            SELECT dimension_id, calls, {columns}, list_cost, list_cost IS NOT NULL,
                variance_input::numeric,
                variance_output::numeric
            FROM usage_hourly
            WHERE hour >= other.day::timestamp AT TIME ZONE 'UTC'
                AND hour < (other.day + 1)::timestamp AT TIME ZONE 'UTC'
        ) hours
        UNION ALL
        SELECT (hour AT TIME ZONE 'UTC')::date, dimension_id, sum(calls), {waiting}, NULL, false,
            sum(variance_input::numeric), sum(variance_output::numeric)
        FROM usage_delta
        WHERE hour >= '{start} 00:00+00' AND hour < '{end} 00:00+00'
        GROUP BY 1, 2
    ), named AS MATERIALIZED (
        SELECT d.id, dense_rank() OVER (ORDER BY {order}) AS said,
            CASE WHEN d.observer = 'gateway' THEN 2 ELSE 1 END AS rung
        FROM allocation_usagedimension d WHERE d.id IN (SELECT dimension_id FROM used)
    )
    SELECT u.day, n.said, min(n.id) AS dimension_id, max(n.rung) AS rung,
        trim_scale(round(sum(u.calls), {places})) AS calls, {sums},
        CASE WHEN bool_and(u.is_priced) THEN trim_scale(round(sum(u.list_cost), 18))
            END AS list_cost,
        round(sum(u.variance_input)) AS variance_input, round(sum(u.variance_output)) AS
            variance_output
    FROM used u JOIN named n ON n.id = u.dimension_id
    GROUP BY u.day, n.said
"""
USAGE_SQL = """
COPY (
    {rows}
    ORDER BY 1, 2
) TO STDOUT
"""
# As one row for all other days of each span between two cuts: the columns are those of USAGE_SQL.
# What has no tokens needs no price.
REST_SQL = """
COPY (
    SELECT min(day), said, min(dimension_id), rung, trim_scale(sum(calls)), {sums},
        CASE WHEN bool_and(list_cost IS NOT NULL OR {no_tokens}) THEN trim_scale(sum(list_cost))
            END,
        sum(variance_input), sum(variance_output)
    FROM ({rows}) days
    WHERE day <> ALL('{{{but}}}'::date[])
    GROUP BY width_bucket(day, '{{{cuts}}}'::date[]), said, rung
) TO STDOUT
"""
# What the dimensions say that rows of USAGE_SQL name.
NAMES_SQL = """
COPY (
    SELECT d.id, {told} FROM allocation_usagedimension d WHERE d.id = ANY('{{{ids}}}')
) TO STDOUT
"""
REGION_SQL = """(lower(d.region)
    || CASE WHEN coalesce(d.model_requested, d.model_answered) LIKE 'global.%' THEN ' global' ELSE '' END)"""
# What a call says of itself, in the order of caller_names. Who is behind a gateway's key matters
# where nothing says whose the call is.
TOLD = (
    *(
        "d.provider",
        "d.project",
        "d.model",
        "CASE WHEN d.tier IN ('batch', 'provisioned') THEN d.tier END",
        REGION_SQL,
    ),
    *(
        "d.team",
        "d.feature",
        "d.product",
        "d.environment",
        "d.customer",
        "d.phase",
        "d.entry_team",
        "d.entry_feature",
    ),
    "CASE WHEN d.team IS NULL THEN d.caller END",
)
DRIVER_PLACES = 6  # of weighted token counts that are not whole


class CallerNames(NamedTuple):
    """What calls say of themselves, with the side of a call between agents that pays for it."""

    text: str  # TOLD, in COPY's text format
    key: Key
    attributes: tuple[str | None, ...]  # as told_owner reads them
    caller: str | None  # a gateway's key, where the call names no team


class ToldUsage(NamedTuple):
    """One row of USAGE_SQL, with what its calls say of themselves."""

    day: date
    key: Key
    attributes: tuple[str | None, ...]  # as told_owner reads them
    rung: int
    calls: str
    tokens: tuple[str, ...]
    list_cost: str | None
    variance: tuple[int, int]
    caller: str | None = None  # a gateway's key, where the call names no team


def places_of_rows(rows: Iterable[ToldUsage]) -> int:
    """Decimal places that keep every token count whole."""
    return DRIVER_PLACES if any("." in text for row in rows for text in row.tokens) else 0


def told_owner(row: ToldUsage) -> Owner:
    """The row's attributes as names to be resolved."""
    team, feature, product, environment, customer, phase, partner_team, partner_feature = (
        row.attributes
    )
    return Owner(
        team,
        feature,
        product,
        environment,
        customer,
        phase,
        partner_team=partner_team,
        partner_feature=partner_feature,
    )


def usage_sql(start: date, end: date, *, by_region: bool = False) -> str:
    """The statement; without `by_region` calls of all regions are one row."""
    return USAGE_SQL.format(rows=_usage_rows(start, end, by_region=by_region))


def rest_sql(
    start: date, end: date, *, but: Iterable[date], cuts: Iterable[date], by_region: bool
) -> str:
    """The statement for all days of the half-open range `but` these, summed between cuts, of which
    one is needed.
    """
    return REST_SQL.format(
        rows=_usage_rows(start, end, by_region=by_region),
        sums=", ".join(f"trim_scale(sum({name}))" for name in TOKEN_COLUMNS),
        no_tokens="(" + " AND ".join(f"{name} = 0" for name in TOKEN_COLUMNS) + ")",
        but=",".join(day.isoformat() for day in sorted(but)),
        cuts=",".join(day.isoformat() for day in sorted(set(cuts))),
    )


def names_sql(dimensions: Iterable[str], *, by_region: bool = False) -> str:
    """The statement for what these dimensions' calls say."""
    return NAMES_SQL.format(told=", ".join(_told(by_region=by_region)), ids=",".join(dimensions))


def _told(*, by_region: bool) -> list[str]:
    return [name if name != REGION_SQL or by_region else "NULL::text" for name in TOLD]


def _usage_rows(start: date, end: date, *, by_region: bool) -> str:
    return USAGE_ROWS.format(
        order=", ".join(f'{name} COLLATE "C"' for name in _told(by_region=by_region)),
        places=DRIVER_PLACES,
        sums=", ".join(
            f"trim_scale(round(sum(u.{name}), {DRIVER_PLACES})) AS {name}" for name in TOKEN_COLUMNS
        ),
        columns=", ".join(TOKEN_COLUMNS),
        waiting=", ".join(f"sum({name})" for name in TOKEN_COLUMNS),
        start=start.isoformat(),
        end=end.isoformat(),
    )


def caller_names(line: str, *, caller_pays: bool = True, entries: Entries = ()) -> CallerNames:
    """One line of NAMES_SQL, without the id; providers under one name, models as the organisation's
    own entries have them.
    """
    cells = copy_cells(line)
    return CallerNames(
        text=line,
        key=told_key(tuple(cells[:5]), entries),
        attributes=paying(tuple(cells[5:13]), caller_pays=caller_pays),
        caller=cells[13],
    )


def told_usage(day: date, names: CallerNames, numbers: str) -> ToldUsage:
    """A row of USAGE_SQL; `numbers` are its columns from the rung on."""
    rung, calls, *tokens, list_cost, variance_input, variance_output = numbers.split("\t")
    return ToldUsage(
        day=day,
        key=names.key,
        attributes=names.attributes,
        rung=int(rung),
        calls=calls,
        tokens=tuple(tokens),
        list_cost=None if list_cost == NULL else list_cost,
        variance=(int(variance_input), int(variance_output)),
        caller=names.caller,
    )


def told_key(told: tuple[str | None, ...], entries: Entries = ()) -> Key:
    """What provider, project, model, tier and region are joined on: their own words, or what an
    entry says of them.
    """
    provider, project, model, tier, region = told
    own = meaning(entries, TRACE, provider, (model or "").lower()) if entries else None
    if own:
        provider, model, tier = own.provider or provider, own.model or model, own.tier or tier
    provider = SAME_PROVIDER.get(provider or "", provider)
    return Key(provider, project, model, tier == "batch", tier == "provisioned", region)


def paying(told: tuple[str | None, ...], *, caller_pays: bool) -> tuple[str | None, ...]:
    """As told_owner reads them: who pays first, and its partner last, None where the call is
    between nobody.

    Told are team, feature, product, environment, customer, phase, and team and feature of the
    entry.
    """
    team, feature, _, environment, customer, phase, entry_team, entry_feature = told
    if (entry_team is None or entry_team == team) and (
        entry_feature is None or entry_feature == feature
    ):
        return (*told[:6], None, None)
    if not caller_pays:
        return told
    # The product is what the serving feature belongs to; the entry's follows from its place.
    return entry_team, entry_feature, None, environment, customer, phase, team, feature


class Digest:
    """The fingerprint of the driver rows that a run used."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, line: str) -> None:
        self._hash.update(line.encode() + b"\n")

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def billed_classes(lines: Iterable[tuple[Key, str | None]]) -> Mapping[Key, frozenset[str]]:
    """The token classes that a bill has lines for, by key."""
    found: dict[Key, set[str]] = {}
    for key, token_class in lines:
        if token_class:
            found.setdefault(key, set()).add(token_class)
    return {key: frozenset(classes) for key, classes in found.items()}


def reserved_key(provider: str | None, project: str | None, model: str | None) -> Key:
    return Key(provider, project, model, False, is_reserved=True)
