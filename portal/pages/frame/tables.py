"""Tables of figures: sorted by the address, cut to their largest rows, downloaded as shown."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple

from django.http import HttpRequest, HttpResponse

from allocation.values.money import exact_sum
from reports.readable import change, exact, safe_text

# "whole" is money without decimals, "unit" small money with significant digits, "change" an amount
# against `before`; "words" are whole sentences, which "text" would cut.
Kind = Literal["text", "words", "money", "whole", "unit", "count", "percent", "change", "spark"]
NUMBERS: frozenset[str] = frozenset({"money", "whole", "unit", "count", "percent", "change"})


@dataclass(frozen=True)
class Column:
    key: str
    label: str
    kind: Kind = "text"
    places: int = 2  # of money and its changes: those of the currency
    is_key: bool = False  # on a phone, of a table in `lines`: stands beside the name
    if_any: bool = False  # left out of a table none of whose rows has a value in it

    @property
    def is_number(self) -> bool:
        return self.kind in NUMBERS

    @cached_property
    def head_class(self) -> str:
        return " ".join(
            name for name, holds in (("num", self.is_number), ("key", self.is_key)) if holds
        )


class Cell(NamedTuple):
    """One value; a page has a thousand, so it is a tuple, which is made in a fifth of the time of a
    frozen dataclass. A change keeps what it is compared with in `before`; a spark has points
    instead of a value.
    """

    value: str | int | Decimal | None = None
    before: Decimal | None = None
    href: str = ""
    explain: bool = False  # the link opens beside the page
    shade: str = ""
    note: str = ""
    points: str = ""
    heat: int = 0
    places: int | None = None  # of money in another currency than the column's

    def moved(self) -> Decimal | None:
        """The difference of a change."""
        return change(_number(self.value), self.before).amount


Row = dict[str, Cell]


@dataclass(frozen=True)
class Head:
    """Of a column: where a click sorts by it, "" where it can't, and the order it stands in now."""

    column: Column
    href: str
    order: str  # ascending, descending or ""


@dataclass(frozen=True)
class Table:
    """`total` is the sum the page states, given by the page and not added up from the rows that
    happen to show.

    Rows beyond `limit` are added up in one line, so that the visible lines still make the total.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    total: Row | None = None
    limit: int = 0
    sort: str = ""
    hidden: int = 0
    rest: Row | None = None
    address: str = ""  # of this page with its parameters, ending where a table parameter can follow
    empty: str = "Nothing in this view."
    sortable: bool = True
    # On a phone: each row a card of labelled values, not a line that scrolls sideways; of cards
    # that hold figures, whose values stand at the right edge, one under the other; or each row two
    # lines, name and key value, below them the rest, small.
    cards: bool = False
    sums: bool = False
    lines: bool = False
    unlimited: bool = field(default=False)

    @property
    def form(self) -> str:
        """A class of the stylesheet: what becomes of the rows on a phone."""
        return (
            "cards sums" if self.sums else "cards" if self.cards else "lines" if self.lines else ""
        )

    @property
    def is_labelled(self) -> bool:
        """Each value bears its column's label, which a phone shows in place of the heads."""
        return bool(self.form)

    @property
    def body(self) -> list[list[tuple[Column, Cell]]]:
        return [self._cells(row) for row in self.rows]

    @property
    def rest_cells(self) -> list[tuple[Column, Cell]]:
        return self._cells(self.rest) if self.rest else []

    @property
    def total_cells(self) -> list[tuple[Column, Cell]]:
        return self._cells(self.total) if self.total else []

    @property
    def heads(self) -> list[Head]:
        return [self._head(column) for column in self.columns]

    def _head(self, column: Column) -> Head:
        up, down = column.key, f"-{column.key}"
        first = down if column.is_number else up
        turned = {up: down, down: up}.get(self.sort, first)
        href = f"{self.address}sort.{self.name}={turned}#{self.name}"
        return Head(
            column,
            href=href if self._can_sort(column) else "",
            order={up: "ascending", down: "descending"}.get(self.sort, ""),
        )

    @property
    def download_address(self) -> str:
        sort = f"sort.{self.name}={self.sort}&" if self.sort else ""
        every = f"all.{self.name}=1&" if self.unlimited else ""
        return f"{self.address}{sort}{every}download={self.name}"

    @property
    def all_address(self) -> str:
        return f"{self.address}all.{self.name}=1#{self.name}"

    def _can_sort(self, column: Column) -> bool:
        return self.sortable and column.kind != "spark" and len(self.rows) > 1

    def _cells(self, row: Row) -> list[tuple[Column, Cell]]:
        return [(column, row.get(column.key, Cell())) for column in self.columns]


def arranged(table: Table, request: HttpRequest) -> Table:
    """The table as the address asks: sorted, cut to its limit, with links that keep every other
    parameter.
    """
    parameters = request.GET.copy()
    wish = parameters.get(f"sort.{table.name}", table.sort)
    show_all = bool(parameters.get(f"all.{table.name}"))
    for own in (f"sort.{table.name}", f"all.{table.name}", "download"):
        parameters.pop(own, None)
    query = parameters.urlencode()
    address = f"{request.path}?{query}&" if query else f"{request.path}?"
    table = replace(
        table, columns=[column for column in table.columns if _is_used(column, table.rows)]
    )
    keys = {column.key for column in table.columns if column.kind != "spark"}
    rows = list(table.rows)
    if wish.removeprefix("-") not in keys or not table.sortable:
        wish = table.sort
    if wish:
        kind = next(column.kind for column in table.columns if column.key == wish.removeprefix("-"))
        rows = _sorted(rows, wish, kind)
    cut = len(rows) if show_all or not table.limit or len(rows) <= table.limit + 1 else table.limit
    hidden = rows[cut:]
    return replace(
        table,
        rows=rows[:cut],
        hidden=len(hidden),
        rest=_sum(table, hidden) if hidden else None,
        sort=wish,
        address=address,
        unlimited=show_all,
    )


def _is_used(column: Column, rows: Sequence[Row]) -> bool:
    return not column.if_any or any(
        row.get(column.key, Cell()).value not in (None, "") for row in rows
    )


def csv_response(table: Table, *, file_name: str) -> HttpResponse:
    """Exactly the lines shown, with exact numbers; text that a spreadsheet would run gets a leading
    apostrophe.
    """
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{file_name}-{table.name}.csv"'
    writer = csv.writer(response, lineterminator="\r\n")
    columns = [column for column in table.columns if column.kind != "spark"]
    writer.writerow([safe_text(column.label) for column in columns])
    for row in [
        *table.rows,
        *([table.rest] if table.rest else []),
        *([table.total] if table.total else []),
    ]:
        writer.writerow([_csv_value(column, row.get(column.key, Cell())) for column in columns])
    return response


def asked_download(
    request: HttpRequest, tables: Iterable[Table], *, file_name: str
) -> HttpResponse | None:
    """The CSV of the table named by `?download=`, or None where the page itself is wanted."""
    wanted = request.GET.get("download")
    for table in tables:
        if table.name == wanted:
            return csv_response(table, file_name=file_name)
    return None


def _csv_value(column: Column, cell: Cell) -> str:
    value = cell.moved() if column.kind == "change" else cell.value
    if isinstance(value, Decimal | int):
        return exact(value)
    return safe_text(value or "")


def _sorted(rows: list[Row], wish: str, kind: Kind) -> list[Row]:
    """Unknown values stand last in either direction."""
    key = wish.removeprefix("-")

    def value_of(row: Row) -> Any:
        cell = row.get(key, Cell())
        return cell.moved() if kind == "change" else cell.value

    known = [row for row in rows if value_of(row) is not None]
    unknown = [row for row in rows if value_of(row) is None]
    fold = (lambda row: str(value_of(row)).casefold()) if kind == "text" else value_of
    return [*sorted(known, key=fold, reverse=wish.startswith("-")), *unknown]


def _sum(table: Table, rows: list[Row]) -> Row:
    """One line for the rows that are not shown: amounts and counts add up, ratios are left out."""
    total: Row = {table.columns[0].key: Cell(value=f"{len(rows)} more")}
    for column in table.columns[1:]:
        cells = [row.get(column.key, Cell()) for row in rows]
        if column.kind in ("money", "whole", "count"):
            total[column.key] = Cell(
                value=exact_sum(_number(cell.value) or Decimal(0) for cell in cells)
            )
        elif column.kind == "change" and (cells := [cell for cell in cells if _is_known(cell)]):
            now = exact_sum(_number(cell.value) or Decimal(0) for cell in cells)
            before = exact_sum(cell.before or Decimal(0) for cell in cells)
            total[column.key] = Cell(value=now, before=before)
    return total


def _is_known(change: Cell) -> bool:
    return change.before is not None


def _number(value: str | int | Decimal | None) -> Decimal | None:
    return None if value is None or isinstance(value, str) else Decimal(value)
