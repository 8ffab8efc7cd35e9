"""The chargeback CSV: equal to the ledger for every reader, harmless in a spreadsheet, in the same
bytes each time.
"""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from django.db import connection

from allocation.models import BusinessUnit, CostCenter, LegalEntity, Team, TeamPlacement
from allocation.values.money import exact_sum
from reports.asking import TeamScope
from reports.exports.csv.chargeback import chargeback_csv
from reports.exports.detail import COLUMNS, KEYS
from reports.exports.format import NotAllocated
from tests.allocation.bills import AWS, OCTOBER, OPENAI, Bill, allocate, usage, utc

pytestmark = pytest.mark.django_db
D = Decimal
EVERYTHING = TeamScope.everything()


def exported(scope: TeamScope = EVERYTHING) -> bytes:
    return b"".join(chargeback_csv(period=OCTOBER, scope=scope))


def parsed(content: bytes) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Lines and control totals."""
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    return [r for r in rows if r["period"] != "CONTROL TOTAL"], [
        r for r in rows if r["period"] == "CONTROL TOTAL"
    ]


def a_month() -> None:
    Team.objects.bulk_create([Team(slug=slug, name=slug) for slug in ("search", "ads")])
    bill = Bill()
    gpt = OPENAI | {"sku_meter": "gpt-4o-2024-08-06, input"}
    bill.charge("10.01", "9", quantity="100", listed="12", **gpt)
    bill.charge("5", currency="EUR", quantity="100", **gpt)
    bill.charge("-2.5", category="Credit", provider_name="OpenAI", at=utc(6))
    bill.charge("0.000000000000000000000000000001", tags={"team": "ads"}, **AWS)
    bill.charge("3", **AWS)
    usage("search", "chat", input_uncached=70)
    usage("ads", "banner", input_uncached=20)
    allocate()


def test_columns_lines_and_control_totals() -> None:
    a_month()

    content = exported()
    lines, totals = parsed(content)

    assert content.split(b"\n", 1)[0].decode() == ",".join(COLUMNS)
    assert b"\r" not in content
    assert [
        (row["billing_currency"], D(row["billed_cost"]), D(row["effective_cost"])) for row in totals
    ] == [
        ("EUR", D(5), D(5)),
        ("USD", D("10.510000000000000000000000000001"), D("9.500000000000000000000000000001")),
    ]
    assert all(
        not row[key] for row in totals for key in KEYS if key not in ("period", "billing_currency")
    )
    assert {row["period"] for row in lines} == {"2026-10"}
    assert len({tuple(row[key] for key in KEYS) for row in lines}) == len(lines)
    chat = next(
        row for row in lines if row["feature"] == "chat" and row["billing_currency"] == "EUR"
    )
    assert (chat["charge_kind"], chat["rule"], chat["source"], chat["evidence"]) == (
        "shared",
        "OpenAI model calls",
        "openai",
        "traces",
    )


def test_fault_074_the_file_equals_the_ledger_and_its_parts_equal_the_whole() -> None:
    a_month()

    lines, _ = parsed(exported())
    for scope, condition in (
        (EVERYTHING, "true"),
        (TeamScope(frozenset({"search"})), "team = 'search'"),
        (TeamScope(frozenset({"ads", "search"})), "team IS NOT NULL"),
        (TeamScope(frozenset()), "false"),
    ):
        seen, totals = parsed(exported(scope))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT currency, sum(billed_cost), sum(effective_cost) FROM cost_daily"
                f" WHERE {condition} GROUP BY 1 ORDER BY 1"
            )
            ledger = cursor.fetchall()
        assert [
            (t["billing_currency"], D(t["billed_cost"]), D(t["effective_cost"])) for t in totals
        ] == ledger
        for metric, column in (("billed_cost", 1), ("effective_cost", 2)):
            for row in ledger:
                parts = [D(line[metric]) for line in seen if line["billing_currency"] == row[0]]
                assert exact_sum(parts) == row[column]
    unallocated = [line for line in lines if line["charge_kind"] == "unallocated"]
    assert sum(
        D(line["billed_cost"]) for line in unallocated if line["billing_currency"] == "USD"
    ) == D(3)


def test_fault_084_numbers_have_no_exponent_and_no_rounding() -> None:
    a_month()

    assert b"0.000000000000000000000000000001" in exported()
    assert b"E-" not in exported()


def test_a_line_carries_the_cost_centre_of_the_charge_day() -> None:
    Team.objects.create(slug="search", name="Search")
    entity = LegalEntity.objects.create(slug="acme", name="Acme")
    unit = BusinessUnit.objects.create(slug="core", name="Core", legal_entity=entity)
    for code, day in (("CC-1", 1), ("CC-2", 6)):
        center = CostCenter.objects.create(code=code, name=code, legal_entity=entity)
        TeamPlacement.objects.create(
            team=Team.objects.get(),
            business_unit=unit,
            cost_center=center,
            valid_from=utc(day).date(),
        )
    bill = Bill("aws")
    for day, cost in ((5, "1"), (6, "2"), (7, "4")):
        bill.charge(cost, at=utc(day), tags={"team": "search"}, **AWS)
    allocate()

    lines, _ = parsed(exported())

    assert [(line["cost_center"], D(line["billed_cost"])) for line in lines] == [
        ("CC-1", D(1)),
        ("CC-2", D(6)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =HYPERLINK(1)",
        "\u00a0=1",
        "\u3000＝1",
        "＝1",
        "＋1",
        "－1",
        "＠1",
        "=cmd|' /C calc'!A0\",\"",
    ],
)
def test_fault_110_no_text_cell_can_become_a_formula(text: str) -> None:
    bill = Bill(text)
    tagged = dict.fromkeys(("feature", "product", "environment", "phase"), text)
    named = AWS | {"service_name": text, "provider_name": text}
    bill.charge("-7.5", tags={"team": "search", **tagged}, **named)
    allocate()

    (line,), _ = parsed(exported())

    for column in ("product", "environment", "phase", "service_name", "provider_name", "source"):
        assert line[column].startswith("'"), column
        assert line[column].removeprefix("'").strip() == text.strip()
    assert line["feature"].startswith("'")
    assert line["billed_cost"] == "-7.5"
    assert line["team"] == "search"


def test_harmless_text_is_left_as_it_is() -> None:
    Bill("it's = fine").charge("1", tags={"team": "search", "feature": 'a-b, "c"'}, **AWS)
    allocate()

    (line,), _ = parsed(exported())

    assert (line["source"], line["feature"]) == ("it's = fine", 'a-b, "c"')


def test_fault_078_the_same_ledger_gives_the_same_file() -> None:
    a_month()
    first = exported()
    allocate(reuse=False)

    assert exported() == first


def test_a_month_without_a_run_is_refused_before_the_first_byte() -> None:
    with pytest.raises(NotAllocated, match="2026-10"):
        chargeback_csv(period=OCTOBER, scope=EVERYTHING)
