"""How numbers, changes and names appear in templates. Rounding lives in reports.readable; nothing
here calculates.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from allocation.values import money as currencies
from allocation.values import names as quoting
from portal.documents import meanings
from portal.pages.frame.table_html import body_html, change_html, head_html, row_html
from portal.pages.frame.tables import Table
from portal.pages.registry import page_address
from reports import readable
from reports.readable import reason_words

register = template.Library()

DETAIL_ITEMS = 3  # of a list in an audit entry that are named


@register.simple_tag
def money(value: Decimal | None, places: int = 2) -> SafeString:
    """Rounded for reading, exact on hover."""
    return format_html(
        '<span class="n" title="{}">{}</span>',
        readable.exact(value) or "unknown",
        readable.money(value, places),
    )


@register.filter
def minor_units(currency: str | None) -> int:
    """Decimals of a currency, as the places of `money`."""
    return currencies.minor_units(currency)


@register.filter
def quoted(text: str) -> str:
    return quoting.quoted(text)


@register.filter
def reason(text: str | None) -> str:
    return reason_words(text)


@register.filter
def month_words(month: str) -> str:
    """ "2026-11" as "November 2026"."""
    return f"{date.fromisoformat(f'{month}-01'):%B %Y}"


@register.filter
def sentence(text: str) -> str:
    """The text as a sentence of its own."""
    start = text[:1].upper() + text[1:]
    return start if not start or start.endswith((".", "\u2026")) else f"{start}."


@register.filter
def detail_words(detail: dict[str, Any]) -> str:
    """The detail of an audit entry in a line: `file seats.csv; rows 3; scopes seats, 2026-10 /
    seats, 2026-11`.
    """
    return "; ".join(
        f"{name} {_detail_value(name, value)}" for name, value in detail.items() if value
    )


def _detail_value(name: str, value: Any) -> str:
    if isinstance(value, list):
        shown = " / ".join(str(each) for each in value[:DETAIL_ITEMS])
        return (
            f"{shown} and {len(value) - DETAIL_ITEMS} more" if len(value) > DETAIL_ITEMS else shown
        )
    return f"{value[:16]}\u2026" if name == "sha256" else str(value)


@register.inclusion_tag("partials/info.html")
def what_is(name: str) -> dict[str, str]:
    """A mark that opens what docs/metrics.md says of the figure; KeyError where it says nothing."""
    meaning = meanings()[name]
    return {
        "about": name,
        "text": f"{readable.capitalised(meaning.formula)}.",
        "more": meaning.address,
    }


@register.simple_tag
def unit_cost(value: Decimal | None) -> SafeString:
    return format_html(
        '<span class="n" title="{}">{}</span>',
        readable.exact(value) or "unknown",
        readable.unit_cost(value),
    )


@register.simple_tag
def count(value: Decimal | int | None) -> SafeString:
    return format_html(
        '<span class="n" title="{}">{}</span>',
        readable.exact(value) or "unknown",
        readable.count(value),
    )


@register.simple_tag
def driver(value: Decimal | int | None) -> SafeString:
    return format_html(
        '<span class="n" title="{}">{}</span>',
        readable.exact(value) or "unknown",
        readable.driver(value),
    )


@register.simple_tag
def exact_number(value: Decimal | int | None) -> str:
    """Every digit, for a rate or an uploaded quantity; a dash where unknown."""
    return readable.exact_grouped(value)


@register.simple_tag
def percent(value: Decimal | None, places: int = 1) -> SafeString:
    """`value` is a fraction."""
    return format_html(
        '<span class="n" title="{}">{}</span>',
        readable.exact(value) or "unknown",
        readable.percent(value, places),
    )


@register.simple_tag
def change(now: Decimal | None, before: Decimal | None) -> SafeString:
    """ "up 1,234 (12.3%)", or "no comparison"; exact difference on hover."""
    return mark_safe(change_html(now, before))  # noqa: S308 - table_html escapes every value


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
    """The Explain address for one amount of this view."""
    chosen = {key: value for key, value in filters.items() if value is not None}
    return f"{page_address('explain')}?{urlencode({**state.parameters(), **chosen})}"


@register.simple_tag
def state_query(state: Any, **changes: str | None) -> str:
    """The view's address parameters with changes; an empty string leaves one out."""
    return state.query_string(**{key: value or None for key, value in changes.items()})  # type: ignore[no-any-return]


@register.simple_tag
def table_head(table: Table) -> SafeString:
    return mark_safe(head_html(table))  # noqa: S308 - table_html escapes every value


@register.simple_tag
def table_body(table: Table) -> SafeString:
    """The rows of a table, and the line that adds up those not shown where something adds up."""
    rest = (
        row_html(table.rest_cells, marked="rest", labelled=table.is_labelled)
        if table.rest and len(table.rest) > 1
        else ""
    )
    return mark_safe(body_html(table) + rest)  # noqa: S308 - table_html escapes every value


@register.simple_tag
def table_total(table: Table) -> SafeString:
    return mark_safe(row_html(table.total_cells, labelled=table.is_labelled))  # noqa: S308 - table_html escapes every value
