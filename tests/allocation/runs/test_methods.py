"""Every way to split, from rules to the ledger: what each target is given, to the last digit."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from allocation.ledger.writer import stored_sha256
from allocation.models import (
    AllocationRun,
    DriverPoint,
    Feature,
    GpuUsage,
    IdentityOwner,
    LedgerGroup,
    ProviderUsage,
    RuleSet,
    Team,
)
from allocation.values.periods import Period
from reports.queries.usage.gpu_days import gpu_days
from tests.allocation.bills import (
    AWS,
    OCTOBER,
    OPENAI,
    Bill,
    allocate,
    billed_by_team,
    put_in_force,
    shares,
    usage,
    utc,
)
from tests.ledger_rows import asked_about

pytestmark = pytest.mark.django_db


def rules(text: str) -> RuleSet:
    return put_in_force(text)


def teams(*slugs: str) -> None:
    Team.objects.bulk_create([Team(slug=slug, name=slug.title()) for slug in slugs])


def series(name: str, *points: tuple[int | None, str | None, str]) -> None:
    for day, team, quantity in points:
        DriverPoint.objects.create(
            series=name,
            month=OCTOBER.start,
            day=date(2026, 10, day) if day else None,
            team=team,
            quantity=Decimal(quantity),
        )


def by_team() -> dict[str | None, Decimal]:
    """Effective cost of the month's current run by team, or by reason where no team has it."""
    found: dict[str | None, Decimal] = {}
    for share in shares():
        name = share.team or share.reason
        found[name] = found.get(name, Decimal(0)) + share.effective
    return found


def money(**amounts: str) -> dict[str, Decimal]:
    return {name.replace("_", " "): Decimal(amount) for name, amount in amounts.items()}


def test_fixed_shares_cut_exactly() -> None:
    teams("a", "b")
    rules(
        "rules: [{name: r, method: fixed, "
        "shares: [{team: a, share: 66.6}, {team: b, share: 33.4}]}]"
    )
    Bill().charge("100.01", **AWS)

    allocate()

    assert by_team() == money(a="66.60666", b="33.40334")


def test_equal_shares_among_every_team_of_the_tree() -> None:
    teams("a", "b", "c")
    rules("rules: [{name: r, method: even, among: teams}]")
    Bill().charge("1", **AWS)

    allocate()

    assert by_team() == money(a="0.333333333334", b="0.333333333333", c="0.333333333333")


def test_seats_weigh_by_the_month_and_an_unknown_team_is_left_unallocated_by_name() -> None:
    teams("a", "b")
    rules("rules: [{name: r, method: proportional, by: seats}]")
    series("seats", (None, "A", "30"), (None, "b", "10"), (None, "ghost", "10"))
    Bill().charge("100", **AWS)

    allocate()

    assert by_team() == {"a": Decimal(60), "b": Decimal(20), "unknown team: ghost": Decimal(20)}


def test_a_daily_series_weighs_each_day_and_the_month_stands_in_for_a_day_without() -> None:
    teams("a", "b")
    rules("rules: [{name: r, method: proportional, by: series, series: queries}]")
    series("queries", (5, "a", "3"), (5, "b", "1"), (6, "a", "1"))
    bill = Bill()
    bill.charge("8", at=utc(5), **AWS)
    bill.charge("8", at=utc(6), **AWS)
    bill.charge("10", at=utc(7), **AWS)

    allocate()

    assert by_team() == money(a="22", b="4")
    assert LedgerGroup.objects.get(day=date(2026, 10, 7)).widened == "month"


def test_requests_and_token_classes_of_traces_weigh_what_no_trace_is_billed_by() -> None:
    teams("a", "b")
    usage("a", calls=3, input_uncached=100, output_text=10, at=utc(5))
    usage("b", calls=1, input_uncached=100, output_text=30, at=utc(5))
    for by, expected in (
        ("requests", money(a="30", b="10")),
        ("output_tokens", money(a="10", b="30")),
    ):
        rules(f"rules: [{{name: r, method: proportional, by: {by}}}]")
        if by == "requests":
            Bill().charge("40", at=utc(5), **AWS)

        allocate()

        assert by_team() == expected


def test_only_calls_of_the_model_named_weigh() -> None:
    teams("a", "b")
    usage("a", model="gpt-4o", calls=1, input_uncached=1, at=utc(5))
    usage("b", model="o1", calls=1, input_uncached=1, at=utc(5))
    rules("rules: [{name: r, method: proportional, by: requests, usage: {model: o1}}]")
    Bill().charge("40", at=utc(5), **AWS)

    allocate()

    assert by_team() == money(b="40")


BY_COST = """
rules:
  - {name: platform, when: {ServiceName: Platform}, method: proportional, by: cost, level: team}
  - {name: tagged, when: {Tags.team: {missing: false}}, method: direct, target: {team: {tag: team}}}
"""


def test_a_platform_is_paid_in_proportion_to_other_cost() -> None:
    teams("a", "b", "c")
    rules(BY_COST)
    bill = Bill()
    bill.charge("10", **{**AWS, "service_name": "Platform"})
    bill.charge("30", tags={"team": "a"}, **AWS)
    bill.charge("70", tags={"team": "b"}, **AWS)
    bill.charge("-5", tags={"team": "c"}, **AWS)

    allocate()

    assert by_team() == money(a="33", b="77", c="-5")


def test_fault_075_a_platform_without_any_other_cost_keeps_its_money_in_sight() -> None:
    """Koku's platform distribution, read as written, loses it: 100 + 10 becomes 100."""
    teams("a")
    rules(BY_COST)
    bill = Bill()
    bill.charge("10", **{**AWS, "service_name": "Platform"})
    bill.charge("100", **AWS)  # nobody's

    allocate()

    assert by_team() == {"no driver data": Decimal(10), "outside AI scope": Decimal(100)}


def test_fault_075_weights_of_zero_send_the_cost_to_unallocated_with_the_reason() -> None:
    teams("a")
    rules("rules: [{name: r, method: proportional, by: seats, among: [{team: a}]}]")
    series("seats", (None, "b", "5"))
    Bill().charge("7", **AWS)

    allocate()

    assert by_team() == {"driver is zero": Decimal(7)}


def test_splits_chain_through_pools_in_a_computed_order() -> None:
    """What AWS forbids: a split of a split. Half of the platform goes through a second pool."""
    teams("a", "b", "c")
    rules("""
    rules:
      - {name: shared, method: direct, target: {pool: platform}}
    pools:
      - {name: platform, method: fixed, shares: [{pool: network, share: 50}, {team: c, share: 50}]}
      - {name: network, method: proportional, by: seats}
    """)
    series("seats", (None, "a", "3"), (None, "b", "1"))
    Bill().charge("80", **AWS)

    allocate()

    assert by_team() == money(a="30", b="10", c="40")
    group = LedgerGroup.objects.get()
    assert (group.note, group.driver_total) == ("through pool platform, pool network", Decimal(8))


def test_several_rules_fill_one_pool() -> None:
    teams("a", "b")
    rules("""
    rules:
      - {name: one, when: {ServiceName: A}, method: direct, target: {pool: p}}
      - {name: two, method: fixed, shares: [{pool: p, share: 50}, {team: a, share: 50}]}
    pools: [{name: p, method: even, among: [{team: a}, {team: b}]}]
    """)
    bill = Bill()
    bill.charge("10", **{**AWS, "service_name": "A"})
    bill.charge("20", **{**AWS, "service_name": "B"})

    allocate()

    assert by_team() == money(a="20", b="10")


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ("max_share: 50", money(a="50", b="25", c="25")),
        ("min_share: 20", money(a="60", b="20", c="20")),
        ("max_share: 30", {**money(a="30", b="30", c="30"), "over every cap": Decimal(10)}),
    ],
)
def test_bounds_hold_and_what_they_move_is_shared_by_the_rest(
    bounds: str, expected: dict[str, Decimal]
) -> None:
    teams("a", "b", "c")
    rules(f"rules: [{{name: r, method: proportional, by: seats, {bounds}}}]")
    series("seats", (None, "a", "8"), (None, "b", "1"), (None, "c", "1"))
    Bill().charge("100", **AWS)

    allocate()

    assert by_team() == expected


def test_a_minimum_reaches_members_whom_the_driver_does_not_know() -> None:
    teams("a", "b")
    rules(
        "rules: [{name: r, method: proportional, by: seats, min_share: 10, among: [{team: a}, "
        "{team: b}]}]"
    )
    series("seats", (None, "a", "8"))
    Bill().charge("100", **AWS)

    allocate()

    assert by_team() == money(a="90", b="10")


def gpu(
    team: str | None,
    booked: str,
    *,
    capacity: str | None = None,
    day: int = 5,
    node: str = "node-1",
) -> None:
    GpuUsage.objects.create(
        hour=utc(day, 3),
        cluster="train",
        node=node,
        workload=f"job-{team}" if team else None,
        team=team,
        booked_seconds=Decimal(booked),
        capacity_seconds=Decimal(capacity) if capacity else None,
    )


GPU_RULES = "rules: [{name: nodes, method: gpu_usage, owner: {team: {tag: team}}}]"


def test_booked_share_pays_for_booked_and_idle_capacity_is_a_line_of_its_owner() -> None:
    teams("a", "b", "ops")
    rules(GPU_RULES)
    gpu("a", "1800")
    gpu("b", "900")
    gpu(None, "0", capacity="3600")
    Bill().charge("36", at=utc(5, 3), resource_name="node-1", tags={"team": "ops"}, **AWS)

    allocate()

    assert {(share.team, share.kind): share.effective for share in shares()} == {
        ("a", "shared"): Decimal(18),
        ("b", "shared"): Decimal(9),
        ("ops", "idle"): Decimal(9),
    }


def test_names_with_tabs_and_backslashes_stay_what_they_are() -> None:
    teams("a")
    pool = "shared\\n\tby all"
    rules(
        f"pools: [{{name: {json.dumps(pool)}, method: even, among: [{{team: a}}]}}]\n"
        f"rules: [{{name: all, method: direct, target: {{pool: {json.dumps(pool)}}}}}]"
    )
    Bill().charge("3", at=utc(5, 3), **AWS)

    run = allocate().runs[0]

    assert LedgerGroup.objects.get().note == f"through pool {pool}"
    assert stored_sha256(run_id=run.run, month=OCTOBER.start) == run.sha256


def test_a_node_is_known_by_its_id_where_the_bill_has_a_name_too() -> None:
    teams("a", "ops")
    rules(GPU_RULES)
    gpu("a", "900", node="i-0abc")
    gpu(None, "0", capacity="3600", node="i-0abc")
    Bill().charge(
        "36",
        at=utc(5, 3),
        resource_name="trainer",
        resource_id="i-0abc",
        tags={"team": "ops"},
        **AWS,
    )

    run = allocate().runs[0].run

    assert by_team() == {"a": Decimal(9), "ops": Decimal(27)}
    fifth = Period(date(2026, 10, 5), date(2026, 10, 6))
    (day,) = gpu_days(asked_about(run, period=fifth, metric="billed_cost"))
    assert (day.booked_cost, day.idle_cost) == (Decimal(9), Decimal(27))


def test_a_rules_own_charge_kind_does_not_hide_idle_capacity() -> None:
    teams("a", "ops")
    rules("rules: [{name: nodes, method: gpu_usage, kind: direct, owner: {team: {tag: team}}}]")
    gpu("a", "900")
    gpu(None, "0", capacity="3600")
    Bill().charge("36", at=utc(5, 3), resource_name="node-1", tags={"team": "ops"}, **AWS)

    allocate()

    assert {(share.team, share.kind) for share in shares()} == {("a", "direct"), ("ops", "idle")}


def test_idle_capacity_and_nodes_without_usage_are_seen_where_nobody_owns_them() -> None:
    teams("a")
    rules(GPU_RULES)
    gpu("a", "900")
    gpu(None, "0", capacity="3600")
    bill = Bill()
    bill.charge("36", at=utc(5, 3), resource_name="node-1", **AWS)
    bill.charge("5", at=utc(5, 3), resource_name="node-2", **AWS)

    allocate()

    assert by_team() == {"a": Decimal(9), "idle capacity": Decimal(27), "no GPU usage": Decimal(5)}


def test_an_over_booked_node_is_split_by_what_was_booked() -> None:
    teams("a", "b")
    rules(GPU_RULES)
    gpu("a", "3600")
    gpu("b", "3600")
    gpu(None, "0", capacity="3600")
    Bill().charge("36", at=utc(5, 3), resource_name="node-1", **AWS)

    allocate()

    assert by_team() == money(a="18", b="18")
    assert LedgerGroup.objects.get().note == "over-booked"


def reported(api_key: str, tokens: int, *, is_batch: bool = True, day: int = 5) -> None:
    ProviderUsage.objects.create(
        day=date(2026, 10, day),
        provider="openai",
        project="proj-1",
        model="gpt-4o",
        is_batch=is_batch,
        api_key=api_key,
        input_uncached=Decimal(tokens),
    )


def owns(value: str, team: str, valid_from: date = date(2026, 1, 1)) -> None:
    IdentityOwner.objects.create(
        provider="openai", kind="api_key", value=value, team=team, valid_from=valid_from
    )


BATCH: dict[str, Any] = {**OPENAI, "sku_meter": "gpt-4o batch input tokens"}
TRACED_RULES = "rules: [{name: calls, method: traced_usage, owner: {team: {tag: team}}}]"


def test_batch_jobs_without_traces_go_by_the_providers_report_not_to_interactive_features() -> None:
    teams("chat", "nightly", "etl")
    rules(TRACED_RULES)
    usage("chat", model="gpt-4o", project="proj-1", input_uncached=1000, at=utc(5))
    reported("key-1", 300)
    reported("key-2", 100)
    owns("key-1", "nightly")
    owns("key-2", "etl")
    Bill().charge("40", at=utc(5), quantity="400", **BATCH)

    allocate()

    assert by_team() == money(nightly="30", etl="10")


def test_batch_jobs_that_nobody_reports_go_to_the_projects_owner() -> None:
    teams("chat", "owner")
    rules(TRACED_RULES)
    usage("chat", model="gpt-4o", project="proj-1", input_uncached=1000, at=utc(5))
    Bill().charge("40", at=utc(5), quantity="400", tags={"team": "owner"}, **BATCH)

    allocate()

    assert by_team() == money(owner="40")


def test_a_key_that_changes_hands_is_its_owner_of_the_day() -> None:
    teams("a", "b")
    rules("rules: [{name: calls, method: provider_usage}]")
    reported("key", 10, is_batch=False, day=5)
    reported("key", 10, is_batch=False, day=6)
    owns("key", "a")
    owns("key", "b", date(2026, 10, 6))
    bill = Bill()
    for day in (5, 6):
        bill.charge("4", at=utc(day), quantity="10", **OPENAI, sku_meter="gpt-4o input tokens")

    allocate()

    assert by_team() == money(a="4", b="4")


def test_a_commitments_purchase_follows_who_used_it_and_its_unused_part_stays_with_its_owner() -> (
    None
):
    """Billed cost stands on the purchase, effective cost on its use: the bridge nets to zero."""
    teams("a", "b", "ops")
    rules("""
    rules:
      - {name: purchase, when: {ChargeCategory: Purchase}, method: follow, follows: commitment}
      - {name: tagged, method: direct, target: {team: {tag: team}}}
    """)
    bill = Bill()
    commitment = {**AWS, "commitment_discount_id": "ri-1"}
    bill.charge("100", "0", category="Purchase", **commitment)
    for team, effective, status in (
        ("a", "50", "Used"),
        ("b", "30", "Used"),
        ("ops", "20", "Unused"),
    ):
        bill.charge(
            "0", effective, tags={"team": team}, commitment_discount_status=status, **commitment
        )
    bill.charge("900", "900", tags={"team": "b"}, **AWS)  # no part of the commitment

    allocate()

    assert billed_by_team() == money(a="50", b="930", ops="20")
    assert by_team() == money(a="50", b="930", ops="20")


def test_rows_of_one_dimension_part_by_their_own_numbers_and_x_columns() -> None:
    teams("big", "lab", "rest")
    rules("""
    rules:
      - {name: large, when: {BilledCost: {at_least: 100}}, method: direct, target: {team: big}}
      - {name: lab, when: {x_owner: {regex: "^lab-[0-9]+$"}}, method: direct, target: {team: lab}}
      - {name: rest, method: direct, target: {team: rest}}
    """)
    bill = Bill()
    bill.charge("100", **AWS)
    bill.charge("99.99", **AWS)
    bill.charge("3", extra={"x_owner": "lab-7"}, **AWS)
    bill.charge("4", extra={"x_owner": "lab-x"}, **AWS)

    allocate()

    assert by_team() == money(big="100", lab="3", rest="103.99")


def test_fault_079_members_of_a_split_are_whose_the_feature_is_on_the_day() -> None:
    teams("a", "b")
    feature = Feature.objects.create(slug="chat", name="Chat")
    for team, day in (("a", 1), ("b", 16)):
        feature.placements.create(
            owner_team=Team.objects.get(slug=team), valid_from=date(2026, 10, day)
        )
    rules("rules: [{name: r, method: even, among: [{feature: chat}]}]")
    Bill().charge("31", at=utc(1), until=utc(1, month=11), **AWS)

    allocate()

    assert by_team() == money(a="15", b="16")


def test_every_split_is_named_in_what_explain_reads() -> None:
    teams("a")
    rules("""
    rules: [{name: r, method: direct, target: {pool: p}}]
    pools: [{name: p, method: fixed, shares: [{team: a, share: 100}]}]
    """)
    Bill().charge("1", **AWS)

    allocate()

    run = AllocationRun.objects.get(is_current=True)
    key = run.chargesplitkey_set.get().split_key
    assert key["split"] == {"method": "fixed", "shares": [{"pool": "p", "share": 100}]}
    assert key["pools"] == {"p": {"method": "fixed", "shares": [{"team": "a", "share": 100}]}}
