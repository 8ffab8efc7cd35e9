"""Traced usage: how one day of one bill line is shared among those who called the model. Pure.

`traced_join` decides, by facts alone, which usage the line is joined with and how much of it no
usage explains; `traced_plan` then asks who used it. The plan has up to two parts: the traced one
goes to the callers by their driver; what the bill has beyond the traces follows the source's
policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from allocation.catalogue.canonical import (
    ALL_COLUMNS,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    TOKEN_COLUMNS,
    columns_of,
)
from allocation.organisation.targets import INFERRED, NAMED, Numbers
from allocation.plans.plan import Billed, Entry, Money, Part, Plan
from allocation.usage.facts import UsageFacts, UsageSums
from allocation.usage.index import COST_PLACES, LIST_COST, TOKENS, UsageIndex, Weighing
from allocation.usage.keys import Key
from allocation.values.split import whole_weights

SPREAD_FROM = Fraction(80, 100)  # coverage from which lost spans are like those that arrived
MOST_ERRORS = 3  # standard errors; the variance is scaled from what was traced to what was billed
SIZE_VARIANCE = 1  # relative, of the tokens of calls
CACHE_WRITES = (CACHE_WRITE, CACHE_WRITE_5M, CACHE_WRITE_1H)
CACHE_READS = (TOKEN_COLUMNS.index("cache_read"),)
AUTO, SPREAD, OWNER, UNALLOCATED = "auto", "spread", "owner", "unallocated"
OVER_TRACED, BY_CHANCE, NO_TRACES = "over-traced", "within sampling error", "no traces"
UNKNOWN, UNKNOWN_COVERAGE = "unknown wording", "unknown coverage"
FAR_OVER_TRACED, MOST_OVER = "over-traced beyond 3x", 3  # a finding: something is counted twice
DERIVED = "; coverage derived"  # behind a note
SPLIT_FROM = Fraction(40, 100)  # coverage in money from which the whole line is split


@dataclass(frozen=True)
class TracedLine:
    """The split key of a line that is split by usage."""

    key: Key
    token_class: str | None
    billed_classes: frozenset[str]
    policy: str
    owner: int | None  # target of the project's or key's owner
    owner_rung: int
    nobody: int  # target "unallocated: untraced"
    pool_cache_writes: bool = False  # writing to a cache is paid by who reads from it
    by_month: bool = False  # every day by the month's usage: one blended price for all
    is_known: bool = True  # false: nobody knows a model of this name

    @property
    def columns(self) -> tuple[int, ...]:
        """The columns of usage that the line bills."""
        return columns_of(self.token_class, self.billed_classes)


class Untraced(NamedTuple):
    """What a line has beyond its traces, as whole weights beside the traced part."""

    traced: int
    untraced: int
    is_spread: bool  # shared like the traced part; else it goes to the owner


class Join(NamedTuple):
    """What a line is split by on a day. `weighing` None: no usage answers it."""

    weighing: Weighing | None
    widened: str | None = None
    coverage: Fraction | None = None
    untraced: Untraced | None = None
    note: str | None = None
    is_derived: bool = False  # what was billed is told by money, or by the provider's report
    is_unmeasured: bool = False  # nobody knows how much of it the traces explain

    @property
    def day(self) -> date | None:
        """Whose usage the line is weighed by; None: the month's, or nobody's."""
        return self.weighing.day if self.weighing else None


def traced_join(line: TracedLine, day: date, facts: UsageFacts, billed: Billed) -> Join:
    """The join of one day: the narrowest that has any usage."""
    columns = line.columns
    for widened, when, key in _joins(line, day):
        weighing = weighing_of(line, key, when, facts, columns)
        if weighing is None:
            continue
        if facts.has_guests(key):
            widened = f"provider, {widened}" if widened else "provider"
        if key is not line.key:  # what was billed in one region says nothing about calls of all
            return Join(weighing, widened)
        coverage = Coverage(line, when, columns, facts, billed)
        return coverage.join(weighing, widened)
    quantity = billed.month
    is_unknown = quantity is None or quantity <= 0
    if is_unknown or line.policy == SPREAD or line.key.model is None:
        wider = _wider(line, day, facts)
        if wider is not None:
            return wider
    note = NO_TRACES if line.is_known else UNKNOWN
    return Join(None, coverage=None if is_unknown else Fraction(0), note=note)


def _joins(line: TracedLine, day: date) -> Iterator[tuple[str | None, date | None, Key]]:
    """Where usage is looked for: under the line's own key, then in all regions; on the day, then
    in the month.
    """
    days: tuple[tuple[str | None, date | None], ...] = ((None, day), ("month", None))
    for widened, when in days[1:] if line.by_month else days:
        yield None if line.by_month else widened, when, line.key
    if line.key.region is not None:
        for widened, when in days[1:] if line.by_month else days:
            said = "region, month" if widened else "region"
            yield said, when, line.key._replace(region=None)


def weighing_of(
    line: TracedLine, key: Key, day: date | None, facts: UsageFacts, columns: tuple[int, ...]
) -> Weighing | None:
    """What the line is weighed by under a key on a day; None where it has no usage there."""
    if key.model is None:
        return None
    sums = facts.on(key, day)
    if line.token_class is None:
        return _by_list_cost(Weighing(key, day, LIST_COST, ALL_COLUMNS), sums)
    if line.pool_cache_writes and line.token_class in CACHE_WRITES and sums.of(CACHE_READS):
        return Weighing(key, day, TOKENS, CACHE_READS)
    return Weighing(key, day, TOKENS, columns) if sums.of(columns) else None


def _by_list_cost(weighing: Weighing, sums: UsageSums) -> Weighing | None:
    """By list price of all classes; by total tokens where some of it has no price."""
    if sums.list_cost:
        return weighing
    return weighing._replace(by=TOKENS) if sums.of(ALL_COLUMNS) else None


def _wider(line: TracedLine, day: date, facts: UsageFacts) -> Join | None:
    """From the token class to the whole model; what is about no model, to every model of the
    provider in the project; day, then month.
    """
    if line.key.model is not None:
        for widened, when in (("model", day), ("model, month", None)):
            weighing = Weighing(line.key, when, LIST_COST, ALL_COLUMNS)
            if found := _by_list_cost(weighing, facts.on(line.key, when)):
                return Join(found, widened, note=UNKNOWN_COVERAGE, is_unmeasured=True)
        return None
    if line.key.is_batch:
        return None  # batch jobs are never spread over interactive calls
    for widened, when in (("every model", day), ("every model, month", None)):
        weighing = Weighing(line.key, when, LIST_COST, ALL_COLUMNS, of_provider=True)
        if found := _by_list_cost(weighing, facts.provider_on(line.key, when)):
            return Join(found, widened, is_unmeasured=True)
    return None


# ---------------------------------------------------------------- coverage


@dataclass(frozen=True)
class Coverage:
    """How much of what was billed the traces explain, on a day or in the month."""

    line: TracedLine
    day: date | None
    columns: tuple[int, ...]
    facts: UsageFacts
    billed: Billed

    def join(self, weighing: Weighing, widened: str | None) -> Join:
        """The join with what is untraced.

        Nothing is where the traces fall short of the bill by the chance of sampling.
        """
        quantity, traced = self.billed.on(self.day), self.traced(self.day)
        if quantity is None or quantity <= 0:
            return self.by_money(weighing, widened)
        coverage, is_derived = traced / quantity, self.billed.is_derived(self.day)
        if coverage > 1:
            note = FAR_OVER_TRACED if coverage > MOST_OVER else OVER_TRACED
            return Join(weighing, widened, coverage, note=note, is_derived=is_derived)
        if coverage == 1:
            return Join(weighing, widened, coverage, is_derived=is_derived)
        if self.is_by_chance():
            return Join(weighing, widened, coverage, note=BY_CHANCE, is_derived=is_derived)
        policy = self.line.policy
        is_spread = policy == SPREAD or (
            policy == AUTO and (coverage >= SPREAD_FROM or self.is_loss(traced, quantity))
        )
        of_traced, of_untraced = whole_weights([traced, quantity - traced])
        untraced = Untraced(of_traced, of_untraced, is_spread)
        return Join(weighing, widened, coverage, untraced, is_derived=is_derived)

    def by_money(self, weighing: Weighing, widened: str | None) -> Join:
        """Where nobody knows the tokens: list cost of the traced over billed cost.

        Discounts and prices move it, so that only below SPLIT_FROM something is taken to be
        untraced; it is no more than what the bill has beyond the traces.
        """
        money = self.billed.money.get(self.day)
        traced = self.traced_cost(money)
        if money is None or money.billed <= 0 or traced is None:
            return Join(weighing, widened, note=UNKNOWN_COVERAGE, is_unmeasured=True)
        coverage = traced / money.billed
        if coverage >= SPLIT_FROM:
            note = FAR_OVER_TRACED if coverage > MOST_OVER else None
            return Join(weighing, widened, coverage, note=note, is_derived=True)
        of_traced, of_untraced = whole_weights([traced, money.billed - traced])
        untraced = Untraced(of_traced, of_untraced, self.line.policy == SPREAD)
        return Join(weighing, widened, coverage, untraced, is_derived=True)

    def traced_cost(self, money: Money | None) -> Fraction | None:
        """List cost of the traced usage that the line bills, in USD."""
        if money is not None and money.per_token is not None:
            return self.traced(self.day) * money.per_token
        cost = self.facts.on(self.line.key, self.day).list_cost
        if self.line.token_class is not None or not cost:
            return None
        return Fraction(cost, 10**COST_PLACES)

    def traced(self, day: date | None) -> Fraction:
        return self.facts.tokens(self.line.key, day, self.columns)

    def is_by_chance(self) -> bool:
        """Whether sampled usage lacks no more than sampling explains: three standard errors on the
        day itself, or over the month.

        A few sampled calls say too little about one day; what a month of them says, its days can't
        contradict. The month tells whether usage is sampled: a day may by chance hold only calls
        that a tail sampler always keeps.
        """
        if not self.facts.relative_variance(self.line.key, None, self.columns):
            return False
        for when in (self.day, None):
            tokens, of = self.traced(when), self.billed.on(when)
            if of and tokens:
                coverage = tokens / of
                variance = self.facts.relative_variance(self.line.key, when, self.columns)
                most = MOST_ERRORS**2 * variance * coverage
                if coverage >= SPREAD_FROM or (1 - coverage) ** 2 <= most:
                    return True
        return False

    def is_loss(self, traced: Fraction, quantity: Fraction) -> bool:
        """Whether a low day of a month that is usually traced lacks no more than a few lost calls.

        Of a line that goes by the month there is nothing to compare it with.
        """
        if self.day is None:
            return False
        sums = self.facts.on(self.line.key, None)
        calls = Fraction(sums.calls_with(self.columns))
        month = MonthSums(self.traced(None), calls, self.billed.month)
        return is_loss_of_a_few(traced, quantity, Usual.of(month))


class MonthSums(NamedTuple):
    """What a month's calls say of one billed line; `billed` None where some does not convert."""

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


# ---------------------------------------------------------------- plans


def traced_plan(line: TracedLine, join: Join, index: UsageIndex) -> Plan:
    """The driver's shares, with the untraced part by policy."""
    if join.weighing is None:
        part = rest_of(line, 1, "untraced")
        return Plan(parts=(part,), coverage=join.coverage, note=join.note)
    weights = index.weights(join.weighing)
    entries = weights.entries
    if join.is_unmeasured:  # who it is shared by is a guess
        entries = tuple([(each, weight, max(rung, INFERRED)) for each, weight, rung in entries])
    parts: tuple[Part, ...] = (Part(1, "shared", entries),)
    note = join.note
    if join.untraced is not None:
        parts, note = with_untraced(line, join.untraced, entries)
    return Plan(
        parts=parts,
        driver=weights.name,
        driver_total=weights.total,
        places=weights.places,
        coverage=join.coverage,
        widened=join.widened,
        note=f"{note or 'split'}{DERIVED}" if join.is_derived else note,
    )


def with_untraced(
    line: TracedLine, untraced: Untraced, entries: tuple[Entry, ...]
) -> tuple[tuple[Part, ...], str]:
    """The traced part among the entries and the untraced one by policy, with the plan's note."""
    if untraced.is_spread:
        rest, to = Part(untraced.untraced, "untraced", entries), "spread"
    else:
        rest = rest_of(line, untraced.untraced, "untraced")
        to = "unallocated" if rest.kind == "unallocated" else "to owner"
    return (Part(untraced.traced, "shared", entries), rest), f"untraced {to}"


def rest_of(line: TracedLine, weight: int, kind: str) -> Part:
    """What no usage explains: the owner's, where the source's policy leaves it to one."""
    if line.owner is not None and line.policy in (AUTO, OWNER, SPREAD):
        return Part(weight, kind, ((line.owner, 1, line.owner_rung),))
    return Part(weight, "unallocated", ((line.nobody, 1, 6),))


def given_to_owner(parts: tuple[Part, ...], owner: int | None, book: Numbers) -> tuple[Part, ...]:
    """The parts with the owner's team in place of none; the owner is a target's number."""
    team = book.targets[owner].team if owner is not None else None
    if team is None or not book.teamless:
        return parts
    if all(book.teamless.isdisjoint([target for target, _, _ in p.entries]) for p in parts):
        return parts
    return tuple([part._replace(entries=_owned(part.entries, team, book)) for part in parts])


def _owned(entries: tuple[Entry, ...], team: str, book: Numbers) -> tuple[Entry, ...]:
    merged: dict[int, tuple[int, int]] = {}
    for target, weight, rung in entries:
        number = target
        if target in book.teamless:
            number = book.number(book.targets[target]._replace(team=team, reason=None))
            # The call is known by its trace; whose it is, only by the key.
            rung = max(rung, NAMED)
        before, weakest = merged.get(number, (0, 0))
        merged[number] = (before + weight, max(weakest, rung))
    order = sorted(merged, key=lambda number: book.targets[number].order())
    return tuple((number, *merged[number]) for number in order)
