"""Names in charts come from spans and bills: plotly must show them and not obey them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from reports.charts.spend import DaySeries, bridge, stacked_days

HOSTILE = '<a href="https://evil.example">Search</a> %{x}'
SHOWN = '&lt;a href="https://evil.example"&gt;Search&lt;/a&gt; %{x}'


def test_fault_113_a_name_in_a_chart_is_no_link() -> None:
    day = date(2026, 10, 1)

    days = stacked_days(
        [DaySeries(HOSTILE, "shade-0", {day: Decimal(1)})], days=[day], currency="USD"
    )
    causes = bridge(before=Decimal(0), parts=[(HOSTILE, Decimal(1))], after=Decimal(1))

    assert days["data"][0]["name"] == SHOWN
    assert causes["data"][0]["y"][0] == SHOWN
    assert HOSTILE not in days["data"][0]["hovertemplate"]
