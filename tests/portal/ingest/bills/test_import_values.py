"""Single values: what is read, repaired or refused, and that nothing rounds on the way to the
database.
"""

from __future__ import annotations

import csv
import io
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocation.models import ChargeDimension, ChargeScope
from allocation.values.money import EXACT
from portal.ingest import problems as cells
from tests.portal.bills import deliver, published, reasons, row, rows, text

PADDING = rows(100)  # so that one bad row stays below five percent


@pytest.mark.parametrize(
    ("text_", "read"),
    [
        ("0", "0"),
        ("-0.00000080000", "-0.00000080000"),
        ("1.5E-7", "0.00000015"),
        ("1.5e3", "1500"),
        ("-2E2", "-200"),
        ("007.50", "7.50"),
        (
            "999999999999999.99999999999999999999999999999999999999",
            "999999999999999.99999999999999999999999999999999999999",
        ),
        ("0E-100", "0"),
    ],
)
def test_numbers_keep_every_digit(text_: str, read: str) -> None:
    assert cells.read_number(text_).value == read


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "text_", ["NaN", "sNaN", "Infinity", "-inf", "1e400", "1e999999", "1e99999999999999999999"]
)
def test_fault_014_no_number_that_is_not_finite_gets_in(tmp_path: Path, text_: str) -> None:
    outcome = deliver(tmp_path, text(*PADDING, row(BilledCost=text_)))

    assert [(line, column) for line, column, _ in reasons(outcome)] == [(102, "BilledCost")]
    assert outcome.rows_loaded == 100
    assert published()["USD"][1] == Decimal("125.00")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e15"])
def test_fault_014_the_database_refuses_them_too(tmp_path: Path, number: str) -> None:
    deliver(tmp_path, text(row()))

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE charge SET billed_cost = %s::numeric", [number])


@pytest.mark.parametrize(
    "text_",
    [
        "1_000",
        "１２",
        "٣",
        " 5",
        "5 ",
        "\t5",
        "5\n",
        "+5",
        "1E+5",
        ".5",
        "5.",
        "--5",
        "0x1F",
        "1e",
        "𝟏",
    ],
)
def test_fault_015_only_ascii_digits_in_focus_form_are_numbers(text_: str) -> None:
    cell = cells.read_number(text_)

    assert cell.value is None
    assert cell.reason is not None


@pytest.mark.parametrize(
    ("text_", "hint"),
    [
        ("1,234.50", "without thousands separators"),
        ("1.234,50", "without thousands separators"),
        ("(5.00)", "minus sign"),
        ("$5", "currency"),
        ("5 EUR", "currency"),
        ("€5", "ASCII"),
        ("1_000", "underscores"),
        (" 5", "spaces"),
        ("1E+5", "plus"),
    ],
)
def test_fault_016_locale_forms_are_refused_with_a_hint(text_: str, hint: str) -> None:
    assert hint in (cells.read_number(text_).reason or "")


@pytest.mark.django_db(transaction=True)
def test_fault_017_no_digit_is_rounded_away(tmp_path: Path) -> None:
    costs = [
        "0.00000000005",
        "1E-30",
        "123456789012345.00000000000000000000000000000000000001",
        "-1.5E-7",
    ]

    outcome = deliver(tmp_path, text(*(row(BilledCost=cost) for cost in costs)))

    with connection.cursor() as cursor:
        cursor.execute("SELECT billed_cost FROM charge ORDER BY line")
        assert [stored for (stored,) in cursor.fetchall()] == [Decimal(cost) for cost in costs]
    assert (
        outcome.totals[0]["billed_cost"] == "123456789012344.99999985005000000000000000000100000001"
    )


@pytest.mark.django_db(transaction=True)
def test_fault_017_what_would_have_to_be_rounded_is_refused(tmp_path: Path) -> None:
    outcome = deliver(
        tmp_path,
        text(*PADDING, row(BilledCost="0." + "0" * 40 + "1"), row(BilledCost="1" + "0" * 15)),
    )

    assert [(line, column) for line, column, _ in reasons(outcome)] == [
        (102, "BilledCost"),
        (103, "BilledCost"),
    ]


@pytest.mark.django_db(transaction=True)
def test_fault_023_nul_and_lone_surrogates_are_replaced_and_counted(tmp_path: Path) -> None:
    odd = row(
        ResourceName="a\0b",
        Tags=(
            '{"team": "x\\u0000y", "half": "\\ud800", "escaped": "\\\\u0000", "pair": '
            '"\\ud83d\\ude00"}'
        ),
    )

    outcome = deliver(tmp_path, text(row(), odd))

    assert (outcome.status, outcome.rows_loaded) == ("loaded", 2)
    assert outcome.repairs["nul_replaced"] == 2
    stored = ChargeDimension.objects.get(resource_name="a\ufffdb")
    assert stored.tags == {"team": "x\ufffdy", "half": "\ufffd", "escaped": "\\u0000", "pair": "😀"}


@pytest.mark.parametrize(
    ("text_", "read", "repair"),
    [
        ("2026-09-01T00:00:00Z", "2026-09-01T00:00:00Z", None),
        ("2026-09-01T00:00:00.250Z", "2026-09-01T00:00:00.250000Z", None),
        ("2026-09-01T00:00Z", "2026-09-01T00:00:00Z", None),
        ("2026-09-01 00:00:00", "2026-09-01T00:00:00Z", "time_without_zone"),
        ("2026-09-01T00:00:00+00:00", "2026-09-01T00:00:00Z", "time_zone_written_as_offset"),
        ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z", None),
        ("2026-02-30T00:00:00Z", None, None),
        ("2026-09-01T24:00:00Z", None, None),
        ("2026-09-01", None, None),
        ("2026-09-01T00:00:00+02:00", None, None),
        ("1756684800000", None, None),
        ("09/01/2026", None, None),
        ("2026-09-01T00:00:00.0000001Z", None, None),
        ("２026-09-01T00:00:00Z", None, None),
        ("0001-01-01T00:00:00Z", None, None),
    ],
)
def test_fault_027_times_are_iso_8601_in_utc(
    text_: str, read: str | None, repair: str | None
) -> None:
    cell = cells.read_time(text_)

    assert (cell.value, cell.repair) == (read, repair)
    assert (cell.reason is None) == (read is not None)


@pytest.mark.django_db(transaction=True)
def test_fault_027_a_period_excludes_its_end(tmp_path: Path) -> None:
    outcome = deliver(tmp_path, text(*PADDING, row(ChargePeriodEnd="2026-09-02T00:00:00Z")))

    assert [(line, column) for line, column, _ in reasons(outcome)] == [(102, "ChargePeriodEnd")]


@pytest.mark.django_db(transaction=True)
def test_each_bad_value_is_named_by_line_column_value_and_reason(tmp_path: Path) -> None:
    bad = [
        row(BilledCost=""),
        row(ChargeCategory="Fee"),
        row(BillingCurrency="usd"),
        row(Tags="team=search"),
        row(Tags='{"team": {"name": "search"}}'),
        row(BillingAccountId="", EffectiveCost="x"),
    ]

    outcome = deliver(tmp_path, text(*rows(200, BilledCost="10"), *bad))

    found = [(each.line, each.column, each.value) for each in outcome.rejected]
    assert found == [
        (202, "BilledCost", None),
        (203, "ChargeCategory", "Fee"),
        (204, "BillingCurrency", "usd"),
        (207, "BillingAccountId", None),
        (207, "EffectiveCost", "x"),
    ]
    assert (outcome.rows_read, outcome.rows_loaded, outcome.rows_rejected) == (206, 202, 4)


OPTIONAL = {
    "ListCost": ("N/A", "digits, an optional minus sign"),
    "ListUnitPrice": ("1,5", "without thousands separators"),
    "PricingQuantity": ("5 EUR", "leave out the currency"),
    "Tags": ("team=search", "not JSON; tags are written"),
    "AllocatedTags": ('{"team": {"name": "search"}}', "a tag holds an object or a list"),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("column", OPTIONAL)
def test_a_bad_value_of_an_optional_column_never_costs_the_row(tmp_path: Path, column: str) -> None:
    value, reason = OPTIONAL[column]
    absent = dict.fromkeys(OPTIONAL, "")

    outcome = deliver(
        tmp_path, text(row(**absent), *rows(3, **{**absent, column: value}), row(**absent))
    )

    assert (outcome.status, outcome.rows_loaded, outcome.rejected) == ("loaded", 5, [])
    assert outcome.repairs[f"unreadable_{column}"] == 3
    (unread,) = outcome.unread
    assert (unread["count"], unread["first"]["line"], unread["first"]["value"]) == (3, 3, value)
    assert reason in unread["first"]["reason"]
    assert published()["USD"][1] == Decimal("6.25")


@pytest.mark.parametrize("text_", ["$1,250.00 ", "(1,250.00)", "+5 EUR", "$1,250.00"])
def test_all_that_is_wrong_with_a_number_is_said(text_: str) -> None:
    said = cells.read_number(text_).reason or ""

    wrong = {
        "spaces": text_ != text_.strip(),
        "minus sign": "(" in text_,
        "plus sign": "+" in text_,
        "thousands separators": "," in text_,
        "the currency": "$" in text_ or "EUR" in text_,
        "spreadsheet": "$" in text_,
    }
    assert {words: words in said for words in wrong} == wrong


@pytest.mark.parametrize("text_", ["6/1/2026 0:00", "6/5/2026", "01.09.2026 12:30:00", "9/1/26"])
def test_dates_as_a_spreadsheet_writes_them_are_named_so(text_: str) -> None:
    assert "re-saved by a spreadsheet" in (cells.read_time(text_).reason or "")


@pytest.mark.django_db(transaction=True)
def test_a_refusal_counts_each_reason_of_each_column(tmp_path: Path) -> None:
    saved = {
        "BilledCost": "$1,250.00 ",
        "BillingPeriodStart": "6/1/2026 0:00",
        "BillingCurrency": "usd",
    }

    outcome = deliver(tmp_path, text(*rows(3, **saved), row(EffectiveCost="")))

    for said in (
        "4 of 4 rows can't be loaded",
        "3 x BillingPeriodStart: not written as 2026-09-01T00:00:00Z: the file was re-saved by a "
        "spreadsheet",
        "3 x BillingCurrency: not an ISO 4217 currency code such as USD (first in line 2, 'usd')",
        "3 x BilledCost: not a number: remove the spaces around it; write 1234.50",
        "1 x EffectiveCost: missing",
    ):
        assert said in (outcome.reason or "")


@pytest.mark.django_db(transaction=True)
def test_what_has_one_meaning_only_is_repaired_and_counted(tmp_path: Path) -> None:
    sloppy = row(
        ChargeFrequency="Usage-based",
        RegionId="NULL",
        ConsumedQuantity="NULL",
        ChargePeriodStart="2026-09-02 00:00:00",
        PricingCategory="Spot",
    )

    outcome = deliver(tmp_path, text(row(), sloppy))

    assert outcome.repairs == {
        "letter_case": 1,
        "null_text": 2,
        "time_without_zone": 1,
        "value_not_in_focus_list": 1,
    }
    stored = ChargeDimension.objects.get(pricing_category="Spot")
    assert (stored.charge_frequency, stored.region_id) == ("Usage-Based", None)


@pytest.mark.django_db(transaction=True)
def test_equal_descriptions_share_one_dimension_however_they_are_written(tmp_path: Path) -> None:
    deliver(tmp_path, text(row(), row(RegionId="NULL"), row(ChargePeriodEnd="2026-09-02 02:00:00")))

    assert ChargeDimension.objects.count() == 1


NUMBERS = st.one_of(
    st.decimals(
        min_value=-(10**14), max_value=10**14, places=30, allow_nan=False, allow_infinity=False
    ),
    st.decimals(min_value=-1, max_value=1, places=11, allow_nan=False, allow_infinity=False),
    st.integers(min_value=-(10**14), max_value=10**14).map(Decimal),
).map(str)
LINES = st.lists(
    st.fixed_dictionaries(
        {
            "BilledCost": NUMBERS.filter(lambda number: "E+" not in number),
            "EffectiveCost": NUMBERS.filter(lambda number: "E+" not in number),
            "BillingCurrency": st.sampled_from(["USD", "EUR", "JPY"]),
            "BillingAccountId": st.sampled_from(["a", "b"]),
            "ResourceName": st.text(alphabet='a"\n,\r;é\t', max_size=6),
        }
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=LINES)
def test_the_database_holds_the_exact_sums_of_the_file(lines: list[dict[str, str]]) -> None:
    content = text(*(row(**line) for line in lines), quote_all=True)
    expected: dict[str, tuple[int, Decimal, Decimal]] = {}
    for line in csv.DictReader(io.StringIO(content, newline="")):
        count, billed, effective = expected.get(
            line["BillingCurrency"], (0, Decimal(0), Decimal(0))
        )
        expected[line["BillingCurrency"]] = (
            count + 1,
            EXACT.add(billed, Decimal(line["BilledCost"])),
            EXACT.add(effective, Decimal(line["EffectiveCost"])),
        )

    with tempfile.TemporaryDirectory() as folder:
        outcome = deliver(Path(folder), content)

    found = published()
    ChargeScope.objects.update(state="superseded")  # for the next example
    assert outcome.status == "loaded", outcome
    assert found == expected
