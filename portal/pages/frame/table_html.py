"""The head and lines of a table as HTML. Built as text, since a page has a thousand cells; every
value passes `escape`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from html import escape

from portal.documents import meanings
from portal.pages.frame.tables import Cell, Column, Head, Table
from reports import readable

NAME_LENGTH = 28


ARROWS = {"ascending": "\u00a0↑", "descending": "\u00a0↓"}


def head_html(table: Table) -> str:
    return "".join(_head(head, table.name) for head in table.heads)


def _head(head: Head, name: str) -> str:
    """A link sorts the table in its place and changes the address, so that it can be shared."""
    column, order = head.column, f' aria-sort="{head.order}"' if head.order else ""
    label = escape(column.label)
    if head.href:
        href = escape(head.href)
        label = (
            f'<a href="{href}" hx-get="{href}" hx-target="#{name}" hx-select="#{name}"'
            f' hx-swap="outerHTML" hx-push-url="true">{label}{ARROWS.get(head.order, "")}</a>'
        )
    names = f' class="{column.head_class}"' if column.head_class else ""
    meaning = meanings().get(column.label.partition(", ")[0])
    title = f' title="{escape(meaning.formula)}"' if meaning else ""
    return f'<th scope="col"{names}{order}{title}>{label}</th>'


def body_html(table: Table) -> str:
    return "\n".join(_row(cells, labelled=table.is_labelled) for cells in table.body)


def row_html(
    cells: Sequence[tuple[Column, Cell]], *, marked: str = "", labelled: bool = False
) -> str:
    return _row(cells, f' class="{marked}"' if marked else "", labelled=labelled)


def _row(cells: Sequence[tuple[Column, Cell]], marked: str = "", *, labelled: bool) -> str:
    first, *rest = cells
    head = f'<th scope="row"{_classes(first[0], first[1].heat)}>{_content(*first)}</th>'
    return (
        f"<tr{marked}>{head}{''.join(_data(column, cell, labelled) for column, cell in rest)}</tr>"
    )


def _data(column: Column, cell: Cell, labelled: bool) -> str:
    if column.kind == "spark":
        return f'<td class="spark-cell">{_spark(cell.points)}</td>'
    return f"{_opening(column, cell.heat, labelled)}{_content(column, cell)}</td>"


@lru_cache(maxsize=1024)
def _opening(column: Column, heat: int, labelled: bool) -> str:
    """The same for all cells of a column, and asked for a thousand times on a page."""
    label = f' data-label="{escape(column.label)}"' if labelled else ""
    return f"<td{_classes(column, heat)}{label}>"


def _classes(column: Column, heat: int) -> str:
    if column.kind == "words":
        return ' class="words"'
    hot = f"heat-{heat}" if column.is_number and heat else ""
    names = " ".join(filter(None, (column.head_class, hot)))
    return f' class="{names}"' if names else ""


def _content(column: Column, cell: Cell) -> str:
    swatch = f'<span class="swatch shade-{escape(cell.shade)}"></span>' if cell.shade else ""
    note = f' <span class="sub">{escape(cell.note)}</span>' if cell.note else ""
    shown = _change(column, cell) if column.kind == "change" else _value(column, cell)
    if not cell.href:
        return f"{swatch}{shown}{note}"
    href = escape(cell.href)
    beside = f' hx-get="{href}" hx-target="#explain"' if cell.explain else ""
    return f'{swatch}<a href="{href}"{beside}>{shown}</a>{note}'


def _change(column: Column, cell: Cell) -> str:
    return change_html(_decimal(cell.value), cell.before, _places(column, cell))


def _value(column: Column, cell: Cell) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return escape(value) if column.kind == "words" else name_html(value)
    return number_html(column.kind, value, _places(column, cell))


def _places(column: Column, cell: Cell) -> int:
    return column.places if cell.places is None else cell.places


def number_html(kind: str, value: Decimal | int, places: int) -> str:
    """Rounded for reading, exact on hover. `places` are those of the money's currency."""
    number = Decimal(value)
    match kind:
        case "money":
            shown = readable.money(number, places)
        case "whole":
            shown = readable.money(number, 0)
        case "unit":
            shown = readable.unit_cost(number)
        case "percent":
            shown = readable.percent(number)
        case _:
            shown = readable.count(number)
    return f'<span class="n" title="{readable.exact(number)}">{escape(shown)}</span>'


def name_html(text: str) -> str:
    """A name, cut in the middle where long, whole on hover."""
    shown = readable.middle_cut(text, NAME_LENGTH)
    return escape(text) if shown == text else f'<span title="{escape(text)}">{escape(shown)}</span>'


def change_html(now: Decimal | None, before: Decimal | None, places: int = 2) -> str:
    moved = readable.change(now, before, places)
    exact = readable.exact(moved.amount) or moved.word
    kind = moved.word.replace(" ", "-")
    return f'<span class="change change-{kind}" title="{exact}">{escape(str(moved))}</span>'


def _spark(points: str) -> str:
    if not points:
        return ""
    return (
        '<svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">'
        f'<line x1="0" y1="19.500" x2="100" y2="19.500"/><polyline points="{points}"/></svg>'
    )


def _decimal(value: str | int | Decimal | None) -> Decimal | None:
    return None if value is None or isinstance(value, str) else Decimal(value)
