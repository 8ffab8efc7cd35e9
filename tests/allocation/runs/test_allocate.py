"""A month from charges and traces to a published ledger, on a real database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from allocation.ledger.slices import NotBalanced
from allocation.ledger.writer import stored_sha256
from allocation.models import (
    AllocatedCost,
    AllocationRun,
    ChargeScope,
    CostDaily,
    Feature,
    FeaturePlacement,
    LedgerGroup,
    Product,
    RunSource,
    Source,
    Team,
)
from allocation.runs.month import allocate_period
from allocation.values.money import exact_sum
from reports.queries.reconcile.ledger import reconcile_period
from tests.allocation.bills import (
    AWS,
    END,
    NOW,
    OCTOBER,
    OPENAI,
    START,
    Bill,
    Share,
    allocate,
    billed_by_team,
    shares,
    usage,
    utc,
)

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture(autouse=True)
def teams() -> None:
    Team.objects.bulk_create(
        [Team(slug=slug, name=slug.title()) for slug in ("search", "ads", "platform")]
    )


def line(what: str, **changes: Any) -> dict[str, Any]:
    return OPENAI | {"sku_meter": f"gpt-4o-2024-08-06, {what}"} | changes


# ---------------------------------------------------------------- direct, and nobody


def test_a_team_tag_takes_the_charge_and_no_rule_leaves_it_unallocated() -> None:
    bill = Bill("aws")
    bill.charge(
        "7.25", tags={"Team ": " Search", "environment": "prod"}, resource_type="p5.48xlarge", **AWS
    )
    bill.charge("0.75", resource_type="p5.48xlarge", **AWS)
    bill.charge("5", **(AWS | {"service_name": "Amazon S3"}))

    allocate()

    assert shares() == [
        Share("search", None, None, None, "direct", 4, D("7.25"), D("7.25")),
        Share(None, None, None, "no rule", "unallocated", 6, D("0.75"), D("0.75")),
        Share(None, None, None, "outside AI scope", "unallocated", 6, D("5"), D("5")),
    ]


def test_an_unknown_team_is_kept_by_name_in_unallocated() -> None:
    Bill("aws").charge("3", tags={"team": "Serach"}, **AWS)

    allocate()

    assert billed_by_team() == {"unknown team: Serach": D(3)}


def test_without_a_tree_names_are_taken_as_told() -> None:
    Team.objects.all().delete()
    Bill("aws").charge("3", tags={"team": "Search  Engine"}, **AWS)

    allocate()

    assert billed_by_team() == {"search-engine": D(3)}


def test_product_and_team_come_from_the_features_place_on_that_day() -> None:
    feature = Feature.objects.create(slug="chat", name="Chat")
    product = Product.objects.create(slug="assistant", name="Assistant")
    for team, since in (("search", utc(1, month=9)), ("ads", utc(6))):
        FeaturePlacement.objects.create(
            feature=feature,
            owner_team=Team.objects.get(slug=team),
            product=product,
            valid_from=since.date(),
        )
    bill = Bill()
    for day in (5, 6):
        bill.charge("10", at=utc(day, 3), quantity="100", **line("input"))
        usage(None, "Chat", at=utc(day, 3), input_uncached=100)

    allocate()

    assert billed_by_team() == {"search": D(10), "ads": D(10)}
    assert set(CostDaily.objects.values_list("product", "feature")) == {("assistant", "chat")}


# ---------------------------------------------------------------- traced usage


def test_each_token_class_is_split_by_its_own_tokens() -> None:
    bill = Bill()
    bill.charge("8", quantity="800", **line("input"))
    bill.charge("1", quantity="200", **line("cached input"))
    bill.charge("6", quantity="100", **line("output"))
    usage("search", "chat", input_uncached=600, cache_read=50, output_text=60, reasoning=20)
    usage("ads", "banner", input_uncached=200, cache_read=150, output_text=20)

    allocate()

    assert shares() == [
        Share("ads", "banner", "gpt-4o", None, "shared", 1, D(2) + D("0.75") + D("1.2"), D("3.95")),
        Share(
            "search", "chat", "gpt-4o", None, "shared", 1, D(6) + D("0.25") + D("4.8"), D("11.05")
        ),
    ]


def test_cached_tokens_fall_to_input_only_without_a_line_of_their_own() -> None:
    Bill().charge("10", quantity="1000", **line("input"))
    usage("search", input_uncached=100, cache_read=400)
    usage("ads", input_uncached=500)

    allocate()

    assert billed_by_team() == {"search": D(5), "ads": D(5)}


def test_a_line_without_class_is_weighted_by_list_price_or_else_by_tokens() -> None:
    bill = Bill()
    bill.charge("0.9", **(OPENAI | {"sku_meter": "gpt-4o-2024-08-06", "consumed_unit": "Requests"}))
    bill.charge("9", **(OPENAI | {"sku_meter": "o3-2025-04-16", "consumed_unit": "Requests"}))
    usage("search", input_uncached=100, list_cost="0.2")
    usage("ads", output_text=100, list_cost="0.7")
    usage("search", model="o3", input_uncached=100)
    usage("ads", model="o3", output_text=200, list_cost="0.7")

    allocate()

    assert billed_by_team() == {"search": D("0.2") + D(3), "ads": D("0.7") + D(6)}
    assert set(LedgerGroup.objects.values_list("driver", "coverage")) == {
        ("list cost", D(1)),
        ("total tokens", None),
    }


@pytest.mark.parametrize(
    ("traced", "untraced", "expected"),
    [
        (80, "auto", {("search", "shared"): "8", ("search", "untraced"): "2"}),
        (79, "auto", {("search", "shared"): "7.9", ("platform", "untraced"): "2.1"}),
        (79, "spread", {("search", "shared"): "7.9", ("search", "untraced"): "2.1"}),
        (90, "owner", {("search", "shared"): "9", ("platform", "untraced"): "1"}),
        (90, "unallocated", {("search", "shared"): "9", (None, "unallocated"): "1"}),
        (120, "auto", {("search", "shared"): "10"}),
        (0, "auto", {("platform", "untraced"): "10"}),
    ],
)
def test_the_untraced_part_goes_where_the_source_says(
    traced: int, untraced: str, expected: dict[tuple[str | None, str], str]
) -> None:
    bill = Bill(settings={"untraced": untraced})
    bill.charge("10", quantity="100", tags={"team": "platform"}, **line("input"))
    if traced:
        usage("search", input_uncached=traced)

    allocate()

    assert {(s.team, s.kind): s.billed for s in shares()} == {
        key: D(value) for key, value in expected.items()
    }
    group = LedgerGroup.objects.get()
    assert (group.coverage, group.quantity) == (D(traced) / 100, D(100))
    assert (group.note == "over-traced") == (traced > 100)


def test_without_an_owner_the_untraced_part_is_unallocated() -> None:
    Bill().charge("10", quantity="100", **line("input"))
    usage("search", input_uncached=50)

    allocate()

    assert billed_by_team() == {"search": D(5), "untraced": D(5)}


def test_calls_without_a_team_are_the_project_owners() -> None:
    bill = Bill()
    bill.charge("10", quantity="100", tags={"team": "platform"}, **line("input"))
    bill.charge("6", quantity="60", **line("output"))
    usage("search", "chat", input_uncached=70, output_text=20)
    usage(None, "batch", input_uncached=30, output_text=40)

    allocate()

    assert shares() == [
        Share("platform", "batch", "gpt-4o", None, "shared", 4, D(3), D(3)),
        Share("search", "chat", "gpt-4o", None, "shared", 1, D(9), D(9)),
        Share(None, "batch", "gpt-4o", "no team", "unallocated", 6, D(4), D(4)),
    ]


def test_a_missing_project_is_no_wall_unless_the_source_says_so() -> None:
    bill = Bill()
    bill.charge("10", quantity="100", **line("input"))
    usage("search", project=None, input_uncached=100)

    allocate()
    placed = billed_by_team()
    Source.objects.update(project_match="strict")
    allocate()
    strict = billed_by_team()
    Source.objects.update(project_match="off")
    allocate()

    assert placed == {"search": D(10)}
    assert strict == {"untraced": D(10)}
    assert billed_by_team() == {"search": D(10)}


def test_a_day_without_traces_is_split_by_the_month_and_says_so() -> None:
    bill = Bill()
    bill.charge("10", at=utc(5, 1), quantity="100", **line("input"))
    bill.charge("10", at=utc(6, 1), quantity="10", **line("input"))
    usage("search", at=utc(5, 1), input_uncached=75)
    usage("ads", at=utc(5, 1), input_uncached=25)

    allocate()

    widened = dict(LedgerGroup.objects.values_list("day__day", "widened"))
    assert widened == {5: None, 6: "month"}
    assert billed_by_team() == {"search": D(15), "ads": D(5)}


def test_a_model_without_traces_is_not_spread_over_other_models() -> None:
    Bill().charge("10", quantity="100", **line("input", sku_meter="o1-2024-12-17, input"))
    usage("search", input_uncached=100)

    allocate()

    assert billed_by_team() == {"untraced": D(10)}


def test_batch_lines_belong_to_batch_calls() -> None:
    bill = Bill()
    bill.charge("10", quantity="100", **line("input"))
    bill.charge("4", quantity="100", **line("input", sku_meter="gpt-4o-2024-08-06 batch, input"))
    usage("search", input_uncached=100)
    usage("ads", tier="batch", input_uncached=100)

    allocate()

    assert billed_by_team() == {"search": D(10), "ads": D(4)}


def test_sampled_usage_counts_by_its_weight() -> None:
    Bill().charge("10", quantity="100", **line("input"))
    usage("search", input_uncached="66.6666666")
    usage("ads", input_uncached="33.3333334")

    allocate()

    group = LedgerGroup.objects.get()
    assert group.driver_total == D(100)
    assert billed_by_team() == {"search": D("6.6666667"), "ads": D("3.3333333")}


# ---------------------------------------------------------------- follow


def test_tax_follows_what_is_taxed_narrow_before_wide() -> None:
    bill = Bill("aws")
    bill.charge("30", tags={"team": "search"}, **AWS)
    bill.charge("10", tags={"team": "ads"}, **AWS)
    bill.charge("60", tags={"team": "platform"}, **(AWS | {"sub_account_id": "222"}))
    bill.charge("4", category="Tax", provider_name="AWS", sub_account_id="111", service_name="Tax")
    bill.charge("10", category="Tax", provider_name="AWS", service_name="Tax")

    allocate()

    taxes = {share.team: share.billed for share in shares() if share.kind == "tax"}
    assert taxes == {"search": D(3) + D(3), "ads": D(1) + D(1), "platform": D(6)}
    assert set(LedgerGroup.objects.exclude(driver=None).values_list("widened", flat=True)) == {
        "sub-account",
        None,
    }


def test_what_follows_unallocated_cost_is_unallocated() -> None:
    bill = Bill("aws")
    bill.charge("30", tags={"team": "search"}, **AWS)
    bill.charge("10", tags={"team": "nobody"}, **AWS)
    bill.charge("4", category="Tax", provider_name="AWS")

    allocate()

    assert billed_by_team() == {"search": D(33), "unknown team: nobody": D(11)}


def test_tax_without_charges_has_nothing_to_follow() -> None:
    Bill("aws").charge("4", category="Tax", provider_name="AWS")

    allocate()

    assert billed_by_team() == {"nothing to follow": D(4)}


# ---------------------------------------------------------------- exactness, signs, currencies


def test_fault_018_refunds_and_a_net_negative_month_keep_their_sign() -> None:
    bill = Bill()
    bill.charge("10", quantity="100", **line("input"))
    bill.charge("-25", quantity="-30", **line("input"))
    bill.charge("-3", category="Credit", provider_name="OpenAI")
    usage("search", input_uncached=50)
    usage("ads", input_uncached=20)

    allocate()

    assert sum(share.billed for share in shares()) == D(-18)
    assert billed_by_team()["search"] < billed_by_team()["ads"] < 0
    assert reconcile_period(period=OCTOBER).is_balanced


def test_fault_019_currencies_never_meet() -> None:
    bill = Bill()
    bill.charge("10", quantity="100", **line("input"))
    bill.charge("7", currency="EUR", quantity="70", **line("input"))
    bill.charge("1", currency="EUR", category="Tax", provider_name="OpenAI")
    usage("search", input_uncached=170)

    outcome = allocate()

    assert [run.currency for run in outcome.runs] == ["EUR", "USD"]
    assert sum(share.billed for share in shares("USD")) == D(10)
    assert sum(share.billed for share in shares("EUR")) == D(8)
    found = {
        (row.currency, row.metric): row.charges for row in reconcile_period(period=OCTOBER).rows
    }
    assert found == {
        ("EUR", "billed_cost"): D(8),
        ("EUR", "effective_cost"): D(8),
        ("USD", "billed_cost"): D(10),
        ("USD", "effective_cost"): D(10),
    }


def test_fault_021_billed_and_effective_are_split_apart_and_never_added() -> None:
    bill = Bill("aws")
    bill.charge(
        "240", "0", category="Purchase", at=START, until=END, tags={"team": "platform"}, **AWS
    )
    bill.charge("0", "10", tags={"team": "search"}, commitment_discount_status="Used", **AWS)
    bill.charge("0", "2", tags={"team": "platform"}, commitment_discount_status="Unused", **AWS)

    allocate()

    totals = {s.kind: (s.billed, s.effective) for s in shares() if s.team == "platform"}
    assert totals == {"direct": (D(240), D(0)), "commitment_unused": (D(0), D(2))}
    assert {(row.metric, row.charges) for row in reconcile_period(period=OCTOBER).rows} == {
        ("billed_cost", D(240)),
        ("effective_cost", D(12)),
    }


def test_a_monthly_charge_is_spread_over_its_days_exactly() -> None:
    Bill("aws").charge("100", at=START, until=END, tags={"team": "search"}, **AWS)

    allocate()

    days = list(AllocatedCost.objects.order_by("day").values_list("billed_cost", flat=True))
    assert len(days) == 31
    assert sum(days) == D(100)
    assert max(days) - min(days) == D("1e-12")
    assert sum(LedgerGroup.objects.values_list("charges", flat=True)) == 1


def test_a_correction_stays_on_the_day_it_corrects() -> None:
    Bill("aws").charge(
        "-5",
        at=utc(10, month=9),
        until=utc(14, month=9),
        charge_class="Correction",
        tags={"team": "search"},
        **AWS,
    )

    allocate()

    assert str(AllocatedCost.objects.get().day) == "2026-09-10"


def test_costs_of_any_scale_are_kept_to_the_last_digit() -> None:
    bill = Bill()
    bill.charge("0.0000000000000000000001", quantity="3", **line("input"))
    bill.charge("123456789012.34", quantity="3", **line("input"))
    for n, team in enumerate(("search", "ads", "platform")):
        usage(team, input_uncached=2, feature=f"f{n}")

    allocate()

    assert exact_sum(share.billed for share in shares()) == D("123456789012.3400000000000000000001")


def test_fault_074_every_filter_is_a_partition_of_the_same_total() -> None:
    mixed_month()
    allocate()

    columns = (
        "team product feature model environment phase charge_kind rule evidence ai_scope"
        " provider_name service_name day reason source_id"
    )
    for column in columns.split():
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {column}, sum(billed_cost), sum(effective_cost) FROM cost_daily GROUP BY 1"
            )
            rows = cursor.fetchall()
        assert sum(row[1] for row in rows) == D("113.42"), column
        assert sum(row[2] for row in rows) == D("111.42"), column
    assert reconcile_period(period=OCTOBER).is_balanced


def test_fault_074_the_database_refuses_a_run_that_does_not_balance() -> None:
    mixed_month()
    run = AllocationRun.objects.get(pk=allocate().runs[0].run)

    with pytest.raises(IntegrityError, match="run_source_balances"), transaction.atomic():
        RunSource.objects.filter(run=run).update(allocated=D(1))


def test_a_run_that_loses_money_is_not_published(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed_month()
    before = allocate().runs[0].run
    monkeypatch.setattr(
        "allocation.ledger.cutting.split_quanta",
        lambda quanta, weights: [quanta // 2] * len(weights),
    )

    with pytest.raises(NotBalanced, match="charges"):
        allocate(reuse=False)

    assert AllocationRun.objects.get(is_current=True).pk == before
    assert not AllocatedCost.objects.exclude(run_id=before).exists()


def test_fault_075_usage_of_zero_tokens_leaves_the_money_in_sight() -> None:
    Bill().charge("10", quantity="100", **line("input"))
    usage("search", input_uncached=0)

    allocate()

    assert billed_by_team() == {"untraced": D(10)}


# ---------------------------------------------------------------- reproducible


def mixed_month(*, backwards: bool = False) -> None:
    """113.42 billed and 111.42 effective over several methods; rows written in either order."""
    rows: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("50.01", "48.01"), {"quantity": "500", **line("input")}),
        (("20.40",), {"at": utc(7), "quantity": "90", **line("output")}),
        (("30",), {"tags": {"team": "ads"}, "resource_type": "g5.xlarge", **AWS}),
        (("3",), {"category": "Tax", "at": START, "until": END, "provider_name": "OpenAI"}),
        (("10.01",), {"service_name": "Amazon S3", "provider_name": "AWS"}),
    ]
    calls: list[dict[str, Any]] = [
        {"team": "search", "feature": "chat", "input_uncached": 333},
        {"team": "ads", "feature": "banner", "input_uncached": 111},
        {"team": "mystery", "input_uncached": 50},
        {"team": "platform", "at": utc(7), "output_text": 77},
        {"team": "search", "at": utc(7), "output_text": 7},
    ]
    bill = Bill()
    for args, columns in reversed(rows) if backwards else rows:
        bill.charge(*args, **columns)
    for call in reversed(calls) if backwards else calls:
        usage(**call)


def test_fault_078_the_same_inputs_give_the_same_bytes_in_any_order() -> None:
    mixed_month()
    first = allocate().runs[0]
    again = allocate(reuse=False).runs[0]
    for model in (ChargeScope, Source):
        model.objects.update(
            **({"state": "superseded"} if model is ChargeScope else {"name": "old"})
        )
    with connection.cursor() as cursor:
        for table in (
            "charge",
            "usage_hourly",
            "allocation_chargedimension",
            "allocation_usagedimension",
        ):
            cursor.execute(f"DELETE FROM {table}")
    mixed_month(backwards=True)

    backwards = allocate(reuse=False).runs[0]

    assert again.run != first.run
    assert first.sha256 == again.sha256 == backwards.sha256
    assert stored_sha256(run_id=backwards.run, month=OCTOBER.start) == backwards.sha256


def test_nothing_changed_means_the_run_is_kept() -> None:
    mixed_month()
    first = allocate().runs[0]
    kept = allocate().runs[0]
    usage("ads", "banner", at=utc(5, 11), input_uncached=5)
    changed = allocate().runs[0]

    assert (kept.run, kept.reused) == (first.run, True)
    assert changed.run != first.run
    assert changed.sha256 != first.sha256


def test_readers_see_one_current_run_and_old_ones_are_forgotten_in_time() -> None:
    mixed_month()
    runs = [allocate(reuse=False).runs[0].run for _ in range(5)]

    assert list(AllocationRun.objects.filter(is_current=True).values_list("pk", flat=True)) == [
        runs[-1]
    ]
    assert set(AllocatedCost.objects.values_list("run_id", flat=True)) == set(runs[-3:])
    assert AllocationRun.objects.count() == 5


def test_what_a_dead_run_left_behind_is_cleared_by_the_next() -> None:
    mixed_month()
    dead = AllocationRun.objects.get(pk=allocate().runs[0].run)
    AllocationRun.objects.update(status="running", is_current=False)

    allocate()

    dead.refresh_from_db()
    assert (dead.status, dead.detail) == ("failed", "interrupted")
    assert not AllocatedCost.objects.filter(run_id=dead.pk).exists()


def test_a_guard_that_objects_leaves_the_former_run_current() -> None:
    mixed_month()
    before = allocate().runs[0].run

    def lost() -> None:
        raise RuntimeError("lease lost")

    with pytest.raises(RuntimeError, match="lease lost"):
        allocate_period(period=OCTOBER, now=NOW, guard=lost, reuse=False)

    assert AllocationRun.objects.get(is_current=True).pk == before


def test_a_month_without_bills_has_no_runs_and_a_withdrawn_bill_leaves_none_current() -> None:
    assert allocate().runs == ()

    mixed_month()
    allocate()
    ChargeScope.objects.update(state="superseded")

    assert allocate().runs == ()
    assert not AllocationRun.objects.filter(is_current=True).exists()


def test_estimates_and_usage_details_carry_no_ledger_money() -> None:
    Bill("opencost", settings={"role": "usage_detail"}).charge("9", tags={"team": "search"}, **AWS)
    Bill("aws").charge("5", tags={"team": "search"}, **AWS)

    allocate()

    assert billed_by_team() == {"search": D(5)}
