"""What a delivery replaces, what it leaves alone, and what is refused as a whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection, connections

from allocation.models import ChargeScope, Import, ScopeState, Source, SourceRole
from portal.ingest.bills.delivery import ImportOutcome, load_bill
from portal.ingest.bills.files.stream import BillFile
from portal.ingest.problems import BillRefused
from portal.jobs.models import Job
from tests.portal.bills import deliver, published, row, rows, text

pytestmark = pytest.mark.django_db(transaction=True)

OCTOBER = {
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-02T00:00:00Z",
    "ChargePeriodEnd": "2026-10-02T01:00:00Z",
}


def test_a_bill_is_loaded_published_and_allocated_next(tmp_path: Path) -> None:
    outcome = deliver(tmp_path, text(row(), row(BilledCost="-0.25", EffectiveCost="-0.25")))

    assert outcome.to_json() | {"seconds": 0} == {
        "import": outcome.import_id,
        "status": "loaded",
        "rows_read": 2,
        "rows_loaded": 2,
        "rows_rejected": 0,
        "repairs": {},
        "totals": [
            {
                "currency": "USD",
                "billed_cost": "1",
                "effective_cost": "0.75",
                "list_cost": "2.5",
                "contracted_cost": "2.5",
            }
        ],
        "files": [
            {
                "name": "bill.csv",
                "sha256": Import.objects.get().content_sha256,
                "rows_read": 2,
                "rows_loaded": 2,
                "rows_rejected": 0,
            }
        ],
        "replaced": [],
        "rejected": [],
        "seconds": 0,
    }
    assert published() == {"USD": (2, Decimal("1.00"), Decimal("0.75"))}
    assert list(Job.objects.values_list("kind", "payload")) == [("allocate", {"period": "2026-09"})]


def test_fault_001_same_file_twice_changes_nothing(tmp_path: Path) -> None:
    first = deliver(tmp_path, text(row()))
    before = published()

    again = [deliver(tmp_path, text(row()), name=f"copy {number}.csv") for number in range(3)]

    assert [(each.status, each.same_as, each.rows_loaded) for each in again] == [
        ("unchanged", first.import_id, 0)
    ] * 3
    assert published() == before
    assert ChargeScope.objects.count() == 1


def test_fault_002_twenty_loads_of_one_file_at_one_instant_load_it_once(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_text(text(*rows(50)))

    def load(_: int) -> ImportOutcome:
        try:
            return load_bill(files=[BillFile.at(path)], source_name="openai")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(load, range(20)))

    assert sorted(each.status for each in outcomes) == ["loaded"] + ["unchanged"] * 19
    assert published() == {"USD": (50, Decimal("62.50"), Decimal("50.00"))}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM charge")
        assert cursor.fetchone() == (50,)


def test_fault_003_a_redelivered_month_replaces_the_old_one(tmp_path: Path) -> None:
    first = [row(ServiceName="API", BilledCost="10"), row(ServiceName="Files", BilledCost="2")]
    corrected = [
        row(ServiceName="API", BilledCost="8"),
        row(ServiceName="Files", BilledCost="2"),
        row(**OCTOBER),
    ]
    old = deliver(tmp_path, text(*first))

    new = deliver(tmp_path, text(*corrected))

    after_both = published()
    (change,) = Import.objects.get(pk=new.import_id).changes
    assert change["replaced_import"] == old.import_id
    assert change["rows"] == {"before": 2, "after": 2, "difference": 0}
    assert change["billed_cost"] == {"before": "12", "after": "10", "difference": "-2"}
    assert [
        (each["service_name"], each["billed_cost"]["difference"]) for each in change["services"]
    ] == [("API", "-2")]
    assert sorted(ChargeScope.objects.values_list("bill_import", "state")) == [
        (old.import_id, ScopeState.SUPERSEDED),
        (new.import_id, ScopeState.CURRENT),
        (new.import_id, ScopeState.CURRENT),
    ]
    ChargeScope.objects.update(state=ScopeState.SUPERSEDED)
    deliver(tmp_path, text(*corrected), source="the corrected month alone")
    assert published() == after_both


def test_an_older_snapshot_loads_again_as_a_new_one(tmp_path: Path) -> None:
    deliver(tmp_path, text(row(BilledCost="10")))
    deliver(tmp_path, text(row(BilledCost="8")))

    back = deliver(tmp_path, text(row(BilledCost="10")))

    assert back.status == "loaded"
    assert published()["USD"][1] == Decimal("10")


def test_fault_004_an_append_source_keeps_corrections_as_new_rows(tmp_path: Path) -> None:
    correction = row(ChargeClass="Correction", BilledCost="1.25")
    deliver(tmp_path, text(row()), delivery="append")

    outcome = deliver(tmp_path, text(correction))
    again = deliver(tmp_path, text(correction))

    assert (outcome.status, again.status) == ("loaded", "unchanged")
    assert published()["USD"][:2] == (2, Decimal("2.50"))


def test_fault_005_identical_rows_of_one_file_are_both_kept(tmp_path: Path) -> None:
    deliver(tmp_path, text(row(), row(), row()))

    assert published()["USD"][:2] == (3, Decimal("3.75"))


def test_fault_006_overlapping_periods_are_refused_by_dates_and_amount(tmp_path: Path) -> None:
    deliver(tmp_path, text(row(BillingPeriodEnd="2026-09-16T00:00:00Z")))
    before = published()

    outcome = deliver(tmp_path, text(row(BillingPeriodStart="2026-09-10T00:00:00Z")))

    assert outcome.status == "refused"
    assert outcome.reason is not None
    for fact in ("2026-09-10 to 2026-10-01", "2026-09-01 to 2026-09-16", "1.25 USD", "acct-1"):
        assert fact in outcome.reason
    assert published() == before


def test_fault_006_a_file_whose_own_periods_overlap_is_refused(tmp_path: Path) -> None:
    first = row(BillingPeriodEnd="2026-09-16T00:00:00Z")

    outcome = deliver(tmp_path, text(first, row(BillingPeriodStart="2026-09-10T00:00:00Z")))

    assert outcome.status == "refused"
    for fact in ("2026-09-01 to 2026-09-16", "2026-09-10 to 2026-10-01", "overlap"):
        assert fact in (outcome.reason or "")
    assert published() == {}


def test_fault_008_the_bill_of_another_month_is_refused_where_one_is_named(tmp_path: Path) -> None:
    deliver(tmp_path, text(row()), month="2026-09")
    before = published()

    wrong = deliver(tmp_path, text(row(**OCTOBER)), month="2026-09")
    partly = deliver(tmp_path, text(row(BilledCost="9"), row(**OCTOBER)), month="2026-09")

    for outcome in (wrong, partly):
        assert (outcome.status, outcome.rows_loaded) == ("refused", 0)
        for fact in ("the bill of 2026-09", "acct-1, 2026-10-01 to 2026-11-01"):
            assert fact in (outcome.reason or "")
    assert published() == before
    assert deliver(tmp_path, text(row(**OCTOBER)), month="2026-10").status == "loaded"
    with pytest.raises(BillRefused, match="'September' is not a month"):
        deliver(tmp_path, text(row()), month="September")


def test_fault_018_negative_lines_and_a_net_negative_month_keep_their_sign(tmp_path: Path) -> None:
    credit = row(
        ChargeCategory="Credit",
        ChargeFrequency="One-Time",
        BilledCost="-100.5",
        EffectiveCost="-100.5",
    )

    outcome = deliver(tmp_path, text(row(), credit))

    assert outcome.totals[0]["billed_cost"] == "-99.25"
    assert published() == {"USD": (2, Decimal("-99.25"), Decimal("-99.50"))}


def test_fault_019_currencies_never_meet_in_one_total(tmp_path: Path) -> None:
    outcome = deliver(
        tmp_path,
        text(row(), row(BillingCurrency="EUR"), row(BillingCurrency="JPY", BilledCost="150")),
    )

    assert [(each["currency"], each["billed_cost"]) for each in outcome.totals] == [
        ("EUR", "1.25"),
        ("JPY", "150"),
        ("USD", "1.25"),
    ]
    assert {currency: billed for currency, (_, billed, _) in published().items()} == {
        "EUR": Decimal("1.25"),
        "JPY": Decimal("150"),
        "USD": Decimal("1.25"),
    }


def test_fault_021_billed_effective_list_and_contracted_cost_stay_apart(tmp_path: Path) -> None:
    purchase = row(
        ChargeCategory="Purchase",
        BilledCost="100",
        EffectiveCost="0",
        ListCost="120",
        ContractedCost="110",
    )
    use = row(BilledCost="0", EffectiveCost="1", ListCost="2", ContractedCost="")

    outcome = deliver(tmp_path, text(purchase, use))

    assert outcome.totals == [
        {
            "currency": "USD",
            "billed_cost": "100",
            "effective_cost": "1",
            "list_cost": "122",
            "contracted_cost": "110",
        }
    ]


def test_fault_026_empty_and_header_only_files_zero_no_month(tmp_path: Path) -> None:
    deliver(tmp_path, text(row()))
    before = published()

    header_only = deliver(tmp_path, text())
    empty = deliver(tmp_path, b"")

    assert (header_only.status, header_only.rows_read) == ("loaded", 0)
    assert empty.status == "refused"
    assert "0 bytes" in (empty.reason or "")
    assert published() == before


def test_a_delivery_below_half_needs_a_confirmation(tmp_path: Path) -> None:
    deliver(tmp_path, text(*rows(10)))
    before = published()

    refused = deliver(tmp_path, text(*rows(4)))
    assert refused.status == "refused"
    assert "4 rows instead of 10" in (refused.reason or "")
    assert "--confirm-shrink" in (refused.reason or "")
    assert published() == before

    confirmed = deliver(tmp_path, text(*rows(4)), confirm_shrink=True)
    assert confirmed.status == "loaded"
    assert published()["USD"][0] == 4


def test_a_delivery_below_half_of_the_cost_needs_a_confirmation(tmp_path: Path) -> None:
    deliver(tmp_path, text(*rows(4)))

    refused = deliver(tmp_path, text(*rows(4, BilledCost="0.1")))

    assert "0.4 USD billed instead of 5" in (refused.reason or "")


def test_fault_135_a_second_invoice_source_with_the_same_money_is_refused(tmp_path: Path) -> None:
    deliver(tmp_path, text(row()))

    refused = deliver(tmp_path, text(row(BilledCost="1.26")), source="marketplace")
    assert refused.status == "refused"
    for fact in ("openai", "OpenAI", "1.25 USD", "2026-09-01 to 2026-10-01", "count twice"):
        assert fact in (refused.reason or "")

    other_provider = deliver(tmp_path, text(row(ProviderName="AWS")), source="aws")
    Source.objects.create(name="detail", role=SourceRole.USAGE_DETAIL)
    detail = deliver(tmp_path, text(row(BilledCost="1.26")), source="detail")
    assert (other_provider.status, detail.status) == ("loaded", "loaded")


def test_more_than_five_percent_of_bad_rows_refuse_the_file_and_less_do_not(tmp_path: Path) -> None:
    good, bad = rows(95), [row(BilledCost="five o'clock")] * 5

    at_the_limit = deliver(tmp_path, text(*good, *bad))
    assert (at_the_limit.status, at_the_limit.rows_loaded, at_the_limit.rows_rejected) == (
        "loaded",
        95,
        5,
    )
    before = published()

    above = deliver(tmp_path, text(*good, *bad, *bad[:1]))
    assert (above.status, above.rows_loaded) == ("refused", 0)
    assert "the first is line 97, column BilledCost, value 'five o'clock': " in (above.reason or "")
    assert published() == before
    assert Import.objects.get(pk=above.import_id).rejected.count() == 6


def test_the_month_is_that_of_the_billing_time_zone(tmp_path: Path) -> None:
    Source.objects.create(name="azure", billing_timezone="America/Los_Angeles")

    deliver(tmp_path, text(row(BillingPeriodStart="2026-09-01T07:00:00Z")), source="azure")
    deliver(tmp_path, text(row(BillingAccountId="acct-2")), source="azure")

    assert sorted(
        str(month) for month in ChargeScope.objects.values_list("billing_month", flat=True)
    ) == [
        "2026-08-01",
        "2026-09-01",
    ]
