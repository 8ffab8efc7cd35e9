"""Rules, organisation, catalogue, sources and the engine itself, changed between two runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from allocation.catalogue.entries import Entry
from allocation.catalogue.own_entries import apply_catalogue
from allocation.models import (
    AllocationRun,
    Feature,
    FeatureAlias,
    FeaturePlacement,
    Product,
    RunSlice,
    Source,
    Team,
    TeamAlias,
    UsageHourly,
)
from allocation.runs import month as runs
from allocation.values.names import BY_DAY, FOLLOWERS
from tests.allocation.bills import Bill, allocate, put_in_force, usage, utc
from tests.allocation.reruns import (
    INPUT,
    TOKENS,
    late_bill,
    rerun,
    rerun_after_a_change,
    traced_month,
)

pytestmark = pytest.mark.django_db

Planned = list[tuple[int, int]]
FEE: dict[str, Any] = {"provider_name": "AWS", "service_name": "Fees"}
OTHER: dict[str, Any] = {"provider_name": "AWS", "service_name": "Others"}


# ---------------------------------------------------------------- rules


RULES = """
rules:
  - {name: fees, when: {ServiceName: Fees}, method: direct, target: {team: ops}}
  - {name: others, when: {ServiceName: Others}, method: direct, target: {pool: people}}
  - {name: calls, when: {Catalogue.Kind: model_usage}, method: traced_usage,
     owner: {team: platform}}
  - {name: tax, when: {ChargeCategory: Tax}, method: follow}
pools:
  - {name: people, method: fixed, shares: [{team: ads, share: 50}, {team: data, share: 50}]}
"""


def ruled_month() -> None:
    put_in_force(RULES)
    bill = Bill("AWS")
    for day in (5, 6):
        bill.charge("10", at=utc(day), **FEE)
        bill.charge("10", at=utc(day), **OTHER)
    bill.charge("1", at=utc(8), category="Tax", provider_name="AWS")
    calls = Bill("OpenAI")
    for day in (5, 6):
        calls.charge("10", at=utc(day), quantity="200", consumed_unit="Tokens", **INPUT)
        usage("search", at=utc(day), input_uncached=100)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("target: {team: ops}", "target: {team: finance}"),
        ("target: {team: ops}", "target: {team: ops, environment: prod}"),
        ("target: {team: ops}", "target: {team: ops}, kind: adjustment"),
        ("method: direct, target: {team: ops}", "method: unallocated, reason: nobody knows"),
        ("name: fees", "name: fees of old"),
        ("[{team: ads, share: 50}, {team: data, share: 50}]", "[{team: ads, share: 100}]"),
        ("ServiceName: Fees", "ServiceName: [Fees, Others]"),
        ("owner: {team: platform}", "owner: {team: ads}"),
        ("owner: {team: platform}", "weights: month"),
        ("traced_usage", "provider_usage"),
        ("method: follow", "method: follow, of_rules: [fees]"),
        ("method: follow", "method: direct, target: {team: finance}"),
        ("rules:", "scope: [{name: a, scope: ai, when: {ServiceName: Others}}]\nrules:"),
    ],
)
def test_whatever_a_rule_says_moves_what_it_took(old: str, new: str) -> None:
    ruled_month()
    before = allocate().runs[0]
    assert old in RULES
    put_in_force(RULES.replace(old, new, 1))

    assert rerun_after_a_change(before).moved()


def test_a_rule_that_says_the_same_in_other_words_moves_nothing(planned: Planned) -> None:
    ruled_month()
    allocate()
    planned.clear()
    put_in_force(RULES.replace("{team: ops}", "{team:   ops}") + "\n# the same\n")

    found = rerun()

    assert found.moved() == set()


def test_rules_that_change_leave_what_others_took_alone(planned: Planned) -> None:
    ruled_month()
    allocate()
    planned.clear()
    put_in_force(RULES.replace("method: follow", "method: direct, target: {team: finance}"))

    allocate()

    assert planned == [(BY_DAY, 8)]


def test_who_pays_for_an_agents_calls_is_told_by_the_rules() -> None:
    """The calls are as they were, and so is what they are joined with."""
    traced_month()
    about = {"entry_team": "data", "entry_feature": "index"}
    usage("ads", at=utc(6, 15), input_uncached=900, about=about)
    put_in_force("rules: [{name: calls, method: traced_usage}]")
    before = allocate().runs[0]
    put_in_force("agents: callee\nrules: [{name: calls, method: traced_usage}]")

    assert rerun_after_a_change(before).moved(BY_DAY) >= {6}


def test_a_row_test_that_is_new_tells_charges_apart() -> None:
    put_in_force(RULES)
    bill = Bill("AWS")
    for day in (5, 6):
        bill.charge("50", at=utc(day), **FEE)
    bill.charge("150", at=utc(6), **FEE)
    before = allocate().runs[0]
    large = "{name: large, when: {BilledCost: {above: 100}}, method: direct, target: {team: cfo}}"
    put_in_force(RULES.replace("rules:\n", f"rules:\n  - {large}\n", 1))

    assert rerun_after_a_change(before).moved() == {6}


# ---------------------------------------------------------------- organisation


def organised_month() -> None:
    """Calls of a feature of the team `ads`, and a fee that only the tree can place."""
    for slug in ("ads", "search"):
        Team.objects.create(slug=slug, name=slug.title())
    suite = Product.objects.create(slug="suite", name="Suite")
    Product.objects.create(slug="office", name="Office")
    feature = Feature.objects.create(slug="index", name="Index")
    feature.placements.create(
        owner_team=Team.objects.get(slug="ads"), product=suite, valid_from=date(2026, 1, 1)
    )
    put_in_force(
        "rules: [{name: fees, when: {ServiceName: Fees}, method: even, among: [{feature: index}]},"
        " {name: calls, method: traced_usage}]"
    )
    bill = Bill("AWS")
    for day in (5, 6):
        bill.charge("10", at=utc(day), **FEE)
        bill.charge("10", at=utc(day), **TOKENS, **INPUT)
        usage("ads", "index", at=utc(day, 1), input_uncached=50)
        usage("newcomers", "tips", at=utc(day, 2), input_uncached=50)


def a_team_becomes_known() -> None:
    Team.objects.create(slug="newcomers", name="Newcomers")


def a_name_means_a_team() -> None:
    TeamAlias.objects.create(
        name="newcomers", name_key="newcomers", team=Team.objects.get(slug="search")
    )


def a_name_means_a_feature() -> None:
    FeatureAlias.objects.create(
        name="tips", name_key="tips", feature=Feature.objects.get(slug="index")
    )


def a_feature_moves() -> None:
    Feature.objects.get().placements.create(
        owner_team=Team.objects.get(slug="search"), valid_from=date(2026, 10, 6)
    )


def a_feature_is_of_another_product() -> None:
    FeaturePlacement.objects.update(product=Product.objects.get(slug="office"))


def a_feature_is_called_otherwise() -> None:
    Feature.objects.update(name="tips")


@pytest.mark.parametrize(
    "change",
    [
        a_team_becomes_known,
        a_name_means_a_team,
        a_name_means_a_feature,
        a_feature_moves,
        a_feature_is_of_another_product,
        a_feature_is_called_otherwise,
    ],
)
def test_whatever_changes_in_the_organisation_is_in_the_next_run(
    change: Callable[[], None],
) -> None:
    organised_month()
    before = allocate().runs[0]
    change()

    assert rerun_after_a_change(before).moved()


def test_a_feature_that_moves_leaves_the_days_before_as_they_were_written() -> None:
    organised_month()
    before = allocate().runs[0]
    a_feature_moves()

    found = rerun_after_a_change(before)

    assert found.moved() == {6}


# ---------------------------------------------------------------- catalogue, prices, sources


def test_an_own_name_of_a_model_in_traces_brings_its_calls_to_the_bill() -> None:
    traced_month()
    usage("data", at=utc(6, 15), model="house-model", input_uncached=100)
    before = allocate().runs[0]
    own = Entry(
        side="trace", seen_provider=None, pattern="house-model", provider="openai", model="gpt-4o"
    )
    apply_catalogue(entries=(own,), acting_user=None)

    assert rerun_after_a_change(before).moved(BY_DAY) == {6}


def test_an_own_name_of_a_model_on_bills_brings_its_lines_to_the_calls() -> None:
    house = {**INPUT, "charge_description": "house-model, input"}
    bill = traced_month()
    bill.charge("10", at=utc(6), **TOKENS, **house)
    before = allocate().runs[0]
    own = Entry(
        side="bill",
        seen_provider=None,
        pattern="house-model",
        provider="openai",
        model="gpt-4o",
        token_class="input",
    )
    apply_catalogue(entries=(own,), acting_user=None)

    assert rerun_after_a_change(before).moved(BY_DAY) == {6}


def test_a_price_list_moves_what_goes_by_list_cost_and_nothing_else() -> None:
    bill = traced_month()
    for day in (5, 6):
        bill.charge("10", at=utc(day), **{**INPUT, "charge_description": "gpt-4o-2024-08-06"})
    UsageHourly.objects.update(list_cost="1")
    before = allocate().runs[0]
    UsageHourly.objects.filter(hour=utc(6, 10)).update(list_cost="2")

    assert rerun_after_a_change(before).moved(BY_DAY) == {6}


@pytest.mark.parametrize(
    "change", [{"untraced": "spread"}, {"project_match": "off"}, {"name": "OpenAI, old"}]
)
def test_settings_of_a_source_move_its_days_and_no_others(change: dict[str, Any]) -> None:
    bill = Bill("OpenAI")
    for day in (5, 6):
        bill.charge("10", at=utc(day), **TOKENS, **INPUT)
        usage("search", at=utc(day, 1), input_uncached=30)
        usage("ads", at=utc(day, 2), project="proj-2", input_uncached=30)
    Bill("AWS").charge("10", at=utc(7), **FEE)
    before = allocate().runs[0]
    Source.objects.filter(name="OpenAI").update(**change)

    assert rerun_after_a_change(before).moved() == {5, 6}


# ---------------------------------------------------------------- the engine


def corrupt(run: int) -> None:
    """As if the run's engine had written something else: what follows stands for what is used."""
    other = RunSlice.objects.filter(run_id=run, part=FOLLOWERS).earliest("day").slice_id
    RunSlice.objects.filter(run_id=run, part=BY_DAY).update(slice_id=other)


def test_slices_of_another_engine_are_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    traced_month()
    with monkeypatch.context() as former:
        former.setattr(runs, "ENGINE_VERSION", "former")
        run = allocate().runs[0].run
    corrupt(run)

    assert rerun().run.run != run


def test_slices_of_a_run_without_fingerprints_are_not_taken_over() -> None:
    """As those were made by the releases before there were any."""
    traced_month()
    run = allocate().runs[0].run
    corrupt(run)
    RunSlice.objects.filter(run_id=run).update(fingerprint=None)
    late_bill("5", 6)

    rerun()


def test_only_slices_of_the_current_run_are_taken_over() -> None:
    traced_month()
    first = allocate().runs[0].run
    late_bill("5", 6)
    second = allocate().runs[0].run
    corrupt(first)
    late_bill("1", 7)

    found = rerun()

    assert found.moved(BY_DAY) == {7}
    assert AllocationRun.objects.filter(pk__in=[first, second]).count() == 2
