"""The detail files of a month, read back as their readers do: the ledger's figures to the last
digit, and every text as it was.
"""

from __future__ import annotations

import csv
import io
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from allocation.models import (
    BusinessUnit,
    CostCenter,
    CostCenterPlacement,
    LegalEntity,
    Team,
    TeamPlacement,
)
from allocation.values.money import exact_sum
from reports.asking import TeamScope
from reports.exports.csv.chargeback import chargeback_csv
from reports.exports.detail import AMOUNTS, COLUMNS, CONTROL_TOTAL
from reports.exports.xlsx import workbook
from reports.exports.xlsx.workbook import chargeback_xlsx
from tests.allocation.bills import AWS, OCTOBER, OPENAI, Bill, allocate, usage, utc

openpyxl: Any = pytest.importorskip("openpyxl")
unescape = pytest.importorskip("openpyxl.utils.escape").unescape
pytestmark = pytest.mark.django_db
D = Decimal
EVERYTHING = TeamScope.everything()
LONG = D("4798.593020574123456789")
HOSTILE = (
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =HYPERLINK(1)", "\u3000＝1", "＝1",
    "<r><t>bold</t></r>", "<r>&</r>", "_x0041_", "it's <b>&amp;", "http://x.example", "0012", "1e5",
    "{=A1}", "\ufffe", "\x07",
)  # fmt: skip


def a_month() -> None:
    """Two centres, one of which changes hands; unowned, outside AI, and more digits than a double
    has.
    """
    acme, other = (
        LegalEntity.objects.create(slug=slug, name=slug.title()) for slug in ("acme", "other")
    )
    unit = BusinessUnit.objects.create(slug="core", name="Core, Inc.", legal_entity=acme)
    for slug in ("search", "ads"):
        team = Team.objects.create(slug=slug, name=f"Team {slug}")
        center = CostCenter.objects.create(
            code=f"CC-{slug}", name=f"Centre of {slug}", legal_entity=acme
        )
        TeamPlacement.objects.create(
            team=team, business_unit=unit, cost_center=center, valid_from=utc(1).date()
        )
    CostCenterPlacement.objects.create(
        cost_center=center, legal_entity=other, mode="chargeback", valid_from=utc(20).date()
    )
    bill = Bill()
    bill.charge("10.01", "9", quantity="100", **(OPENAI | {"sku_meter": "gpt-4o, input"}))
    bill.charge(str(LONG), tags={"team": "ads"}, **AWS)
    bill.charge("-0.000000000000000000000000000001", tags={"team": "search"}, **AWS)
    bill.charge("3", **AWS)
    bill.charge("40", **(AWS | {"service_name": "Amazon CloudFront"}))
    bill.charge("5.5", currency="EUR", tags={"team": "ads"}, **AWS)
    usage("search", "chat", input_uncached=70)
    allocate()


def csv_text() -> str:
    return b"".join(chargeback_csv(period=OCTOBER, scope=EVERYTHING)).decode()


def csv_rows() -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(), newline="")))


def xlsx(scope: TeamScope = EVERYTHING) -> bytes:
    return b"".join(chargeback_xlsx(period=OCTOBER, scope=scope))


def sheet(content: bytes, name: str) -> list[dict[str, Any]]:
    rows = openpyxl.load_workbook(io.BytesIO(content))[name].iter_rows()
    heads = [cell.value for cell in next(rows)]
    return [dict(zip(heads, map(value_of, row), strict=True)) for row in rows]


def value_of(cell: Any) -> Any:
    """Workbooks write control characters as `_x0007_`, which Excel reads and openpyxl leaves."""
    return unescape(cell.value) if isinstance(cell.value, str) else cell.value


def amount(row: dict[str, Any], name: str) -> Decimal:
    """The exact text, or the number that needs none."""
    exact = row[f"{name}_exact"]
    return D(exact) if exact else D(repr(row[name]))


def test_the_workbook_has_the_lines_of_the_csv_to_the_last_digit() -> None:
    a_month()

    lines = [row for row in csv_rows() if row["period"] != CONTROL_TOTAL]
    read = sheet(xlsx(), "Lines")

    assert len(lines) == len(read) > 5
    for there, here in zip(lines, read, strict=True):
        for column in COLUMNS:
            if column in AMOUNTS and there[column]:
                assert isinstance(here[column], int | float)
                assert amount(here, column) == D(there[column])
            elif column == "rule_set":
                assert here[column] == int(there[column])
            else:
                assert (here[column] or "") == there[column]
    (long,) = [row for row in read if row["billed_cost_exact"] == str(LONG)]
    assert long["billed_cost"] == float(LONG)


def test_totals_and_cost_centres_stand_on_sheets_of_their_own() -> None:
    a_month()
    content = xlsx()
    totals, centers = sheet(content, "Totals"), sheet(content, "Cost centres")

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT currency, sum(billed_cost), sum(effective_cost),"
            " sum(billed_cost) FILTER (WHERE ai_scope = 'other')"
            " FROM cost_daily GROUP BY 1 ORDER BY 1"
        )
        ledger = cursor.fetchall()
    assert [
        (
            row["billing_currency"],
            amount(row, "billed_cost"),
            amount(row, "effective_cost"),
            amount(row, "outside_ai_billed_cost") or None,
        )
        for row in totals
    ] == ledger
    for currency, billed, effective, _ in ledger:
        own = [row for row in centers if row["billing_currency"] == currency]
        assert exact_sum(amount(row, "billed_cost") for row in own) == billed
        assert exact_sum(amount(row, "effective_cost") for row in own) == effective
    assert {
        (row["cost_center"], row["mode"], row["legal_entity"], amount(row, "billed_cost"))
        for row in centers
        if row["billing_currency"] == "USD"
    } == {
        ("CC-search", "showback", "Acme", D("7.006999999999999999999999999999")),
        ("CC-ads", "chargeback", "Other", LONG),
        ("no owner", None, None, D("3.003")),
        ("outside AI", None, None, D(43)),
    }


def test_a_line_names_centre_mode_entity_unit_method_and_run() -> None:
    a_month()

    (line,) = [
        row for row in csv_rows() if row["team"] == "ads" and row["billing_currency"] == "USD"
    ]

    assert (line["cost_center_name"], line["mode"], line["legal_entity"]) == (
        "Centre of ads",
        "chargeback",
        "Other",
    )
    assert (line["business_unit"], line["team_name"], line["method"]) == (
        "Core, Inc.",
        "Team ads",
        "direct",
    )
    assert len(line["run"]) == 12
    assert len(line["line_id"]) == 32
    assert line["rule_set"].isdigit()
    ids = [row["line_id"] for row in csv_rows() if row["line_id"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("text", HOSTILE)
def test_fault_110_every_text_cell_of_the_workbook_is_text(text: str) -> None:
    bill = Bill(text)
    tagged = dict.fromkeys(("feature", "product", "environment", "phase"), text)
    named = AWS | {"service_name": text, "provider_name": text}
    bill.charge("-7.5", tags={"team": "search", **tagged}, **named)
    entity = LegalEntity.objects.create(slug="acme", name=text)
    unit = BusinessUnit.objects.create(slug="core", name=text, legal_entity=entity)
    center = CostCenter.objects.create(code=text, name=text, legal_entity=entity)
    team = Team.objects.create(slug="search", name=text)
    TeamPlacement.objects.create(
        team=team, business_unit=unit, cost_center=center, valid_from=utc(1).date()
    )
    allocate()

    content = xlsx()
    book = openpyxl.load_workbook(io.BytesIO(content))

    kinds = {cell.data_type for page in book for row in page.iter_rows() for cell in row}
    assert kinds <= {"n", "s", "inlineStr"}
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        for name in parts.namelist():
            assert b"<f>" not in parts.read(name)
            assert b"hyperlink" not in parts.read(name)
    (line,) = sheet(content, "Lines")
    for column in (
        "cost_center", "cost_center_name", "legal_entity", "business_unit", "team_name", "source",
        "provider_name", "service_name",
    ):  # fmt: skip
        assert line[column] == text, column
    assert line["billed_cost"] == -7.5
    assert sheet(content, "Cost centres")[0]["cost_center"] == text


@pytest.mark.parametrize("text", [one for one in HOSTILE if one.strip()[:1] in "=+-@＝"])
def test_fault_110_names_that_the_csv_adds_cannot_become_formulas(text: str) -> None:
    entity = LegalEntity.objects.create(slug="acme", name=text)
    unit = BusinessUnit.objects.create(slug="core", name=text, legal_entity=entity)
    center = CostCenter.objects.create(code=text, name=text, legal_entity=entity)
    team = Team.objects.create(slug="search", name=text)
    TeamPlacement.objects.create(
        team=team, business_unit=unit, cost_center=center, valid_from=utc(1).date()
    )
    Bill().charge("1", tags={"team": "search"}, **AWS)
    allocate()

    line = csv_rows()[0]

    for column in ("cost_center", "cost_center_name", "legal_entity", "business_unit", "team_name"):
        assert line[column] == f"'{text}", column


def test_a_lead_gets_the_lines_of_their_team_only() -> None:
    a_month()

    content = xlsx(TeamScope(frozenset({"ads"})))

    assert {row["team"] for row in sheet(content, "Lines")} == {"ads"}
    assert {row["cost_center"] for row in sheet(content, "Cost centres")} == {"CC-ads"}
    assert [amount(row, "billed_cost") for row in sheet(content, "Totals")] == [D("5.5"), LONG]


def test_more_lines_than_a_sheet_has_go_on_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    a_month()
    whole = sheet(xlsx(), "Lines")
    monkeypatch.setattr(workbook, "SHEET_LINES", 3)

    content = xlsx()

    parts = [
        name
        for name in openpyxl.load_workbook(io.BytesIO(content)).sheetnames
        if name.startswith("Lines")
    ]
    assert parts[:2] == ["Lines", "Lines 2"]
    assert [row for name in parts for row in sheet(content, name)] == whole


def test_fault_078_the_same_ledger_gives_the_same_workbook() -> None:
    a_month()

    assert xlsx() == xlsx()


# ---------------------------------------------------------------- other readers


def ledger_sums() -> dict[str, Decimal]:
    return {
        row["billing_currency"]: D(row["billed_cost"])
        for row in csv_rows()
        if row["period"] == CONTROL_TOTAL
    }


def test_pandas_reads_both_files() -> None:
    pandas: Any = pytest.importorskip("pandas")
    a_month()

    book = pandas.read_excel(io.BytesIO(xlsx()), sheet_name="Lines", keep_default_na=False)
    text = pandas.read_csv(io.StringIO(csv_text()), dtype=str, keep_default_na=False)
    text = text[text.period != CONTROL_TOTAL]

    assert list(text.columns) == list(COLUMNS) == list(book.columns[: len(COLUMNS)])
    assert book.billed_cost.dtype == "float64"
    for currency, total in ledger_sums().items():
        lines = text[text.billing_currency == currency]
        assert exact_sum(map(D, lines.billed_cost)) == total
        found = book[book.billing_currency == currency].billed_cost.sum()
        assert found == pytest.approx(float(total), rel=1e-12)


def test_polars_reads_both_files() -> None:
    polars: Any = pytest.importorskip("polars")
    a_month()

    book = polars.read_excel(io.BytesIO(xlsx()), sheet_name="Lines", engine="openpyxl")
    text = polars.read_csv(csv_text().encode(), infer_schema=False)
    text = text.filter(polars.col("period") != CONTROL_TOTAL)

    assert book.schema["effective_cost"].is_numeric()
    assert text.columns == list(COLUMNS)
    for currency, total in ledger_sums().items():
        lines = text.filter(polars.col("billing_currency") == currency)
        assert exact_sum(map(D, lines["billed_cost"])) == total


def test_duckdb_reads_the_csv(tmp_path: Path) -> None:
    duckdb: Any = pytest.importorskip("duckdb")
    a_month()
    path = tmp_path / "chargeback.csv"
    path.write_text(csv_text())

    found = duckdb.execute(
        "SELECT billing_currency, sum(billed_cost::DECIMAL(38, 30))"
        " FROM read_csv(?, all_varchar=true)"
        " WHERE period <> 'CONTROL TOTAL' AND abs(billed_cost::DOUBLE) < 1000"
        " GROUP BY 1 ORDER BY 1",
        [str(path)],
    ).fetchall()

    sums = ledger_sums()
    assert found == [("EUR", sums["EUR"]), ("USD", exact_sum([sums["USD"], -LONG]))]
