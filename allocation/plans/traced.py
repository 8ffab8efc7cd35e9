"""Traced usage: how one day of one bill line is shared among those who called the model. Pure.

The plan has up to two parts. The traced part goes to the callers by their driver; what the bill has
beyond the traces is the untraced part, which follows the source's policy. `Plan` is also the shape
every other method is carried out in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from allocation.catalogue.token_classes import (
    ALL_COLUMNS,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    TOKEN_COLUMNS,
    columns_of,
)
from allocation.plans.plan import Part, Plan
from allocation.usage.index import NOTHING, Key, UsageIndex, Weights
from allocation.values.split import whole_weights

SPREAD_FROM = Fraction(
    80, 100
)  # coverage from which lost spans are taken to be like those that arrived

MOST_ERRORS = 3  # standard errors; the variance is scaled from what was traced to what was billed

SIZE_VARIANCE = 1  # relative, of the tokens of calls
CACHE_WRITES = (CACHE_WRITE, CACHE_WRITE_5M, CACHE_WRITE_1H)
CACHE_READS = (TOKEN_COLUMNS.index("cache_read"),)

AUTO, SPREAD, OWNER, UNALLOCATED = "auto", "spread", "owner", "unallocated"


@dataclass(frozen=True)
class TracedLine:
    """The split key of a traced-usage bucket."""

    key: Key
    token_class: str | None
    billed_classes: frozenset[str]
    policy: str
    owner: int | None  # target of the project's or key's owner
    owner_rung: int
    nobody: int  # target "unallocated: untraced"
    pool_cache_writes: bool = False  # writing to a cache is paid by who reads from it
    by_month: bool = False  # every day by the month's usage: one blended price for all


def _unnoticed() -> None:
    pass


def _no_columns(columns: tuple[int, ...]) -> None:
    pass


@dataclass(frozen=True)
class Billed:
    """Tokens on the bill under one key and class; a day is missing, or the month None, where any
    does not convert.

    `reads_month` is told before the month is looked at, `asks_usual` before its coverage is.
    """

    by_day: Mapping[date, Fraction | None]
    whole: Fraction | None
    reads_month: Callable[[], None] = _unnoticed
    asks_usual: Callable[[tuple[int, ...]], None] = _no_columns

    @property
    def month(self) -> Fraction | None:
        self.reads_month()
        return self.whole


def traced_plan(line: TracedLine, day: date, index: UsageIndex, billed: Billed) -> Plan:
    """The plan of one day. Joins narrow first, and widens only where the narrower has no data at
    all.
    """
    columns = columns_of(line.token_class, line.billed_classes) if line.token_class else ALL_COLUMNS
    for widened, width_day, key in _joins(line, day):
        found = _weights(line, key, width_day, index, columns)
        if found is NOTHING:
            continue
        if key is not line.key:  # what was billed in one region says nothing about the calls of all
            return _shared(line, found, None, None, widened)
        quantity = billed.by_day.get(day) if width_day else billed.month
        traced = index.traced(key, width_day, columns)
        by_chance = _falls_short_by_chance(
            line, width_day, index, columns, billed, traced, quantity
        )
        is_loss = width_day is not None and _is_loss(line, index, columns, billed, traced, quantity)
        return _shared(line, found, traced, quantity, widened, by_chance, is_loss)
    quantity = billed.month
    if quantity is None or quantity <= 0 or line.policy == SPREAD or line.key.model is None:
        wider = _wider(line, day, index)
        if wider:
            widened, found = wider
            return _shared(line, found, None, None, widened)
    return Plan(
        parts=(_to_owner(line, 1),),
        coverage=Fraction(0) if quantity and quantity > 0 else None,
        note="no traces",
    )


def _joins(line: TracedLine, day: date) -> Iterator[tuple[str | None, date | None, Key]]:
    """How usage is looked for: by the line's own key, then by all regions; by the day, then by the
    month.
    """
    days: tuple[tuple[str | None, date | None], ...] = ((None, day), ("month", None))
    for widened, width_day in days[1:] if line.by_month else days:
        yield None if line.by_month else widened, width_day, line.key
    if line.key.region is not None:
        for widened, width_day in days[1:] if line.by_month else days:
            yield (
                "region, month" if widened else "region",
                width_day,
                line.key._replace(region=None),
            )


def _weights(
    line: TracedLine, key: Key, day: date | None, index: UsageIndex, columns: tuple[int, ...]
) -> Weights:
    if key.model is None:
        return NOTHING
    if line.token_class is None:
        return index.list_cost(key, day)
    if line.pool_cache_writes and line.token_class in CACHE_WRITES:
        readers = index.tokens(key, day, CACHE_READS)
        if readers is not NOTHING:
            return readers
    return index.tokens(key, day, columns)


def _falls_short_by_chance(
    line: TracedLine,
    day: date | None,
    index: UsageIndex,
    columns: tuple[int, ...],
    billed: Billed,
    traced: Fraction,
    quantity: Fraction | None,
) -> bool:
    """Whether sampled usage lacks no more than sampling explains: three standard errors on the day
    itself, or over the month.

    A few sampled calls say too little about one day; what a month of them says, its days can't
    contradict. The month tells whether usage is sampled: a day may by chance hold only calls that a
    tail sampler always keeps.
    """
    if not quantity or not index.relative_variance(line.key, None, columns):
        return False
    whole_month = (index.traced(line.key, None, columns), billed.month, None)
    for tokens, of, when in ((traced, quantity, day), whole_month):
        if of and tokens:
            coverage = tokens / of
            error_squared = index.relative_variance(line.key, when, columns) * coverage
            if coverage >= SPREAD_FROM or (1 - coverage) ** 2 <= MOST_ERRORS**2 * error_squared:
                return True
    return False


class MonthSums(NamedTuple):
    """What a month's calls, or a day's, say of one billed line; `billed` None where some of it does
    not convert.
    """

    traced: Fraction  # tokens
    calls: Fraction
    billed: Fraction | None  # tokens


class Usual(NamedTuple):
    """A month's coverage that is high enough for lost calls to be few, and what a day may be off
    by: the square of its difference, times its billed tokens.
    """

    coverage: Fraction
    most: Fraction

    @classmethod
    def of(cls, month: MonthSums) -> Usual | None:
        if not month.billed or month.billed <= 0 or not month.calls:
            return None
        coverage = month.traced / month.billed
        if not SPREAD_FROM <= coverage < 1:
            return None
        variance = coverage * (1 - coverage) * (1 + SIZE_VARIANCE) * month.traced / month.calls
        return cls(coverage, MOST_ERRORS**2 * variance)


def is_low(traced: Fraction, quantity: Fraction | None) -> bool:
    """Whether a day is not spread as it is, so that its usual coverage is asked for: that costs
    many fractions.
    """
    return quantity is not None and quantity > 0 and traced < SPREAD_FROM * quantity


def is_loss_of_a_few(traced: Fraction, quantity: Fraction, usual: Usual | None) -> bool:
    """Whether a low day's coverage is below the month's by no more than losing single calls at
    random explains.

    Where a few calls make a day, one lost call looks like a service that does not trace. With calls
    lost at the month's rate 1-C, the coverage of a day of n calls has the variance C (1-C) (1+d) /
    n, with d the relative variance of a call's tokens: about 1, as in public request traces. For n,
    the month's tokens per call are asked.
    """
    if usual is None:
        return False
    off = usual.coverage - traced / quantity
    return off * off * quantity <= usual.most


def _is_loss(
    line: TracedLine,
    index: UsageIndex,
    columns: tuple[int, ...],
    billed: Billed,
    traced: Fraction,
    quantity: Fraction | None,
) -> bool:
    if line.policy != AUTO or quantity is None or not is_low(traced, quantity):
        return False
    billed.asks_usual(columns)
    month = MonthSums(
        index.month_traced(line.key, columns), index.month_calls(line.key, columns), billed.whole
    )
    return is_loss_of_a_few(traced, quantity, Usual.of(month))


def _wider(line: TracedLine, day: date, index: UsageIndex) -> tuple[str, Weights] | None:
    """From the token class to the whole model, then to every model of the provider in the project;
    day, then month.
    """
    for widened, width_day, whole_provider in (
        ("model", day, False),
        ("model, month", None, False),
        ("provider", day, True),
        ("provider, month", None, True),
    ):
        if line.key.model is None and not whole_provider:
            continue
        if line.key.is_batch and whole_provider:
            continue  # batch jobs are never spread over interactive calls
        found = index.list_cost(line.key, width_day, whole_provider=whole_provider)
        if found is not NOTHING:
            return widened, found
    return None


def _shared(
    line: TracedLine,
    weights: Weights,
    traced: Fraction | None,
    quantity: Fraction | None,
    widened: str | None,
    by_chance: bool = False,
    is_loss: bool = False,
) -> Plan:
    """The driver's shares, with the untraced part by policy where coverage is known and below one.

    Nothing is untraced where the traces fall short of the bill by the chance of sampling.
    """
    entries = weights.entries
    parts: tuple[Part, ...] = (Part(1, "shared", entries),)
    coverage, note = None, None
    if traced is not None and quantity is not None and quantity > 0:
        coverage = traced / quantity
        if coverage > 1:
            note = "over-traced"
        elif coverage < 1 and by_chance:
            note = "within sampling error"
        elif coverage < 1:
            of_traced, of_untraced = whole_weights([traced, quantity - traced])
            spread = line.policy == SPREAD or (
                line.policy == AUTO and (coverage >= SPREAD_FROM or is_loss)
            )
            rest = (
                Part(of_untraced, "untraced", entries) if spread else _to_owner(line, of_untraced)
            )
            parts = (Part(of_traced, "shared", entries), rest)
            note = f"untraced {'spread' if spread else 'to owner' if rest.entries[0][0] == line.owner else 'unallocated'}"
    return Plan(
        parts=parts,
        driver=weights.name,
        driver_total=weights.total,
        places=weights.places,
        coverage=coverage,
        widened=widened,
        note=note,
    )


def _to_owner(line: TracedLine, weight: int) -> Part:
    if line.owner is not None and line.policy in (AUTO, OWNER, SPREAD):
        return Part(weight, "untraced", ((line.owner, 1, line.owner_rung),))
    return Part(weight, "unallocated", ((line.nobody, 1, 6),))
