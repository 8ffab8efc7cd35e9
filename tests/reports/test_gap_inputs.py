"""Bill and traces of a month, read side by side from a real run."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from allocation.catalogue.price_store import ensure_prices
from allocation.catalogue.prices import reprice
from allocation.models import (
    Charge,
    ChargeScope,
    ChargeSplitKey,
    Import,
    LedgerGroup,
    PriceMatch,
    PriceVersion,
    Team,
    UsageHourly,
)
from reports.analysis.gap import CauseKey
from reports.asking import TeamScope
from reports.cost_question.runs import current_runs
from reports.queries.reconcile.gaps import MonthGaps, SourceGap, month_gaps
from tests.allocation.bills import OCTOBER, OPENAI, Bill, allocate, put_in_force, usage, utc

pytestmark = pytest.mark.django_db

INPUT = {**OPENAI, "sku_meter": "gpt-4o, input"}
CACHED = {**OPENAI, "sku_meter": "gpt-4o, cached input"}
OUTPUT = {**OPENAI, "sku_meter": "gpt-4o, output"}
TOLD = {"model_answered": "gpt-4o"}
D = Decimal


def gaps(scope: TeamScope | None = None) -> MonthGaps:
    return month_gaps(
        month=OCTOBER.start, runs=current_runs(), scope=scope or TeamScope.everything()
    )


def only() -> SourceGap:
    (found,) = gaps().sources
    return found


def amounts(source: SourceGap) -> dict[CauseKey, Decimal]:
    """What is not zero."""
    return {key: amount for key, amount in source.gap.amounts.items() if amount}


def priced(*, calls: int = 1, **tokens: Any) -> None:
    """Usage of gpt-4o (2.5 USD per million of input, 1.25 of cached, 10 of output), priced by the
    installed list.
    """
    usage("search", calls=calls, about=TOLD, **tokens)
    reprice(ensure_prices()[0].pk)


def test_a_bill_and_its_traces_meet_by_model_and_class() -> None:
    bill = Bill()
    bill.charge("9", listed="10", quantity="4000000", **INPUT)
    bill.charge("9", listed="10", quantity="1000000", **OUTPUT)
    bill.charge("-2", category="Credit", **OPENAI)
    bill.charge("5", category="Tax", service_name="Tax", provider_name="OpenAI")
    bill.charge("50", **{**OPENAI, "service_name": "Seats", "consumed_unit": "Seats"})
    priced(input_uncached=2_000_000, output_text=500_000)
    allocate()

    found = only()

    # Half is traced: 5 + 5 USD at list price. The bill states no contracted cost, so billed cost
    # stands for it.
    assert found.gap.start == D(10)
    assert found.gap.bill.billed == D(16)
    assert amounts(found) == {"untraced": D(10), "discount": D(-2), "credit": D(-2)}
    assert found.through == date(2026, 10, 5)


def test_a_contracted_cost_of_zero_is_not_known() -> None:
    Bill().charge("2.5", listed="2.5", quantity="1000000", **INPUT)
    Charge.objects.update(contracted_cost=0)
    priced(input_uncached=1_000_000)
    allocate()

    assert amounts(only()) == {}


def test_charges_that_rules_tell_apart_row_by_row_are_billed_once() -> None:
    """Two rules share out one line by its x_ column, so that its dimension has a place in two
    split keys.
    """
    put_in_force(
        """
rules:
  - {name: nightly, when: {x_key: nightly}, method: traced_usage}
  - {name: rest, method: traced_usage}
"""
    )
    bill = Bill()
    bill.charge("3", listed="3", quantity="1200000", extra={"x_key": "nightly"}, **INPUT)
    bill.charge("7", listed="7", quantity="2800000", extra={"x_key": "100% other"}, **INPUT)
    priced(input_uncached=4_000_000)
    allocate()

    found = only()

    assert (found.gap.bill.billed, amounts(found)) == (D(10), {})


def test_traces_after_the_last_billed_day_wait_for_their_bill() -> None:
    Bill().charge("2.5", listed="2.5", quantity="1000000", **INPUT)
    usage("search", about=TOLD, at=utc(6, 1), input_uncached=9_000_000)
    priced(input_uncached=1_000_000)
    allocate()

    assert only().gap.total == 0


def test_calls_without_usage_that_did_not_fail_are_counted() -> None:
    Bill().charge("5", listed="5", quantity="2000000", **INPUT)
    priced(calls=4, input_uncached=1_000_000)
    UsageHourly.objects.update(calls_without_usage=2, errors=1)
    allocate()

    # Two of four calls are silent and as large as the other two.
    assert amounts(only()) == {"silent": D("2.5")}


def test_fault_035_usage_of_a_day_without_a_price_is_unpriced_and_shown_and_never_zero() -> None:
    """The list begins on 10 October; the call of the 5th has no price, that of the 12th has one."""
    version = PriceVersion.objects.create(source="dated", content_sha256="d")
    PriceMatch.objects.create(
        version=version,
        provider="openai",
        model_text="gpt-4o",
        price_provider="openai",
        price_model="gpt-4o",
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO allocation_price (version_id, provider, model, token_class,"
            " context_from, valid_from, is_undated, per_million)"
            " VALUES (%s, 'openai', 'gpt-4o', 'input_uncached', 0, '2026-10-10', false, 2.5)",
            [version.pk],
        )
    bill = Bill()
    bill.charge("5", listed="5", quantity="2000000", at=utc(5, 10), **INPUT)
    bill.charge("5", listed="5", quantity="2000000", at=utc(12, 10), **INPUT)
    for day in (5, 12):
        usage("search", about=TOLD, at=utc(day, 10), calls=3, input_uncached=2_000_000)
    reprice(version.pk)
    allocate()

    found = only()

    assert list(UsageHourly.objects.order_by("hour").values_list("list_cost", flat=True)) == [
        None,
        D(5),
    ]
    assert (found.gap.start, amounts(found)) == (D(5), {"prices": D(5)})
    evidence = {cause.key: cause.evidence for cause in found.causes}["prices"]
    assert "3 traced calls have no list price (gpt-4o)" in evidence


def test_what_a_later_delivery_changed_is_a_late_bill() -> None:
    """Delivered whole on 2 November; on 9 November a snapshot with one more row took its place."""
    first, later = Bill(), utc(9, month=11)
    first.charge("2.5", listed="2.5", quantity="1000000", **INPUT)
    ChargeScope.objects.update(published_at=utc(2, month=11), state="superseded")
    snapshot = ChargeScope.objects.get()
    old = Charge.objects.get()
    snapshot.pk = None
    snapshot.bill_import = Import.objects.create(
        source=first.source, status="loaded", file_name="later.csv"
    )
    snapshot.published_at, snapshot.state = later, "current"
    snapshot.save()
    for line, cost in ((2, "2.5"), (3, "4")):
        Charge.objects.create(
            billing_month=OCTOBER.start,
            scope_id=snapshot.pk,
            line=line,
            dimension_id=old.dimension_id,
            charge_period_start=old.charge_period_start,
            charge_period_end=old.charge_period_end,
            billed_cost=D(cost),
            effective_cost=D(cost),
            list_cost=D(cost),
            consumed_quantity=D(1_000_000),
        )
    priced(input_uncached=1_000_000)
    allocate()

    found = only()

    assert (found.gap.bill.billed, amounts(found)) == (D("6.5"), {"late": D(4)})
    assert (
        "1 delivery after the first complete one: 4.00 USD"
        in {c.key: c.evidence for c in found.causes}["late"]
    )


def test_usage_of_another_month_on_this_bill_is_a_late_bill() -> None:
    bill = Bill()
    bill.charge("2.5", listed="2.5", quantity="1000000", **INPUT)
    bill.charge("3", listed="3", quantity="1000000", at=utc(29, month=9), **INPUT)
    priced(input_uncached=1_000_000)
    allocate()

    assert amounts(only()) == {"late": D(3)}


def test_currencies_stay_apart_and_only_dollars_are_compared() -> None:
    bill = Bill()
    bill.charge("2.5", listed="2.5", quantity="1000000", **INPUT)
    euro = Bill("euro")
    euro.charge(
        "2",
        listed="2.2",
        quantity="1000000",
        currency="EUR",
        **{**INPUT, "sub_account_id": "proj-2"},
    )
    usage("search", about=TOLD, project="proj-2", input_uncached=1_000_000)
    priced(input_uncached=1_000_000)
    allocate()

    dollars, euros = gaps().sources

    assert (dollars.gap.bill.currency, dollars.gap.is_compared, dollars.gap.total) == (
        "USD",
        True,
        D(0),
    )
    assert (euros.gap.bill.currency, euros.gap.is_compared, amounts(euros)) == (
        "EUR",
        False,
        {"discount": D("-0.2")},
    )
    assert euros.gap.bill.estimate == D("2.5")


def test_traced_usage_finds_its_source_or_stands_apart() -> None:
    Bill().charge("2.5", listed="2.5", quantity="1000000", **INPUT)
    for provider, project in (("openai", "other"), ("larkspur", "proj-1")):
        usage("search", about=TOLD, provider=provider, project=project, input_uncached=1_000_000)
    priced(input_uncached=1_000_000)
    allocate()

    found = gaps()

    # The project is not on the bill, but only one source bills the provider: too much is traced
    # there.
    assert amounts(found.sources[0]) == {"untraced": D("-2.5")}
    assert [(one.provider, one.reason) for one in found.off_the_bill] == [
        ("larkspur", "no bill of this provider")
    ]


def test_a_cloud_that_does_not_tell_projects_meets_all_of_them() -> None:
    Bill(settings={"project_match": "off"}).charge("5", listed="5", quantity="2000000", **INPUT)
    usage("search", about=TOLD, project="elsewhere", input_uncached=1_000_000)
    priced(input_uncached=1_000_000)
    allocate()

    assert only().gap.total == 0


def test_traced_cost_by_class_is_the_stored_estimate() -> None:
    bill = Bill()
    for told in (INPUT, CACHED, OUTPUT):
        bill.charge("1", listed="1", quantity="1000", **told)
    priced(input_uncached=777_777, cache_read=33_333, output_text=12_345)
    allocate()

    stored = UsageHourly.objects.get().list_cost
    assert stored is not None
    assert only().gap.start == stored
    # What repricing a token class leaves below a billionth counts as rounding, so that nothing is
    # lost.
    assert only().gap.amounts["rounding"].copy_abs() < D("1e-9")


def traced(source: SourceGap) -> dict[tuple[str | None, str | None], Decimal]:
    """Traced tokens by project and model, where there are any."""
    return {
        (model.project, model.model): model.traced_tokens
        for model in source.gap.bill.models
        if model.traced_tokens
    }


def joined() -> dict[tuple[str | None, str | None], Decimal]:
    """What the run itself joined with the lines, in tokens."""
    found: dict[tuple[str | None, str | None], Decimal] = {}
    keys = {key.split_key_id: key.split_key for key in ChargeSplitKey.objects.all()}
    for group in LedgerGroup.objects.exclude(coverage=None).exclude(quantity=None):
        name = (keys[group.split_key_id]["project"], keys[group.split_key_id]["model"])
        assert group.coverage is not None
        assert group.quantity is not None
        found[name] = found.get(name, D(0)) + group.coverage * group.quantity
    return {name: tokens for name, tokens in found.items() if tokens}


def test_calls_without_a_project_count_where_the_run_placed_them() -> None:
    """The owner's project fills first: the two projects are not alike."""
    for slug in ("search", "ads"):
        Team.objects.create(slug=slug, name=slug.title())
    bill = Bill()
    own = {**INPUT, "sub_account_id": "proj-own", "tags": {"team": "search"}}
    others = {**INPUT, "sub_account_id": "proj-other", "tags": {"team": "ads"}}
    bill.charge("2.5", listed="2.5", quantity="1000000", **own)
    bill.charge("2.5", listed="2.5", quantity="1000000", **others)
    usage("ads", about=TOLD, project="proj-other", input_uncached=250_000)
    usage("search", about=TOLD, project=None, at=utc(5, 11), input_uncached=500_000)
    usage("search", about=TOLD, project="cloud-account", at=utc(5, 12), input_uncached=750_000)
    reprice(ensure_prices()[0].pk)
    allocate()

    found = only()

    assert traced(found) == joined()
    assert traced(found) == {
        ("proj-own", "gpt-4o"): D(1_000_000),
        ("proj-other", "gpt-4o"): D(500_000),
    }
    assert amounts(found) == {"untraced": D("1.25")}


def test_calls_beyond_what_the_bill_has_room_for_stay_without_a_project() -> None:
    Bill().charge("2.5", listed="2.5", quantity="1000000", **INPUT)
    usage("search", about=TOLD, project=None, input_uncached=3_000_000)
    reprice(ensure_prices()[0].pk)
    allocate()

    found = only()

    assert {name[0]: tokens.quantize(D(1)) for name, tokens in traced(found).items()} == {
        "proj-1": D(1_000_000),
        None: D(2_000_000),
    }
    assert found.gap.start == D("7.5")
    assert amounts(found)["untraced"].quantize(D("1e-6")) == D(-5)


@pytest.mark.parametrize(
    ("service", "provider"),
    [("Gemini API", "gcp.gen_ai"), ("Vertex AI", "gcp.gen_ai"), ("Gemini API", "larkspur")],
)
def test_calls_of_no_seller_meet_the_bill_that_sells_their_model(
    service: str, provider: str
) -> None:
    about = {**INPUT, "provider_name": "Google Cloud", "service_name": service}
    meter = "gemini-2.5-pro, input"
    Bill("google").charge(
        "1.25", listed="1.25", quantity="1000000", **{**about, "sku_meter": meter}
    )
    usage(
        "search",
        provider=provider,
        model="models/gemini-2.5-pro",
        list_cost="1.25",
        input_uncached=1_000_000,
    )
    allocate()

    found = gaps()

    assert found.off_the_bill == ()
    assert traced(found.sources[0]) == joined() == {("proj-1", "gemini-2.5-pro"): D(10**6)}


def test_a_list_cost_of_zero_is_not_known() -> None:
    """Not a mark-up on the contract."""
    Bill().charge("2.5", listed="0", quantity="1000000", **INPUT)
    Charge.objects.update(contracted_cost=D("2.5"))
    priced(input_uncached=1_000_000)
    allocate()

    assert amounts(only()) == {}


def test_wording_that_nobody_knows_is_a_matter_of_the_catalogue() -> None:
    bill = Bill()
    bill.charge("2.5", listed="2.5", quantity="1000000", **INPUT)
    words = {**INPUT, "sku_meter": "Zephyrine 9 deluxe, input"}
    bill.charge("3", listed="3", quantity="1000000", **words)
    priced(input_uncached=1_000_000)
    allocate()

    fixes = {cause.key: cause.fix for cause in only().causes}

    assert "Nobody knows the model that the bill calls" in fixes["untraced"]
    assert "zephyrine" in fixes["untraced"].lower()


def test_nothing_of_whole_bills_for_a_reader_of_some_teams() -> None:
    Bill().charge("2.5", listed="2.5", quantity="1000000", **INPUT)
    allocate()

    assert gaps(TeamScope(teams=frozenset({"search"}))) == MonthGaps((), ())
