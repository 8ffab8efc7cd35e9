"""From charge groups to plans: stages, grounds, fingerprints, and who pays what is left over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from allocation.charges.groups import Amount, ChargeGroup
from allocation.charges.split_keys import SourceSettings, SplitKey
from allocation.organisation.stored import TargetBook
from allocation.organisation.targets import FeaturePlace, Organisation, Owner, Target
from allocation.plans.allocation_base import AllocationBase, BaseCost
from allocation.plans.drivers import (
    DAY_USAGE,
    MONTH_USAGE,
    OTHER_DATA,
    REPORT_USAGE,
    Digests,
    Drivers,
)
from allocation.plans.plan import Part, Plan
from allocation.plans.planner import Ground, Planner
from allocation.rules.methods import NONE, UsageOptions, parse_capacity, parse_split
from allocation.usage.keys import Key, reserved_key
from allocation.usage.measures import GpuIndex, GpuRow, MeasureBook
from allocation.values.names import BY_DAY, BY_MONTH, BY_REPORTS, FOLLOWERS
from tests.allocation.calls import DAY, GPT, LATER, MINI, NEXT, Days, index_of, used
from tests.allocation.months import without_database

OCTOBER = date(2026, 10, 1)
SOURCE = SourceSettings(1, "cloud", "strict", "auto")
TREE = Organisation(
    {"ads": "ads", "search": "search"},
    {"chat": (FeaturePlace(OCTOBER, "ads", None), FeaturePlace(NEXT, "search", None))},
    {"chat": "chat"},
)
FEE = SplitKey(SOURCE, "USD", "fees", "direct", "ai", "AWS", "EC2", "Usage", None, None)
CALLS = replace(
    FEE,
    rule="calls",
    method="traced_usage",
    key=GPT,
    token_class="input",
    model="gpt-4o",
    consumed_factor=Decimal(1),
)
REPORTED = replace(CALLS, rule="reported", method="provider_usage")
RESERVED = replace(
    CALLS,
    rule="reserved",
    method="capacity",
    key=reserved_key("openai", "proj-1", "gpt-4o"),
    token_class=None,
    capacity=parse_capacity({"weights": {"input": 1, "output": 4}}),
)
TAX = replace(FEE, rule="tax", method="follow", charge_category="Tax")
NODE = replace(FEE, rule="gpus", method="gpu_usage", node="node-1")
BY_COST = parse_split("proportional", {"by": "cost"})
SEATS = parse_split("proportional", {"by": "seats"})


@pytest.fixture(autouse=True)
def _no_database() -> Iterator[None]:
    with without_database():
        yield


def cost(quanta: int, places: int = 12) -> Amount:
    return Amount(quanta, places)


def group_of(
    number: int, day: date = DAY, quantity: int | None = None, **other: Any
) -> ChargeGroup:
    plain = ChargeGroup(number, day, 1, cost(10), cost(10), None, None, None)
    known = None if quantity is None else Fraction(quantity)
    return replace(plain, **{"consumed": known, **other})


def planner_of(
    split_keys: Sequence[SplitKey],
    groups: Sequence[ChargeGroup] = (),
    *,
    traces: Mapping[Key, Days] | None = None,
    reports: Mapping[Key, Days] | None = None,
    targets: Sequence[Target] = (),
    gpu: Sequence[GpuRow] = (),
    digests: Digests | None = None,
    places: int = 0,
) -> Planner:
    """Split keys are numbered from 1. `targets` are those that usage means, from 0."""
    book = TargetBook()
    for target in targets:
        book.number(target)
    nodes = {name for key in split_keys for name in (key.node, key.node_id) if name}

    def number(owner: Owner, day: date) -> int:
        return book.number(Target(team=owner.team))

    drivers = Drivers(
        traces=replace(index_of(traces or {}, places=places), order=book.rank),
        reports=replace(index_of(reports or {}), order=book.rank),
        measures=MeasureBook(OCTOBER, TREE, book, index_of(traces or {}), gpu, {}),
        gpu=GpuIndex.of(gpu, nodes=nodes, number=number),
        book=book,
        organisation=TREE,
        digests=digests or Digests("settings", {}, {}, "others"),
    )
    book.settle()
    return Planner({key: n for n, key in enumerate(split_keys, 1)}, groups, drivers)


def planned(planner: Planner, group: ChargeGroup) -> Plan:
    ground = planner.ground(group)
    planner.drivers.book.settle()
    return planner.plan(group, ground)


def shown(planner: Planner, plan: Plan) -> list[tuple[str, list[tuple[Target, int, int]]]]:
    """Parts with targets in place of their numbers."""
    targets = planner.drivers.book.targets
    return [
        (part.kind, [(targets[number], weight, rung) for number, weight, rung in part.entries])
        for part in plan.parts
    ]


# ---------------------------------------------------------------- stages


def test_stages_come_one_after_the_other_and_their_groups_by_place() -> None:
    monthly = replace(CALLS, usage=UsageOptions(by_month=True))
    reported = replace(REPORTED, usage=UsageOptions(by_month=True))
    second = replace(FEE, method="proportional", split=BY_COST, stage=1)
    keys = [TAX, second, reported, monthly, FEE, CALLS]
    days = [(6, LATER, False), (5, DAY, True), (5, DAY, False), (6, DAY, False), (5, NEXT, False)]
    groups = [group_of(number) for number in (1, 2, 3, 4)]
    groups += [group_of(number, day, is_spread=spread) for number, day, spread in days]

    stages = list(planner_of(keys, groups).stages())

    parts = [BY_DAY, BY_MONTH, BY_REPORTS, BY_REPORTS + 1, FOLLOWERS]
    assert [part for part, _ in stages] == parts
    first = stages[0][1]
    by_content = sorted((FEE, CALLS), key=lambda key: key.content_hash)
    assert [(g.day, g.is_spread) for g in first] == [
        (DAY, False),
        (DAY, False),
        (DAY, True),
        (NEXT, False),
        (LATER, False),
    ]
    assert [keys[g.split_key - 1] for g in first[:2]] == by_content


# ---------------------------------------------------------------- who answers a line


def test_a_method_asks_its_own_usage_first_and_the_other_where_that_has_none() -> None:
    traces, reports = {GPT: {DAY: [used(0, 5)]}}, {MINI: {DAY: [used(1, 7)]}}
    drivers = planner_of([], traces=traces, reports=reports).drivers

    assert drivers.usage_of(GPT, "traced_usage") is drivers.traces
    assert drivers.usage_of(GPT, "provider_usage") is drivers.traces
    assert drivers.usage_of(MINI, "traced_usage") is drivers.reports
    assert drivers.usage_of(MINI, "provider_usage") is drivers.reports
    nobody = GPT._replace(model="o1")
    assert drivers.usage_of(nobody, "traced_usage") is drivers.traces
    assert drivers.usage_of(nobody, "provider_usage") is drivers.reports


def test_calls_of_any_tier_and_region_answer_a_line_that_has_none_of_its_own() -> None:
    """But none of them before the other's own."""
    reserved = GPT._replace(is_reserved=True)
    east = GPT._replace(region="east")
    plain = planner_of([], reports={GPT: {DAY: [used(0, 5)]}}).drivers
    both = planner_of(
        [], traces={GPT: {DAY: [used(0, 5)]}}, reports={reserved: {DAY: [used(0, 5)]}}
    )

    assert plain.usage_of(reserved, "traced_usage") is plain.reports
    assert plain.usage_of(east, "traced_usage") is plain.reports
    assert both.drivers.usage_of(reserved, "traced_usage") is both.drivers.reports


def test_what_is_billed_under_a_key_and_class_is_added_up_over_split_keys() -> None:
    other = replace(CALLS, rule="another", consumed_factor=Decimal(1000))
    output = replace(CALLS, token_class="output")
    groups = [
        group_of(1, DAY, 5),
        group_of(2, DAY, 2),
        group_of(1, NEXT, 7),
        group_of(3, DAY, 100),
        group_of(3, NEXT),
        group_of(3, NEXT, 4),
        group_of(4, DAY, 9),
    ]

    billed = planner_of([CALLS, other, output, FEE], groups).billed

    assert {name: (each.by_day, each.month) for name, each in billed.items()} == {
        (GPT, "input"): ({DAY: Fraction(2005), NEXT: Fraction(7)}, Fraction(2012)),
        (GPT, "output"): ({DAY: Fraction(100), NEXT: None}, None),
    }


# ---------------------------------------------------------------- grounds


@pytest.mark.parametrize(
    ("split_key", "day", "data"),
    [
        (CALLS, DAY, DAY_USAGE),
        (CALLS, NEXT, MONTH_USAGE),
        (replace(CALLS, usage=UsageOptions(by_month=True)), DAY, MONTH_USAGE),
        (REPORTED, DAY, REPORT_USAGE),
        (REPORTED, LATER, MONTH_USAGE),
        (replace(CALLS, key=GPT._replace(model="o1")), DAY, MONTH_USAGE),
        (RESERVED, DAY, DAY_USAGE),
        (replace(RESERVED, key=reserved_key("openai", "proj-1", "o1")), DAY, MONTH_USAGE),
        (NODE, DAY, OTHER_DATA),
        (replace(FEE, method="proportional", split=SEATS), DAY, OTHER_DATA),
        (replace(FEE, method="proportional", split=BY_COST, stage=1), DAY, None),
        (FEE, DAY, None),
        (TAX, DAY, None),
    ],
)
def test_a_ground_names_the_data_that_its_plan_depends_on(
    split_key: SplitKey, day: date, data: str | None
) -> None:
    group = group_of(1, day, 100)
    usage: dict[Key, Days] = {GPT: {DAY: [used(0, 5)]}}
    planner = planner_of(
        [split_key], [group], traces=usage, reports=usage, targets=[Target(team="ads")]
    )

    ground = planner.ground(group)

    assert ground.data == ((data,) if data else ())
    assert (ground.join is None) == (split_key.key is None)


# ---------------------------------------------------------------- fingerprints


DIGESTS = Digests("settings", {DAY: "a", NEXT: "b"}, {DAY: "c"}, "others")
CHANGES: list[dict[str, Any]] = [
    {"charges": 2},
    {"billed_cost": cost(11)},
    {"billed_cost": cost(100, 13)},
    {"effective_cost": cost(11)},
    {"list_cost": cost(0)},
    {"consumed": Fraction(1, 2)},
    {"pricing": Fraction(1, 2)},
    {"is_spread": True},
    {"split_key": 2},
]


def fingerprint(planner: Planner, *groups: ChargeGroup, base: str = "") -> str:
    return planner.fingerprint([(group, planner.ground(group)) for group in groups], base)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_a_group_is_made_of_is_part_of_its_fingerprint(change: dict[str, Any]) -> None:
    planner = planner_of([FEE, replace(FEE, rule="others")])
    group = group_of(1)

    before = fingerprint(planner, group)

    assert fingerprint(planner, replace(group)) == before
    assert fingerprint(planner, replace(group, **change)) != before
    assert fingerprint(planner, group, group) != before


@pytest.mark.parametrize(
    ("digests", "moved"),
    [
        ({"settings": "other"}, {"fee", "day", "month", "report", "gpu"}),
        ({"usage": {DAY: "x", NEXT: "b"}}, {"day", "month"}),
        ({"usage": {DAY: "a", NEXT: "x"}}, {"month"}),
        ({"usage": {DAY: "a"}}, {"month"}),
        ({"reports": {DAY: "x"}}, {"report", "month"}),
        ({"reports": {DAY: "c", NEXT: "d"}}, {"month"}),
        ({"others": "x"}, {"gpu"}),
    ],
)
def test_only_what_goes_by_data_has_another_fingerprint_with_it(
    digests: dict[str, Any], moved: set[str]
) -> None:
    keys = [FEE, CALLS, replace(CALLS, usage=UsageOptions(by_month=True)), REPORTED, NODE]
    names = ("fee", "day", "month", "report", "gpu")
    groups = [group_of(number) for number in range(1, 6)]
    usage: dict[Key, Days] = {GPT: {DAY: [used(0, 5)]}}
    ads = [Target(team="ads")]

    def fingerprints(own: Digests) -> dict[str, str]:
        planner = planner_of(keys, groups, traces=usage, reports=usage, targets=ads, digests=own)
        return {n: fingerprint(planner, group) for n, group in zip(names, groups, strict=True)}

    before, after = fingerprints(DIGESTS), fingerprints(replace(DIGESTS, **digests))

    assert {name for name in names if before[name] != after[name]} == moved


def test_joins_bases_and_places_are_part_of_a_fingerprint() -> None:
    group = group_of(1, DAY, 100)
    usage: dict[Key, Days] = {GPT: {DAY: [used(0, 5)]}}
    ads = [Target(team="ads")]
    planner = planner_of([CALLS], [group], traces=usage, targets=ads)
    # As much as before is billed in the group, and more beside it.
    beside = planner_of([CALLS], [group, group_of(1, DAY, 50)], traces=usage, targets=ads)
    finer = planner_of([CALLS], [group], traces=usage, targets=ads, places=6)

    found = [
        fingerprint(planner, group),
        fingerprint(planner, group, base="another"),
        fingerprint(beside, group),
        planner_of([FEE], [group]).fingerprint([(group, Ground())], ""),
        planner_of([FEE], [group], places=6).fingerprint([(group, Ground())], ""),
        fingerprint(finer, group),
    ]

    assert len(set(found)) == len(found)


# ---------------------------------------------------------------- plans


def test_direct_cost_is_its_targets_and_other_cost_nobodys() -> None:
    owner = Owner(feature="chat", rung=5)
    direct = replace(FEE, owner=owner, model="gpt-4o")
    none = replace(FEE, method=NONE, reason="nobody's", model="gpt-4o", kind="adjustment")
    planner = planner_of([direct, none])

    early, late = planned(planner, group_of(1)), planned(planner, group_of(1, NEXT))
    nobody = planned(planner, group_of(2))

    chat = Target(team="ads", model="gpt-4o", feature="chat")
    assert shown(planner, early) == [("direct", [(chat, 1, 5)])]
    assert shown(planner, late) == [("direct", [(chat._replace(team="search"), 1, 5)])]
    target = Target(model="gpt-4o", reason="nobody's")
    assert shown(planner, nobody) == [("adjustment", [(target, 1, 4)])]
    assert planned(planner, group_of(1)) is early


def test_what_follows_goes_by_the_base_that_is_known_by_then() -> None:
    planner = planner_of([TAX])
    planner.base = AllocationBase({FEE: [(Target(team="ads"), BaseCost(30, rung=2))]}, 12)

    plan = planned(planner, group_of(1))

    assert shown(planner, plan) == [("shared", [(Target(team="ads"), 30, 2)])]
    assert (plan.driver, plan.places) == ("effective cost of related charges", 12)


def test_calls_without_a_team_are_the_owners_with_what_the_trace_tells() -> None:
    """And calls of the owner's own beside them are the same target."""
    teamless = Target(model="gpt-4o", customer="acme", reason="no team")
    search, ads = Target(team="search"), Target(team="ads", model="gpt-4o", customer="acme")
    rows = [used(0, 3), used(1, 3), used(2, 4)]
    owned = replace(CALLS, owner=Owner(team="ads"))
    groups = [group_of(1, DAY, 10), group_of(2, NEXT, 10)]
    planner = planner_of(
        [owned, replace(CALLS, rule="nobody's")],
        groups,
        traces={GPT: {DAY: rows, NEXT: rows}},
        targets=[teamless, search, ads],
    )

    of_owner, of_nobody = (planned(planner, group) for group in groups)

    assert shown(planner, of_owner) == [
        ("shared", [(ads, 7, 4), (search, 3, 1)]),
    ]
    assert shown(planner, of_nobody) == [
        ("shared", [(teamless, 3, 1), (ads, 4, 1), (search, 3, 1)]),
    ]


def test_an_owner_without_a_team_owns_nothing() -> None:
    nameless = replace(CALLS, owner=Owner(feature="unknown"))
    unknown = replace(CALLS, rule="others", owner=Owner(team="ghost"))
    groups = [group_of(1, DAY, 10), group_of(2, DAY, 10)]
    planner = planner_of([nameless, unknown], groups)

    plans = [planned(planner, group) for group in groups]

    ghost = Target(model="gpt-4o", reason="unknown team: ghost")
    assert shown(planner, plans[0]) == [
        ("unallocated", [(Target(model="gpt-4o", reason="untraced"), 1, 6)])
    ]
    assert shown(planner, plans[1]) == [("untraced", [(ghost, 1, 4)])]


def test_a_source_s_policy_and_the_bills_other_classes_are_those_of_the_line() -> None:
    usage: dict[Key, Days] = {
        GPT: {DAY: [used(0, 5), used(1, 5, column="cache_read")]},
    }
    targets = [Target(team="ads"), Target(team="search")]
    cached = replace(CALLS, token_class="cache_read")
    kept = replace(CALLS, source=SOURCE._replace(untraced="unallocated"))
    group = group_of(1, DAY, 10)

    def parts(*keys: SplitKey) -> list[tuple[str, list[tuple[Target, int, int]]]]:
        planner = planner_of(keys, [group], traces=usage, targets=targets)
        return shown(planner, planned(planner, group))

    assert parts(CALLS) == [("shared", [(targets[0], 5, 1), (targets[1], 5, 1)])]
    untraced = (Target(model="gpt-4o", reason="untraced"), 1, 6)
    only_ads = ("shared", [(targets[0], 5, 1)])
    assert parts(kept, cached) == [only_ads, ("unallocated", [untraced])]


def test_a_node_is_looked_for_by_its_name_and_else_by_its_id() -> None:
    gpu = [
        GpuRow(DAY, "i-1", Owner(team="ads"), Decimal(60), None),
        GpuRow(DAY, "node-2", Owner(team="search"), Decimal(60), None),
    ]
    keys = [
        replace(NODE, node_id="i-1"),
        replace(NODE, node="node-2", node_id="i-1"),
        replace(NODE, node="node-3", owner=Owner(team="ads")),
        replace(NODE, node="node-3"),
    ]
    planner = planner_of(keys, gpu=gpu)

    parts = [shown(planner, planned(planner, group_of(number))) for number in (1, 2, 3, 4)]

    ads, search = Target(team="ads"), Target(team="search")
    nobody = Target(reason="no GPU usage")
    assert parts == [
        [("shared", [(ads, 60, 4)])],
        [("shared", [(search, 60, 4)])],
        [("direct", [(ads, 1, 4)])],
        [("unallocated", [(nobody, 1, 6)])],
    ]


def test_splits_and_capacities_are_planned_by_their_own() -> None:
    even = replace(FEE, method="even", split=parse_split("even", {"among": "teams"}))
    groups = [group_of(1), group_of(2, DAY, 3)]
    usage: dict[Key, Days] = {GPT._replace(is_reserved=True): {DAY: [used(0, 5)]}}
    planner = planner_of([even, RESERVED], groups, traces=usage, targets=[Target(team="ads")])

    shares, capacity = (planned(planner, group) for group in groups)

    assert shares.driver == "equal shares"
    assert capacity.driver == "weighted tokens"
    assert capacity.parts == (Part(5_000_000, "shared", ((0, 5_000_000, 1),)),)


def test_grounds_of_another_method_are_errors_of_the_program() -> None:
    group = group_of(1, DAY, 3)
    usage: dict[Key, Days] = {GPT: {DAY: [used(0, 5)]}}
    planner = planner_of([CALLS, RESERVED], [group, group_of(2)], traces=usage)
    capacity = planner.ground(group_of(2))

    with pytest.raises(LookupError, match=r"^a split by usage needs a join$"):
        planner.plan(group, Ground())
    with pytest.raises(LookupError, match=r"^a split by capacity needs one$"):
        planner.plan(group, capacity)
    keyless = planner_of([replace(CALLS, key=None)])
    with pytest.raises(LookupError, match=r"^a split by usage needs a key$"):
        keyless.ground(group)
