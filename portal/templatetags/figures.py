"""How numbers, changes and names appear in templates. Rounding lives in reports.readable; nothing here calculates."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from portal.pages.frame import page_address
from portal.pages.tables import Cell, Column
from reports import readable

register = template.Library()


@register.simple_tag
def money(value: Decimal | None, places: int = 2) -> SafeString:
    """Rounded for reading, exact on hover."""
    return format_html(
        '<span class="n" title="{}">{}</span>', readable.exact(value) or "unknown", readable.money(value, places)
    )


@register.simple_tag
def unit_cost(value: Decimal | None) -> SafeString:
    return format_html(
        '<span class="n" title="{}">{}</span>', readable.exact(value) or "unknown", readable.unit_cost(value)
    )


@register.simple_tag
def count(value: Decimal | int | None) -> SafeString:
    return format_html(
        '<span class="n" title="{}">{}</span>', readable.exact(value) or "unknown", readable.count(value)
    )


@register.simple_tag
def percent(value: Decimal | None, places: int = 1) -> SafeString:
    """`value` is a fraction."""
    return format_html(
        '<span class="n" title="{}">{}</span>', readable.exact(value) or "unknown", readable.percent(value, places)
    )


@register.simple_tag
def change(now: Decimal | None, before: Decimal | None) -> SafeString:
    """ "up 1,234 (12.3%)", or "no comparison"; exact difference on hover."""
    moved = readable.change(now, before)
    return format_html(
        '<span class="change change-{}" title="{}">{}</span>',
        moved.word.replace(" ", "-"),
        readable.exact(moved.amount) or moved.word,
        str(moved),
    )


@register.simple_tag
def name(text: str | None, length: int = 28, unknown: str = "unknown") -> SafeString:
    """A name, cut in the middle where long, whole on hover."""
    if text is None:
        return format_html('<span class="unknown">{}</span>', unknown)
    shown = readable.middle_cut(str(text), length)
    if shown == text:
        return format_html("{}", text)
    return format_html('<span title="{}">{}</span>', text, shown)


@register.simple_tag
def explain_link(state: Any, **filters: str | None) -> str:
    """The Explain address for one amount of this view, or "" while that page has no address."""
    address = page_address("explain")
    chosen = {key: value for key, value in filters.items() if value is not None}
    return f"{address}?{urlencode({**state.parameters(), **chosen})}" if address else ""


@register.simple_tag
def state_query(state: Any, **changes: str | None) -> str:
    """The view's address parameters with changes; an empty string leaves one out."""
    return state.query_string(**{key: value or None for key, value in changes.items()})  # type: ignore[no-any-return]


@register.simple_tag
def table_cell(column: Column, cell: Cell, is_head: bool = False) -> SafeString:
    """One cell of a `portal.pages.tables.Table`; the first of a row is its header."""
    tag = "th" if is_head else "td"
    scope = mark_safe(' scope="row"') if is_head else ""
    if column.kind == "spark":
        return format_html('<td class="spark-cell">{}</td>', _spark(cell.points))
    classes = " ".join(filter(None, ["num" if column.is_number else "", f"heat-{cell.heat}" if cell.heat else ""]))
    marked = format_html(' class="{}"', classes) if classes else ""
    return format_html(
        "<{}{}{}>{}{}{}</{}>", tag, scope, marked, _swatch(cell), _linked(column, cell), _note(cell), tag
    )


def _swatch(cell: Cell) -> SafeString | str:
    return format_html('<span class="swatch shade-{}"></span>', cell.shade) if cell.shade else ""


def _note(cell: Cell) -> SafeString | str:
    return format_html(' <span class="sub">{}</span>', cell.note) if cell.note else ""


def _linked(column: Column, cell: Cell) -> SafeString | str:
    shown = _value(column, cell)
    if not cell.href:
        return shown
    if not cell.explain:
        return format_html('<a href="{}">{}</a>', cell.href, shown)
    return format_html('<a href="{}" hx-get="{}" hx-target="#explain">{}</a>', cell.href, cell.href, shown)


def _value(column: Column, cell: Cell) -> SafeString | str:
    value: Any = cell.value
    if column.kind == "change":
        return change(value, cell.before)
    if value is None:
        return ""
    if column.kind == "whole":
        return money(value, 0)
    shown = {"money": money, "unit": unit_cost, "count": count, "percent": percent}.get(column.kind)
    return shown(value) if shown else name(value)


def _spark(points: str) -> SafeString | str:
    if not points:
        return ""
    return format_html(
        '<svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">'
        '<line x1="0" y1="19.500" x2="100" y2="19.500"/><polyline points="{}"/></svg>',
        points,
    )
