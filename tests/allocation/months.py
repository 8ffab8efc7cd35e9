"""Whole months made up by chance, and allocated without a database: rules, a tree, charges, usage
and drivers.

`made_up` draws a month from a seed and a size; `allocate` carries it out with the real rules,
split keys, planner and cuts. What PostgreSQL does in a real run, sums of equal charges and of what
targets were given, is done here in Python.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.charges.groups import ChargeGroup, groups_of
from allocation.charges.split_keys import (
    DimensionRow,
    MemberKey,
    SourceSettings,
    SplitKey,
    beside_others,
    billed_keys,
    split_key_of,
)
from allocation.ledger.cutting import cut_group, layout_of
from allocation.ledger.slices import SlicePlace, SliceStore, run_sha256
from allocation.ledger.writer import LedgerWriter, Planned
from allocation.models import ProjectMatch
from allocation.organisation.stored import TargetBook
from allocation.organisation.targets import (
    NAMED,
    FeaturePlace,
    Organisation,
    Owner,
    Target,
    resolve,
)
from allocation.plans.allocation_base import AllocationBase, BaseCost
from allocation.plans.drivers import Digests, Drivers
from allocation.plans.plan import Plan
from allocation.plans.planner import Planner
from allocation.rules.rules import parse_rules
from allocation.runs.inputs import Resolver
from allocation.usage.index import UsageIndex
from allocation.usage.keys import DeclaredUsage, Key, digest_of, places_of_rows
from allocation.usage.measures import GpuIndex, GpuRow, MeasureBook, Reading
from allocation.values.money import exact_sum, places_of, plain, quanta_of, text_of
from allocation.values.names import BY_REPORTS

OCTOBER = date(2026, 10, 1)
FIRST, SECOND, LAST = (
    date(2026, 10, 5),
    date(2026, 10, 6),
    date(2026, 10, 20),
)  # few days, so that much meets on one
DAYS = (FIRST, FIRST, SECOND, LAST)
CURRENCIES = ("USD", "USD", "EUR", "JPY")
TEAMS = ("ads", "chat", "data", "ops", "search")
FEATURES = ("answers", "banner", "index")
UNKNOWN = "nobody knows them"
NODES = ("node-1", "node-2")
SERVICES = ("Compute", "Platform", "Storage", "Support")
UNTRACED = ("auto", "spread", "owner", "unallocated")
METERS = (
    "gpt-4o input tokens",
    "gpt-4o output tokens",
    "gpt-4o batch input tokens",
    "gpt-4o",
    "o1 input tokens",
)


R = TypeVar("R", bound="Any")


class MadeCharge(NamedTuple):
    """One charge. `spread` is its period where it touches several days."""

    dimension: int  # index into Month.dimensions
    day: date
    spread: tuple[str, str] | None
    billed: Decimal
    effective: Decimal
    listed: Decimal | None
    quantity: Decimal | None


@dataclass(frozen=True)
class Month:
    """Everything that a run depends on."""

    rules: str
    organisation: Organisation
    sources: dict[int, SourceSettings]
    dimensions: tuple[DimensionRow, ...]
    charges: tuple[MadeCharge, ...]
    usage: tuple[DeclaredUsage, ...] = ()
    reported: tuple[DeclaredUsage, ...] = ()
    gpu: tuple[GpuRow, ...] = ()
    series: dict[str, list[Reading]] = field(default_factory=dict)

    def shuffled(self, seed: int) -> Month:
        """The same month with every row delivered in another order."""
        chance = random.Random(seed)

        def mixed(rows: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(chance.sample(rows, len(rows)))

        order = mixed(range(len(self.dimensions)))
        place = {number: n for n, number in enumerate(order)}
        charges = [charge._replace(dimension=place[charge.dimension]) for charge in self.charges]
        return replace(
            self,
            dimensions=tuple(self.dimensions[number] for number in order),
            charges=mixed(charges),
            usage=mixed(self.usage),
            reported=mixed(self.reported),
            gpu=mixed(self.gpu),
            series={name: list(mixed(readings)) for name, readings in self.series.items()},
        )

    def negated(self) -> Month:
        """The month that undoes this one: every cost with its sign turned, every quantity as it
        was.
        """
        charges = [
            charge._replace(
                billed=charge.billed.copy_negate(),  # a minus sign would round to 28 digits
                effective=charge.effective.copy_negate(),
                listed=None if charge.listed is None else charge.listed.copy_negate(),
            )
            for charge in self.charges
        ]
        return replace(self, charges=tuple(charges))

    def only(self, currency: str) -> Month:
        """Only the bills in one currency."""
        charges = [charge for charge in self.charges if self.currency_of(charge) == currency]
        return replace(self, charges=tuple(charges))

    def currency_of(self, charge: MadeCharge) -> str:
        found: str = self.dimensions[charge.dimension].columns["billing_currency"]
        return found

    @cached_property
    def currencies(self) -> list[str]:
        return sorted({self.currency_of(charge) for charge in self.charges})

    @cached_property
    def split_keys(self) -> dict[MemberKey, SplitKey]:
        """The split key of every dimension that has a charge."""
        rules, used = parse_rules(self.rules), {charge.dimension for charge in self.charges}
        return beside_others(
            {
                member_of(row): split_key_of(
                    row, source=self.sources[row.source_id], rules=rules, month=OCTOBER
                )
                for number, row in enumerate(self.dimensions)
                if number in used
            }
        )


def member_of(row: DimensionRow) -> MemberKey:
    return MemberKey(row.source_id, row.dimension_id, row.variant)


# ---------------------------------------------------------------- carried out


class Line(NamedTuple):
    """One row of allocated_cost."""

    split_key: SplitKey
    day: date
    target: Target
    kind: str
    billed: Decimal
    effective: Decimal
    listed: Decimal | None
    quantity: str
    rung: int


@dataclass
class Ledger:
    """What a run of one currency wrote, with the groups and plans that it came from."""

    lines: list[Line]
    groups: list[tuple[ChargeGroup, SplitKey, Plan]]
    slices: dict[SlicePlace, str]  # canonical CSV
    fingerprints: dict[tuple[int, date], str]  # by stage and day

    @property
    def canonical(self) -> str:
        return "".join(self.slices.values())

    @cached_property
    def said(self) -> dict[tuple[int, date], str]:
        """All that stands in the slices of each stage and day: shares, and groups with drivers."""
        found = {(place.part, place.day): "" for place in self.slices}
        for place, text in self.slices.items():
            found[place.part, place.day] += f"{place} {text}"
        for group, split_key, plan in self.groups:
            found[split_key.part, group.day] += f"{group} {plan[1:]}"
        return found

    @cached_property
    def sha256(self) -> str:
        return hash_of(self.slices)


def has_money(group: ChargeGroup) -> bool:
    """Only then does the ledger have rows of it."""
    amounts = (group.billed_cost, group.effective_cost, group.list_cost)
    return any(amount is not None and amount.quanta for amount in amounts)


class MemoryWriter(LedgerWriter):
    """Keeps what a run writes."""

    def __init__(self, book: TargetBook) -> None:
        super().__init__(book=book, slices=SliceStore(run_id=0, month=OCTOBER, currency="USD"))
        self.ledger: list[Line] = []
        self.groups: list[tuple[ChargeGroup, SplitKey, Plan]] = []
        self.slices_text: dict[SlicePlace, str] = {}

    def keep(self, part: int, planned: Iterable[Planned]) -> None:
        listed = list(planned)
        self.book.settle()
        for each in listed:
            self._keep(part, each)

    def _keep(self, part: int, planned: Planned) -> None:
        group, split_key, plan = planned
        place = SlicePlace(part, group.day, group.is_spread)
        self.slices_text.setdefault(place, "")
        self.groups.append(planned)
        book = self.book
        layout = layout_of(plan, split_key.kind, is_allocated=book.is_allocated, rank=book.rank)
        cut = cut_group(group, layout)
        places = group.list_cost.places if group.list_cost else 0
        columns = (layout.targets, layout.kinds, layout.quantities, layout.rungs)
        for n, (target, kind, quantity, rung) in enumerate(zip(*columns, strict=True)):
            texts = (
                text_of(cut.billed[n], group.billed_cost.places),
                text_of(cut.effective[n], group.effective_cost.places),
                "" if cut.listed is None else text_of(cut.listed[n], places),
            )
            about = (book.targets[target].cells(), f'"{kind}"', *texts, quantity, rung)
            if has_money(group):
                self.slices_text[place] += f"{split_key.cells},{','.join(map(str, about))}\n"
            self.ledger.append(
                Line(
                    split_key,
                    group.day,
                    book.targets[target],
                    kind,
                    Decimal(texts[0]),
                    Decimal(texts[1]),
                    Decimal(texts[2]) if texts[2] else None,
                    quantity,
                    rung,
                )
            )

    def base(self, parts: Collection[int]) -> AllocationBase:
        """As the database sums what these stages gave."""
        sums: dict[tuple[SplitKey, Target], list[Decimal]] = {}
        rungs: dict[tuple[SplitKey, Target], int] = {}
        for line in self.ledger:
            if line.split_key.part not in parts:
                continue
            name = (line.split_key, line.target)
            before = sums.get(name, [Decimal(0)] * 3)
            costs = (line.effective, line.billed, line.listed or Decimal(0))
            sums[name] = [exact_sum(pair) for pair in zip(before, costs, strict=True)]
            rungs[name] = max(rungs.get(name, 0), line.rung)
        places = max(
            (places_of(plain(cost)) for costs in sums.values() for cost in costs), default=12
        )
        found: dict[SplitKey, list[tuple[Target, BaseCost]]] = {}
        for name, costs_of in sums.items():
            effective, billed, listed = (quanta_of(plain(cost), places) for cost in costs_of)
            cost = BaseCost(effective, billed, listed, rungs[name])
            found.setdefault(name[0], []).append((name[1]._replace(customer=None), cost))
        return AllocationBase(found, places)


@contextmanager
def without_database() -> Iterator[None]:
    """The one place where plans reach for the database: ids of targets."""
    with patch("allocation.organisation.stored.ensure_targets", lambda targets: [0] * len(targets)):
        yield


def allocate(month: Month) -> dict[str, Ledger]:
    """The month's ledgers by currency."""
    members = month.split_keys
    with without_database():
        drivers = drivers_of(month, members.values())
        return {
            currency: _ledger(month, currency, members, drivers) for currency in month.currencies
        }


def _ledger(
    month: Month, currency: str, members: dict[MemberKey, SplitKey], drivers: Drivers
) -> Ledger:
    own = {split_key for split_key in members.values() if split_key.currency == currency}
    numbers = {key: int.from_bytes(key.content_hash[:7]) for key in own}  # the same in any month
    groups = groups_of(group_lines(month, currency, members, numbers))
    writer = MemoryWriter(drivers.book)
    planner = Planner(numbers, groups, drivers)
    unread: set[int] = set()
    ledger = Ledger(writer.ledger, writer.groups, writer.slices_text, {})
    for part, of_part in planner.stages():
        base = ""
        if part > BY_REPORTS:
            base = hash_of(writer.slices_text)
            planner.base = planner.base.joined(writer.base(unread))
            unread.clear()
        unread.add(part)
        drivers.book.settle()
        grounded = [(group, planner.ground(group)) for group in of_part]
        for day, of_day in groupby(grounded, key=lambda item: item[0].day):
            ledger.fingerprints[part, day] = planner.fingerprint(of_day, base)
        writer.keep(
            part,
            (
                Planned(group, planner.split_keys[group.split_key], planner.plan(group, ground))
                for group, ground in grounded
            ),
        )
    return ledger


def hash_of(slices: dict[SlicePlace, str]) -> str:
    """The hash of a run that has these slices."""
    return run_sha256(
        {place: hashlib.sha256(text.encode()).hexdigest() for place, text in slices.items()}
    )


def drivers_of(month: Month, split_keys: Iterable[SplitKey]) -> Drivers:
    book, organisation = TargetBook(), month.organisation
    apart = billed_keys(split_keys)
    resolver = Resolver(organisation, book, apart)

    def number(owner: Owner, day: date) -> int:
        return book.number(resolve(organisation, owner, model=None, day=day))

    def index(rows: Sequence[DeclaredUsage]) -> UsageIndex:
        places = places_of_rows(rows)
        return UsageIndex.of(resolver.rows(rows, places), places=places, order=book.rank)

    traces = index(month.usage)
    series = sorted((name, sorted(map(repr, own))) for name, own in month.series.items())
    drivers = Drivers(
        traces=traces,
        reports=index(month.reported),
        measures=MeasureBook(OCTOBER, organisation, book, traces, month.gpu, month.series),
        gpu=GpuIndex.of(month.gpu, nodes=NODES, number=number),
        book=book,
        organisation=organisation,
        digests=Digests(
            settings=digest_of([organisation.digest(), apart.lines()]),
            usage=digests_of(month.usage),
            reports=digests_of(month.reported),
            others=digest_of([*sorted(map(repr, month.gpu)), series]),
        ),
    )
    book.settle()
    return drivers


def digests_of(rows: Sequence[DeclaredUsage]) -> dict[date, str]:
    """Of each day that has any, whatever their order."""
    days = sorted({row.day for row in rows})
    return {day: digest_of(sorted(repr(row) for row in rows if row.day == day)) for day in days}


def group_lines(
    month: Month, currency: str, members: dict[MemberKey, SplitKey], numbers: dict[SplitKey, int]
) -> Iterator[str]:
    """As the database sums charges: one row per split key, first day and period."""
    found: dict[tuple[int, date, tuple[str, str] | None], list[MadeCharge]] = {}
    for charge in month.charges:
        if month.currency_of(charge) == currency:
            split_key = members[member_of(month.dimensions[charge.dimension])]
            found.setdefault((numbers[split_key], charge.day, charge.spread), []).append(charge)
    for (number, day, spread), charges in found.items():
        columns: list[list[Decimal | None]] = [
            [charge.billed for charge in charges],
            [charge.effective for charge in charges],
            [charge.listed for charge in charges],
            [charge.quantity for charge in charges],
            [None] * len(charges),
        ]
        start, end = spread or ("\\N", "\\N")
        yield "\t".join(
            [str(number), day.isoformat(), start, end, str(len(charges)), *map(_sum_text, columns)]
        )


def _sum_text(amounts: list[Decimal | None]) -> str:
    known = [amount for amount in amounts if amount is not None]
    return format(exact_sum(known), "f") if len(known) == len(amounts) else "\\N"


# ---------------------------------------------------------------- made up


def made_up(seed: int, size: int) -> Month:
    """A month of about `size` of everything; the same for the same seed and size."""
    chance = random.Random(seed * 64 + size)
    organisation = _organisation(chance)
    sources = {
        number: SourceSettings(
            number,
            name,
            chance.choice(ProjectMatch.values),
            chance.choice(UNTRACED),
        )
        for number, name in ((1, "cloud"), (2, "models"))
    }
    dimensions = tuple(_dimension(chance, number) for number in range(1, 2 * size + 2))
    charges = tuple(_charge(chance, len(dimensions)) for _ in range(3 * size + 1))
    gpu = [_booking(chance) for _ in range(chance.randint(0, size))]
    capacities = [
        GpuRow(day, node, None, Decimal(0), Decimal(_quantity(chance)))
        for node in NODES
        for day in (FIRST, LAST)
        if chance.random() < 0.5
    ]
    return Month(
        rules=json.dumps(_rules(chance, size)),
        organisation=organisation,
        sources=sources,
        dimensions=dimensions,
        charges=charges,
        usage=tuple(
            _usage(chance, chance.choice((1, 1, 2))) for _ in range(chance.randint(0, 2 * size))
        ),
        reported=tuple(_usage(chance, 3) for _ in range(chance.choice((0, 0, size)))),
        gpu=(*gpu, *capacities),
        series={
            name: _series(chance, organisation)
            for name in ("seats", "queries")
            if chance.random() < 0.8
        },
    )


def changed(month: Month, seed: int) -> Month:
    """The month with one thing of it changed: a row that comes, goes or says something else, a
    setting, the tree or the rules.
    """
    chance = random.Random(seed)
    what = chance.choice(
        ("charges", "charges", "usage", "usage", "reported", "gpu", "series", "sources", "tree")
    )
    if what == "charges":
        count = len(month.dimensions)
        return replace(month, charges=_with_one_changed(chance, month.charges, _charge, count))
    if what == "usage":
        return replace(month, usage=_with_one_changed(chance, month.usage, _usage, 1))
    if what == "reported":
        return replace(month, reported=_with_one_changed(chance, month.reported, _usage, 3))
    if what == "gpu":
        return replace(month, gpu=_with_one_changed(chance, month.gpu, _booking))
    if what == "series":
        series = {**month.series, "seats": _series(chance, month.organisation)}
        return replace(month, series=series)
    if what == "sources":
        number, source = chance.choice(sorted(month.sources.items()))
        others = [each for each in ProjectMatch.values if each != source.project_match]
        other = source._replace(project_match=chance.choice(others))
        if chance.random() < 0.5:
            other = source._replace(untraced=chance.choice(UNTRACED))
        return replace(month, sources={**month.sources, number: other})
    return replace(month, organisation=_organisation(chance))


def _with_one_changed(
    chance: random.Random, rows: tuple[R, ...], made: Callable[..., R], *about: Any
) -> tuple[R, ...]:
    """One row more, one less, or one with one of its values as in a new one."""
    new, place = made(chance, *about), chance.randrange(len(rows) + 1)
    kind = chance.random()
    if kind < 0.2 or place == len(rows):
        return (*rows, new)
    if kind < 0.4:
        return (*rows[:place], *rows[place + 1 :])
    name = chance.choice(new._fields)
    other = rows[place]._replace(**{name: getattr(new, name)})
    return (*rows[:place], other, *rows[place + 1 :])


def _organisation(chance: random.Random) -> Organisation:
    if chance.random() < 0.1:
        return Organisation({}, {}, {})
    teams = chance.sample(TEAMS, chance.randint(1, len(TEAMS)))
    places = {
        feature: tuple(
            FeaturePlace(day, chance.choice(teams), chance.choice([None, "suite"]))
            for day in sorted(
                chance.sample([date(2026, 1, 1), FIRST, SECOND, LAST], chance.randint(1, 3))
            )
        )
        for feature in chance.sample(FEATURES, chance.randint(0, len(FEATURES)))
    }
    return Organisation(
        {team: team for team in teams}, places, {feature: feature for feature in places}
    )


def _owner(chance: random.Random) -> Owner:
    team = chance.choice((*TEAMS, *TEAMS, UNKNOWN, None))
    return Owner(team, chance.choice((None, *FEATURES)), environment=chance.choice((None, "prod")))


def _amount(chance: random.Random) -> Decimal:
    kind = chance.random()
    if kind < 0.1:
        return Decimal(0)
    sign = -1 if chance.random() < 0.25 else 1
    if kind < 0.6:
        return sign * Decimal(chance.randint(1, 10**6)).scaleb(-2)
    if kind < 0.75:
        return sign * Decimal(chance.randint(1, 10**4)).scaleb(-18)
    if kind < 0.9:
        return sign * Decimal(chance.randint(1, 10**16)).scaleb(-2)
    return sign * Decimal(chance.randint(1, 10**20)).scaleb(-chance.randint(6, 20))


def _quantity(chance: random.Random) -> str:
    """Plain text of a driver's number: zero, small, whole or with places, or huge."""
    kind = chance.random()
    if kind < 0.15:
        return "0"
    if kind < 0.7:
        return str(chance.randint(1, 9))
    return (
        str(chance.randint(1, 10**15))
        if kind < 0.8
        else f"{chance.randint(0, 999)}.{chance.randint(1, 999)}"
    )


def _charge(chance: random.Random, dimensions: int) -> MadeCharge:
    billed = _amount(chance)
    effective = billed if chance.random() < 0.6 else _amount(chance)
    day, spread = chance.choice(DAYS), None
    if chance.random() < 0.15:
        last = date(2026, 11, 1) if chance.random() < 0.5 else day + timedelta(chance.randint(2, 9))
        hour = f"{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:00.000007+00:00"
        spread = (f"{day}T{hour}", f"{last}T00:00:00+00:00")
    return MadeCharge(
        dimension=chance.randrange(dimensions),
        day=day,
        spread=spread,
        billed=billed,
        effective=effective,
        listed=_amount(chance) if chance.random() < 0.5 else None,
        quantity=Decimal(_quantity(chance)) if chance.random() < 0.7 else None,
    )


def _dimension(chance: random.Random, number: int) -> DimensionRow:
    columns: dict[str, Any] = {
        "billing_currency": chance.choice(CURRENCIES),
        "charge_category": chance.choice(("Usage",) * 6 + ("Tax", "Credit", "Purchase")),
        "sub_account_id": chance.choice((None, "proj-1", "proj-2")),
        "service_name": chance.choice(SERVICES),
        "commitment_discount_id": chance.choice((None, None, "plan-1")),
        "commitment_discount_status": chance.choice((None, "Used", "Unused")),
        "tags": {"team": team} if (team := _owner(chance).team) else None,
    }
    about = chance.random()
    if about < 0.4:
        columns |= {
            "provider_name": "OpenAI",
            "service_name": "OpenAI API",
            "sku_meter": chance.choice(METERS),
            "consumed_unit": chance.choice(("Tokens", "1K tokens", None)),
        }
    elif about < 0.6:
        columns |= {
            "provider_name": "AWS",
            "resource_type": "p5.48xlarge",
            "resource_name": chance.choice(NODES),
        }
    else:
        columns |= {"provider_name": chance.choice(("AWS", None))}
    source = 2 if columns["provider_name"] == "OpenAI" else chance.choice((1, 1, 2))
    return DimensionRow(source, number, 0, columns)


def _booking(chance: random.Random) -> GpuRow:
    return GpuRow(
        chance.choice(DAYS),
        chance.choice(NODES),
        _owner(chance),
        Decimal(_quantity(chance)),
        None,
    )


def _usage(chance: random.Random, rung: int) -> DeclaredUsage:
    owner = _owner(chance)
    tokens = [_quantity(chance) if chance.random() < 0.3 else "0" for _ in TOKEN_COLUMNS]
    sampled = chance.random() < 0.2
    return DeclaredUsage(
        day=chance.choice(DAYS),
        key=Key(
            "openai",
            chance.choice(("proj-1", "proj-1", "proj-2", None)),
            chance.choice(("gpt-4o", "gpt-4o", "o1")),
            chance.random() < 0.15,
        ),
        attributes=(
            owner.team,
            owner.feature,
            None,
            owner.environment,
            chance.choice((None, "customer")),
            *[None] * 3,
        ),
        rung=rung,
        calls=str(chance.randint(0, 5)),
        tokens=tuple(tokens),
        list_cost=_quantity(chance) if chance.random() < 0.7 else None,
        variance=(chance.randint(1, 10**6), chance.randint(0, 10**6)) if sampled else (0, 0),
    )


def _series(chance: random.Random, organisation: Organisation) -> list[Reading]:
    readings = []
    for _ in range(chance.randint(0, 6)):
        day = chance.choice((None, None, FIRST, SECOND))
        target = resolve(organisation, _owner(chance), model=None, day=day or OCTOBER)
        readings.append(Reading(day, target._replace(environment=None), _quantity(chance), NAMED))
    return readings


# ---------------------------------------------------------------- rules


def _rules(chance: random.Random, size: int) -> dict[str, Any]:
    leaves = [_leaf(chance, f"leaf {n}") for n in range(chance.randint(1, 2 + size))]
    names = [rule["name"] for rule in leaves]
    pools: list[dict[str, Any]] = []
    for n in range(chance.randint(0, 3)):
        split = made_split(chance, [pool["name"] for pool in pools], names)
        pools.append({"name": f"pool {n}", **split})
    rules = list(leaves)
    for n in range(chance.randint(0, 2 + size)):
        filled = [pool["name"] for pool in pools]
        rule: dict[str, Any] = {"name": f"split {n}", "when": _when(chance)}
        if filled and chance.random() < 0.3:
            rule |= {"method": "direct", "target": {"pool": chance.choice(filled)}}
        else:
            rule |= made_split(chance, filled, names)
        if chance.random() < 0.2:
            rule["kind"] = chance.choice(("shared", "adjustment", "commitment_unused"))
        rules.append(rule)
        names.append(rule["name"])
    tax: dict[str, Any] = {
        "name": "tax",
        "when": {"ChargeCategory": ["Tax", "Credit"]},
        "method": "follow",
    }
    if chance.random() < 0.3:
        tax |= {"by": "list_cost"}
    if chance.random() < 0.3:
        tax |= {"of_rules": chance.sample(names, min(3, len(names)))}
    rules.append(tax | {"kind": "tax"})
    if chance.random() < 0.5:
        purchase = {
            "method": "follow",
            "follows": "commitment",
            "when": {"ChargeCategory": "Purchase"},
        }
        rules.append({"name": "purchases", **purchase})
    chance.shuffle(rules)
    scope = [{"name": "calls", "scope": "ai", "when": {"Catalogue.Kind": ["model_usage", "gpu"]}}]
    return {"scope": scope, "rules": rules, "pools": pools}


def _when(chance: random.Random) -> dict[str, Any]:
    choices: tuple[dict[str, Any], ...] = (
        {"ServiceName": chance.choice(SERVICES)},
        {"ServiceName": chance.sample(SERVICES, 2)},
        {"Tags.team": {"missing": chance.random() < 0.5}},
        {"Catalogue.Kind": chance.choice(("model_usage", "gpu", "other"))},
        {"any": [{"SubAccountId": "proj-1"}, {"CommitmentDiscountStatus": "Unused"}]},
        {"not": {"ChargeCategory": "Usage"}},
    )
    return chance.choice(choices)


def _leaf(chance: random.Random, name: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": name, "when": _when(chance)}
    usage = ("traced_usage", "traced_usage", "provider_usage", "capacity")
    method = chance.choice(("direct", "direct", *usage, "gpu_usage", "none"))
    if method == "direct":
        return rule | {
            "method": "direct",
            "target": {"team": chance.choice(({"tag": "team"}, *TEAMS))},
        }
    if method == "none":
        return rule | {"method": "unallocated", "reason": "nobody's"}
    if method in usage:
        rule["when"] = {"Catalogue.Kind": "model_usage"}
        if method == "capacity":
            rule["weights"] = {
                "input": 1,
                "output": chance.choice((1, 4)),
                "cached": chance.choice((0, "0.5")),
            }
        elif chance.random() < 0.3:
            rule["weights"], rule["pool_cache_writes"] = "month", True
    else:
        rule["when"] = {"Catalogue.Kind": "gpu"}
    owner = {"owner": {"team": {"tag": "team"}}} if chance.random() < 0.7 else {}
    return rule | {"method": method} | owner


def made_split(chance: random.Random, pools: list[str], rules: list[str]) -> dict[str, Any]:
    """A fixed, even or proportional split over teams, features and these pools; by cost of these
    rules.
    """
    method = chance.choice(("fixed", "even", "proportional", "proportional"))
    if method == "proportional":
        return _proportional(chance, rules)
    if method == "even" and chance.random() < 0.3:
        return {"method": "even", "among": "teams"}
    members = _members(chance, pools)
    if method == "even":
        return {"method": "even", "among": members}
    cuts = sorted(chance.randint(0, 10_000) for _ in members[1:])
    shares = [end - start for start, end in zip([0, *cuts], [*cuts, 10_000], strict=True)]
    return {
        "method": "fixed",
        "shares": [
            {**member, "share": format(Decimal(share).scaleb(-2), "f")}
            for member, share in zip(members, shares, strict=True)
        ],
    }


def _members(chance: random.Random, pools: list[str]) -> list[dict[str, Any]]:
    choices: list[dict[str, Any]] = [{"team": team} for team in (*TEAMS, UNKNOWN)]
    choices += [{"team": team, "feature": feature} for team in TEAMS[:2] for feature in FEATURES]
    choices += [{"feature": feature} for feature in FEATURES]
    choices += [{"pool": pool} for pool in pools] * 4
    found: list[dict[str, Any]] = []
    for member in chance.sample(choices, chance.randint(1, 5)):
        if member not in found:
            found.append(member)
    return found


def _proportional(chance: random.Random, rules: list[str]) -> dict[str, Any]:
    by = chance.choice(
        ("cost", "cost", "requests", "tokens", "output_tokens", "gpu_seconds", "seats", "series")
    )
    split: dict[str, Any] = {
        "method": "proportional",
        "by": by,
        "level": chance.choice(("team", "feature")),
    }
    if by == "series":
        split["series"] = "queries"
    if by == "cost" and chance.random() < 0.5:
        split["of_rules"] = chance.sample(rules, min(2, len(rules)))
    if by not in ("cost", "seats"):
        split["weights"] = chance.choice(("day", "month"))
    if by == "requests" and chance.random() < 0.3:
        split["usage"] = {"model": "gpt-4o"}
    among = chance.random()
    if among < 0.2:
        split["among"] = "teams"
    elif among < 0.5:
        split["among"] = [member for member in _members(chance, []) if "pool" not in member]
    if chance.random() < 0.3:
        split["min_share"] = str(chance.choice((0, "0.5", 5, 20)))
    if chance.random() < 0.3:
        split["max_share"] = str(chance.choice((20, 30, "33.4", 100)))
    return split
