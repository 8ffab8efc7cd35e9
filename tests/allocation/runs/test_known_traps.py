"""Where other tools are known to lose, make or move money, each as a test of the same situation
here.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from allocation.catalogue.price_store import ensure_prices
from allocation.catalogue.prices import reprice
from allocation.models import (
    AllocatedCost,
    AllocationRun,
    DriverPoint,
    Feature,
    IdentityOwner,
    LedgerGroup,
    Product,
    ProviderUsage,
    RunSource,
    Team,
)
from allocation.values.money import exact_sum
from allocation.values.periods import Period
from reports.asking import TeamScope
from reports.queries.reconcile.bridge import bridges
from reports.queries.reconcile.ledger import reconcile_period
from tests.allocation.bills import AWS, OCTOBER, OPENAI, Bill, allocate, put_in_force, shares, usage
from tests.portal.bills import SHARED, deliver, row, text

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal


@pytest.fixture(autouse=True)
def teams() -> None:
    Team.objects.bulk_create(
        [Team(slug=slug, name=slug.title()) for slug in ("a", "b", "c", "ops")]
    )


def rules(content: str, month: date = OCTOBER.start) -> None:
    put_in_force(content, month=month)


def by_team(metric: str = "effective") -> dict[str | None, Decimal]:
    """Cost of the month's current run by team, or by reason where no team has it; nothing where it
    is zero.
    """
    found: dict[str | None, Decimal] = {}
    for share in shares():
        name = share.team or share.reason
        found[name] = found.get(name, D(0)) + getattr(share, metric)
    return {name: amount for name, amount in found.items() if amount}


TAGGED = (
    "{name: tagged, when: {Tags.team: {missing: false}}, method: direct, "
    "target: {team: {tag: team}}}"
)


# ---------------------------------------------------------------- Koku


def test_fault_075_kokus_platform_of_ten_over_projects_without_usage_stays_a_hundred_and_ten() -> (
    None
):
    """Koku hands platform cost out by usage over the sum of usage; where that is zero, the platform
    cost is gone.
    """
    rules("""
    rules:
      - {name: platform, when: {ServiceName: Platform}, method: proportional, by: requests}
      - {name: project, method: direct, target: {team: a}}
    """)
    bill = Bill()
    bill.charge("100", **AWS)
    bill.charge("10", **{**AWS, "service_name": "Platform"})

    allocate()

    assert by_team() == {"a": D(100), "no driver data": D(10)}
    assert exact_sum(share.effective for share in shares()) == D(110)


def test_kokus_doubled_days_each_day_of_a_month_stands_once_however_often_it_is_delivered(
    tmp_path: Path,
) -> None:
    """koku#3146: a later delivery of the same days was added to the first."""
    days = [
        row(
            BillingPeriodStart="2026-10-01T00:00:00Z",
            BillingPeriodEnd="2026-11-01T00:00:00Z",
            ChargePeriodStart=f"2026-10-{day:02}T00:00:00Z",
            ChargePeriodEnd=f"2026-10-{day:02}T01:00:00Z",
            EffectiveCost="1.25",
        )
        for day in range(1, 32)
    ]
    half = deliver(tmp_path, text(*days[:20]))
    whole = deliver(tmp_path, text(*days))
    again = deliver(tmp_path, text(*reversed(days)))
    last_week = deliver(tmp_path, text(*days[24:]))
    shifted = [each | {"BillingPeriodStart": "2026-10-15T00:00:00Z"} for each in days[14:]]
    overlapping = deliver(tmp_path, text(*shifted))

    allocate()

    assert [half.status, whole.status, again.status] == ["loaded"] * 3
    assert (last_week.status, overlapping.status) == ("refused", "refused")
    assert "less than half" in (last_week.reason or "")
    assert "2026-10-15 to 2026-11-01 overlaps 2026-10-01 to 2026-11-01" in (
        overlapping.reason or ""
    )
    groups = LedgerGroup.objects.values_list("day", "charges", "billed_cost")
    assert sorted(groups) == [(date(2026, 10, day), 1, D("1.25")) for day in range(1, 32)]
    assert exact_sum(share.billed for share in shares()) == 31 * D("1.25")


# ---------------------------------------------------------------- OpenCost and Kubecost


SHARED_AND_IDLE = """
rules:
  - {{name: idle, when: {{ServiceName: Idle}}, {idle}}}
  - {{name: namespace, when: {{ServiceName: kube-system}}, {namespace}}}
  - {tagged}
"""
APART = "method: unallocated, reason: apart"


@pytest.mark.parametrize(
    ("idle_shared", "namespace_shared"), [*itertools.product((True, False), repeat=2)]
)
def test_kubecosts_shared_namespace_with_shared_idle_has_one_sum_whatever_is_shared(
    idle_shared: bool, namespace_shared: bool
) -> None:
    """kubecost#2359: sharing a namespace and idle cost together changed the total."""
    rules(
        SHARED_AND_IDLE.format(
            idle="method: proportional, by: cost, level: team, of_rules: tagged"
            if idle_shared
            else APART,
            namespace=(
                "method: proportional, by: cost, level: team, of_rules: [tagged, idle]"
                if namespace_shared
                else APART
            ),
            tagged=TAGGED,
        )
    )
    bill = Bill()
    for team, cost in (("a", "60"), ("b", "30")):
        bill.charge(cost, tags={"team": team}, **AWS)
    bill.charge("27", **{**AWS, "service_name": "Idle"})
    bill.charge("12", **{**AWS, "service_name": "kube-system"})

    allocate()

    found = by_team()
    assert exact_sum(found.values()) == D(129)
    assert found.get("apart", D(0)) == (0 if idle_shared else 27) + (0 if namespace_shared else 12)
    assert found["a"] == 2 * found["b"]


@pytest.mark.parametrize(
    ("costs", "platform", "expected"),
    [
        ({"a": "100", "b": "-40"}, "9", {"a": D(109), "b": D(-40)}),
        ({"a": "30", "b": "-40"}, "9", {"a": D(30), "b": D(-31)}),
        ({"a": "-30", "b": "-60"}, "-9", {"a": D(-33), "b": D(-66)}),
        ({"a": "40", "b": "-40"}, "9", {"a": D(40), "b": D(-40), "no driver data": D(9)}),
    ],
)
def test_opencosts_negative_coefficient_no_share_of_a_cost_is_against_its_sign(
    costs: dict[str, str], platform: str, expected: dict[str, Decimal]
) -> None:
    """OpenCost's idle and shared coefficients go negative with credits: one owner pays for the
    others twice.
    """
    rules(f"""
    rules:
      - {{name: platform, when: {{ServiceName: Platform}}, method: proportional, by: cost,
         level: team}}
      - {TAGGED}
    """)
    bill = Bill()
    for team, cost in costs.items():
        bill.charge(cost, tags={"team": team}, **AWS)
    bill.charge(platform, **{**AWS, "service_name": "Platform"})

    allocate()

    assert by_team() == expected


def test_opencosts_filtered_totals_a_view_of_some_teams_shows_the_shares_of_the_whole() -> None:
    """OpenCost works coefficients out over what a filter leaves; here costs are split first, and
    filtered after.
    """
    rules(f"""
    rules:
      - {{name: platform, when: {{ServiceName: Platform}}, method: proportional, by: cost,
         level: team}}
      - {TAGGED}
    """)
    bill = Bill()
    for team, cost in (("a", "100"), ("b", "-40"), ("c", "50")):
        bill.charge(cost, tags={"team": team}, **AWS)
    bill.charge("30", **{**AWS, "service_name": "Platform"})
    allocate()
    whole = by_team()

    with connection.cursor() as cursor:
        for size in (1, 2, 3):
            for chosen in itertools.combinations("abc", size):
                cursor.execute(
                    "SELECT sum(effective_cost) FROM cost_daily WHERE team = ANY(%s)",
                    [list(chosen)],
                )
                assert cursor.fetchone() == (exact_sum(whole[team] for team in chosen),)
    assert whole == {"a": D(120), "b": D(-40), "c": D(60)}


# ---------------------------------------------------------------- FinOps toolkit


def test_finops_toolkits_fan_out_no_name_that_stands_twice_multiplies_a_row() -> None:
    """finops-toolkit#1920: a lookup table with a value twice doubled every cost joined to it."""
    Team.objects.bulk_create([Team(slug="a-2", name=" A "), Team(slug="a-3", name="ａ")])
    product = Product.objects.create(slug="suite", name="Suite")
    for slug, name in (("chat", "Chat"), ("chat-2", "CHAT "), ("chat-3", "chat")):
        feature = Feature.objects.create(slug=slug, name=name)
        for day in (1, 5, 6):
            feature.placements.create(
                owner_team=Team.objects.get(slug="a"),
                product=product,
                valid_from=date(2026, 10, day),
            )
    for kind, value in (
        ("api_key", "key"),
        ("user", "me"),
        ("workspace", "lab"),
        ("project", "proj-1"),
    ):
        for day in (1, 5):
            IdentityOwner.objects.create(
                provider="openai", kind=kind, value=value, team="b", valid_from=date(2026, 10, day)
            )
    for name in ("a", "A", " a", "ａ"):
        DriverPoint.objects.create(series="seats", month=OCTOBER.start, team=name, quantity=D(1))
    for batch in (True, False):
        ProviderUsage.objects.create(
            day=date(2026, 10, 5),
            provider="openai",
            project="proj-1",
            model="gpt-4o",
            is_batch=batch,
            api_key="key",
            user="me",
            workspace="lab",
            input_uncached=D(10),
        )
    version, _ = ensure_prices()
    usage(
        "a",
        "chat",
        input_uncached=10,
        about={"model_answered": "gpt-4o", "model_requested": "gpt-4o"},
    )
    reprice(version.pk)
    rules(f"""
    rules:
      - {{name: seats, when: {{ServiceName: Platform}}, method: proportional, by: seats}}
      - {{name: batch, when: {{Catalogue.Tier: batch}}, method: provider_usage}}
      - {{name: calls, when: {{Catalogue.Kind: model_usage}}, method: traced_usage}}
      - {TAGGED}
    """)
    bill = Bill()
    bill.charge("7", **{**AWS, "service_name": "Platform"})
    bill.charge("5", tags={"team": "A", "Team": "a", "TEAM ": "a"}, **AWS)
    bill.charge("3", quantity="10", **OPENAI, sku_meter="gpt-4o input tokens")
    bill.charge("2", quantity="10", **OPENAI, sku_meter="gpt-4o batch input tokens")

    allocate()

    lines = Counter({(share.team, share.feature, share.kind): share.billed for share in shares()})
    assert lines == {
        ("a", None, "shared"): D(7),
        ("a", None, "direct"): D(5),
        ("a", "chat", "shared"): D(3),
        ("b", None, "shared"): D(2),
    }
    assert AllocatedCost.objects.count() == 4
    assert sum(LedgerGroup.objects.values_list("charges", flat=True)) == 4
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), sum(list_cost) FROM usage_hourly")
        assert cursor.fetchone() == (1, D("0.000025"))
        cursor.execute("SELECT sum(billed_cost) FROM cost_daily")
        assert cursor.fetchone() == (D(17),)


# ---------------------------------------------------------------- AWS


def test_what_aws_forbids_a_split_of_a_split_of_a_split_adds_up() -> None:
    """A cost category's split charge rule may not take from another's target; pools here chain, in
    a computed order.
    """
    rules("""
    rules:
      - {name: bill, method: direct, target: {pool: company}}
    pools:
      - {name: team a, method: even, among: [{team: a, feature: x}, {team: a, feature: y}]}
      - {name: platform, method: fixed,
         shares: [{pool: team a, share: "33.3"}, {pool: network, share: "66.7"}]}
      - {name: network, method: fixed, shares: [{team: b, share: 50}, {pool: team a, share: 50}]}
      - {name: company, method: fixed,
         shares: [{pool: platform, share: 90}, {team: ops, share: 10}]}
    """)
    Bill().charge("1000", **AWS)

    allocate()

    assert by_team() == {"a": D("599.85"), "b": D("300.15"), "ops": D(100)}
    assert LedgerGroup.objects.get().note == (
        "through pool company, pool platform, pool team a, pool network, pool team a"
    )


# ---------------------------------------------------------------- OptScale


def test_fault_077_rules_and_bills_that_change_while_a_run_is_under_way_leave_it_alone() -> None:
    """A run goes by what it began with, and cites it; the next one goes by what has come since."""
    rules("rules: [{name: first, method: direct, target: {team: a}}]")
    first = Bill("one")
    first.charge("10", **AWS)
    changed: list[str] = []

    def change(done: int, total: int, note: str) -> None:
        if note == "reading traces" and not changed:
            changed.append(note)
            rules("rules: [{name: second, method: direct, target: {team: b}}]")
            Bill("two").charge("7", **AWS)

    allocate(progress=change)
    run = AllocationRun.objects.get(is_current=True)
    assert (by_team(), "first" in run.rule_set.text, run.inputs["scopes"]) == (
        {"a": D(10)},
        True,
        [first.scope.pk],
    )

    allocate()
    run = AllocationRun.objects.get(is_current=True)
    assert (by_team(), "second" in run.rule_set.text) == ({"b": D(17)}, True)


# ---------------------------------------------------------------- FOCUS


EXAMPLES = SHARED / "focus_spec_commitment_examples"
JANUARY = Period.parse("2023-01")
COMMITMENT_RULES = """
rules:
  - {name: purchases follow their commitment, when: {ChargeCategory: Purchase}, method: follow,
     follows: commitment}
  - name: unused goes to the owner
    when: {CommitmentDiscountStatus: Unused}
    method: direct
    target: {team: ops}
    kind: commitment_unused
  - name: resources
    method: direct
    target:
      team: {column: ResourceId, map: {<my-resource-id>: a, <my-large-vm-id>: b,
        <my-medium-vm-id>: c}}
"""
# By file: billed and effective cost by team, and the steps of the bridge that are not zero.
FOLLOWED: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]] = {
    "one_hundred_percent_utilization_with_commitment_discount_flexibility_with_1_resource": (
        {"b": "2.75"},
        {"b": "2.75"},
        {"purchases": "0.5", "commitment_used": "-0.5"},
    ),
    "one_hundred_percent_utilization_with_commitment_discount_flexibility_with_2_resources": (
        {"c": "2"},
        {"c": "2"},
        {"purchases": "2", "commitment_used": "-2"},
    ),
    "one_hundred_percent_utilization_without_commitment_discount_flexibility": (
        {"b": "1.5"},
        {"b": "1.5"},
        {"purchases": "1.5", "commitment_used": "-1.5"},
    ),
    "zero_percent_utilization_without_commitment_discount_flexibility": (
        {"ops": "1.5", "c": "2"},
        {"ops": "1.5", "c": "2"},
        {"purchases": "1.5", "commitment_unused": "-1.5"},
    ),
    "commitment_discount_purchase_scenario_1": (
        {"nothing to follow": "8760"},
        {},
        {"purchases": "8760"},
    ),
    "commitment_discount_purchase_scenario_2": ({"nothing to follow": "3"}, {}, {"purchases": "3"}),
    "commitment_discount_purchase_scenario_3": (
        {"nothing to follow": "4381.5"},
        {},
        {"purchases": "4381.5"},
    ),
    "commitment_discount_usage_scenario_1": ({}, {"a": "1"}, {"commitment_used": "-1"}),
    "commitment_discount_usage_scenario_2": ({}, {"ops": "1"}, {"commitment_unused": "-1"}),
    "commitment_discount_usage_scenario_3": (
        {},
        {"a": "0.75", "ops": "0.25"},
        {"commitment_used": "-0.75", "commitment_unused": "-0.25"},
    ),
    "commitment_discount_usage_scenario_4": ({"a": "0.5"}, {"a": "1.5"}, {"commitment_used": "-1"}),
}


def example(name: str) -> str:
    """A worked example with the columns that it leaves out; its two times "30:00:00" as what they
    mean.
    """
    if not EXAMPLES.exists():
        pytest.skip(f"no shared data: {EXAMPLES}")
    (path,) = EXAMPLES.rglob(f"{name}.csv")
    lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    about = {
        "BillingAccountId": "acct-1",
        "BillingCurrency": "USD",
        "ProviderName": "Example Cloud",
        "ServiceCategory": "Compute",
        "ServiceName": "Example Compute",
    }
    for line, column in itertools.product(lines, ("ChargePeriodStart", "ChargePeriodEnd")):
        line[column] = line[column].replace("2023-02-01T30:", "2023-02-02T06:")
    return text(*[line | about for line in lines])


@pytest.mark.parametrize("name", sorted(FOLLOWED))
def test_focus_commitment_examples_are_right_billed_and_effective_and_bridged(
    name: str, tmp_path: Path
) -> None:
    billed, effective, steps = FOLLOWED[name]
    outcome = deliver(tmp_path, example(name), source="cloud", month="2023-01")
    assert (outcome.status, outcome.rows_rejected) == ("loaded", 0)
    rules(COMMITMENT_RULES, JANUARY.start)

    allocate(JANUARY)

    assert by_team("billed") == {team: D(amount) for team, amount in billed.items()}
    assert by_team("effective") == {team: D(amount) for team, amount in effective.items()}
    assert reconcile_period(period=JANUARY).is_balanced
    (bridge,) = bridges(period=JANUARY, scope=TeamScope.everything())
    assert {step: amount for step, amount in bridge.steps.items() if amount} == {
        k: D(v) for k, v in steps.items()
    }
    assert bridge.billed == exact_sum([bridge.effective, *bridge.steps.values()])
    assert bridge.difference == 0
    balances = dict(RunSource.objects.values_list("metric", "charges"))
    assert (bridge.billed, bridge.effective) == (
        balances["billed_cost"],
        balances["effective_cost"],
    )


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_bridge_is_printed_with_the_reconciliation(capsys: pytest.CaptureFixture[str]) -> None:
    bill = Bill()
    commitment = {**AWS, "commitment_discount_id": "ri-1"}
    bill.charge("100", "0", category="Purchase", **commitment)
    bill.charge("0", "70", commitment_discount_status="Used", **commitment)
    bill.charge("0", "25", commitment_discount_status="Unused", **commitment)
    bill.charge("0", "2.5", **AWS)  # prepaid last year
    bill.charge("10", "9.5", **AWS)
    allocate()

    call_command("reconcile", "2026-10", "--bridge")
    printed = capsys.readouterr().out
    call_command("reconcile", "2026-10", "--bridge", "--json")

    assert (
        "openai USD: billed 110 = effective 107 + purchases 100 + commitment used -70 + commitment "
        "unused -25"
        " + amortised -2.5 + other 0.5\n"
    ) in printed
    (bridge,) = json.load(StringIO(capsys.readouterr().out))["bridges"]
    assert bridge == {
        "source": "openai",
        "currency": "USD",
        "effective_cost": "107",
        "purchases": "100",
        "commitment_used": "-70",
        "commitment_unused": "-25",
        "amortised": "-2.5",
        "other": "0.5",
        "billed_cost": "110",
    }
