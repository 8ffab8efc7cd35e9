from __future__ import annotations

from decimal import Decimal

from django.test import RequestFactory

from portal.pages.frame.table_html import body_html
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download

COLUMNS = [
    Column("name", "Name"),
    Column("cost", "Cost, USD", "money"),
    Column("change", "Change", "change"),
]


def row(name: str, cost: str | None, before: str | None = None) -> Row:
    amount = None if cost is None else Decimal(cost)
    compared = None if before is None else Decimal(before)
    return {
        "name": Cell(value=name),
        "cost": Cell(value=amount),
        "change": Cell(value=amount, before=compared),
    }


def table(query: str = "", *, rows: list[Row] | None = None, limit: int = 0) -> Table:
    made = (
        rows
        if rows is not None
        else [row("b", "2", "1"), row("A", "30", "29.5"), row("c", None), row("d", "4", "9")]
    )
    total = {"name": Cell(value="Total"), "cost": Cell(value=Decimal(36))}
    plain = Table("costs", "Costs", COLUMNS, made, total=total, limit=limit, sort="-cost")
    return arranged(plain, RequestFactory().get(f"/page/{query}"))


def names(made: Table) -> list[object]:
    return [line["name"].value for line in made.rows]


def test_sorts_by_the_address_with_unknown_last_either_way() -> None:
    assert names(table()) == ["A", "d", "b", "c"]
    assert names(table("?sort.costs=cost")) == ["b", "d", "A", "c"]
    assert names(table("?sort.costs=name")) == ["A", "b", "c", "d"]
    assert names(table("?sort.costs=-change")) == ["b", "A", "d", "c"]
    assert names(table("?sort.costs=nonsense")) == ["A", "d", "b", "c"]


def test_sort_links_keep_the_view_and_turn_round() -> None:
    heads = table("?period=2026-10&sort.costs=-cost").heads

    assert heads[1].href == "/page/?period=2026-10&sort.costs=cost#costs"
    assert heads[1].order == "descending"
    assert heads[0].href == "/page/?period=2026-10&sort.costs=name#costs"


def test_rows_beyond_the_limit_stand_in_one_line() -> None:
    many = [row(f"row {number}", str(100 - number), "1") for number in range(10)]
    cut = table(rows=many, limit=4)

    assert len(cut.rows) == 4
    assert cut.rest is not None
    assert (cut.rest["name"].value, cut.rest["cost"].value) == (
        "6 more",
        Decimal(96 + 95 + 94 + 93 + 92 + 91),
    )
    assert len(table("?all.costs=1", rows=many, limit=4).rows) == 10


def test_a_column_that_nothing_stands_in_is_left_out_where_it_may_be() -> None:
    columns = [
        Column("name", "Name"),
        Column("next", "Next", if_any=True),
        Column("empty", "Empty"),
    ]

    def shown(*values: str) -> list[str]:
        rows: list[Row] = [{"name": Cell("a"), "next": Cell(value)} for value in values]
        made = arranged(
            Table("moves", "Moves", columns, rows, sort="name"),
            RequestFactory().get("/?sort.moves=next"),
        )
        assert made.sort == ("next" if any(values) else "name")
        return [column.key for column in made.columns]

    assert shown("", "soon") == ["name", "next", "empty"]
    assert shown("", "") == ["name", "empty"]


def test_csv_holds_the_lines_shown_with_exact_numbers() -> None:
    made = table(
        "?sort.costs=name", rows=[row("@cmd", "1.10"), row("plain", "0.000000000000000001", "1")]
    )
    response = asked_download(
        RequestFactory().get("/page/?download=costs"), [made], file_name="page"
    )

    assert response is not None
    assert response.content.decode().split("\r\n") == [
        'Name,"Cost, USD",Change',
        "'@cmd,1.1,",
        "plain,0.000000000000000001,-0.999999999999999999",
        "Total,36,",
        "",
    ]
    assert asked_download(RequestFactory().get("/page/"), [made], file_name="page") is None


def test_no_value_becomes_markup() -> None:
    evil = '<script>"&'
    cell = Cell(value=evil, href=f"/x?{evil}", note=evil, shade=evil, explain=True)
    html = body_html(table(rows=[{"name": cell}, {"name": Cell(value=evil * 9)}]))

    assert "<script>" not in html
    assert 'href="/x?&lt;script&gt;&quot;&amp;"' in html


def test_rows_of_two_lines_label_what_leaves_its_head() -> None:
    columns = [
        Column("name", "Name"),
        Column("cost", "Cost", "money", is_key=True),
        Column("share", "Share", "percent"),
    ]
    cells: Row = {"name": Cell("a"), "cost": Cell(Decimal(2), heat=1), "share": Cell(Decimal(1))}
    made = Table("costs", "Costs", columns, [cells], lines=True)

    html = body_html(made)

    assert made.form == "lines"
    assert Table("costs", "Costs", columns, [cells], sums=True).form == "cards sums"
    assert '<td class="num key heat-1" data-label="Cost">' in html
    assert '<td class="num" data-label="Share">' in html
    assert "data-label" not in body_html(Table("costs", "Costs", columns, [cells]))
