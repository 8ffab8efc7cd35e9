"""Figures are valid plotly, their names and totals those of the rows; colours can be told apart."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import plotly.graph_objects as go
import pytest

from reports.charts.coverage_lines import coverage_lines
from reports.charts.spend import DaySeries, bridge, spark_points, stacked_days
from reports.charts.style import GREY, OTHER, OTHER_GREY, SHADES, UNALLOCATED, Figure, shade_of

DAYS = [date(2026, 10, 1), date(2026, 10, 2)]
STYLES = Path(__file__).parents[2] / "static" / "css" / "apportion.css"


def series(name: str, *costs: str, shade: str = "0") -> DaySeries:
    return DaySeries(
        name, shade, {day: Decimal(cost) for day, cost in zip(DAYS, costs, strict=False)}
    )


def checked(figure: Figure) -> go.Figure:
    """The figure as plotly reads it; raises ValueError for what it does not know."""
    return go.Figure(figure)


def test_every_figure_is_what_plotly_knows() -> None:
    october = {"Allocated": [Decimal("0.5"), None], "Tagged": [None, Decimal(1)]}

    for figure in (
        stacked_days(
            [series("Search", "1"), series("-", "2", shade=UNALLOCATED)], days=DAYS, currency="USD"
        ),
        bridge(before=Decimal(0), parts=[("Volume", Decimal(1))], after=Decimal(1)),
        coverage_lines(DAYS, october),
    ):
        plain = checked(figure).to_plotly_json()
        plain["layout"].pop("template")
        assert plain == figure
    with pytest.raises(ValueError, match="Invalid property"):
        checked({"data": [], "layout": {"barmodus": "relative"}})


def test_a_bar_per_day_with_gaps_as_zero() -> None:
    figure = checked(stacked_days([series("Search", "10.125")], days=DAYS, currency="USD"))

    (bar,) = figure.data
    assert list(bar.x) == ["2026-10-01", "2026-10-02"]
    assert list(bar.y) == [10.125, 0.0]
    assert list(bar.customdata) == ["10.12", "0.00"]


def test_six_series_then_other_then_unallocated_hatched() -> None:
    many = [
        series(f"Team {number}", str(100 - number), shade=shade_of(number)) for number in range(9)
    ]
    unallocated = series("Unallocated", "500", shade=UNALLOCATED)
    figure = checked(stacked_days([unallocated, *many], days=DAYS, currency="USD"))

    assert [bar.name for bar in figure.data] == [
        *(f"Team {number}" for number in range(6)),
        "3 others",
        "Unallocated",
        "Total",
    ]
    assert figure.data[6].y[0] == 94 + 93 + 92
    assert figure.data[6].marker.color == OTHER_GREY
    assert figure.data[7].marker.color == GREY
    assert figure.data[7].marker.pattern.shape == "/"


def test_seven_series_need_no_other() -> None:
    seven = [series(f"Team {number}", "1") for number in range(7)]

    bars = stacked_days(seven, days=DAYS, currency="USD")["data"]
    assert [bar["name"] for bar in bars] == [one.name for one in seven] + ["Total"]


def test_hover_tells_the_total_of_each_day() -> None:
    both = [series("Search", "10.125", "1"), series("Support", "-0.005")]

    total = checked(stacked_days(both, days=DAYS, currency="USD")).data[-1]

    assert list(total.customdata) == ["10.12", "1.00"]
    assert list(total.y) == [10.12, 1.0]
    assert (total.showlegend, total.line.width) == (False, 0)
    assert len(stacked_days(both[:1], days=DAYS, currency="USD")["data"]) == 1


def test_bars_start_at_zero() -> None:
    figure = stacked_days([series("Search", "900", "1000")], days=DAYS, currency="USD")

    assert figure["layout"]["yaxis"]["rangemode"] == "tozero"


def test_the_bridge_ends_at_the_net_change() -> None:
    parts = [("Volume", Decimal(30)), ("Price", Decimal(-10))]
    figure = checked(bridge(before=Decimal(100), parts=parts, after=Decimal(120)))

    assert list(figure.data[0].y) == ["Volume", "Price", "Net change"]
    assert list(figure.data[0].x) == [30.0, -10.0, 20.0]
    assert list(figure.data[0].text) == ["+30", "\u221210", "+20"]


def test_a_bridge_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        bridge(
            before=Decimal(1), parts=[("Volume", Decimal("0.999999999999999"))], after=Decimal(2)
        )


def test_figures_travel_as_plain_json() -> None:
    figure = stacked_days([series("Search", "1", "2")], days=DAYS, currency="USD")

    assert json.loads(json.dumps(figure)) == figure
    assert "template" not in figure["layout"]


def test_sparks_start_at_zero_unless_negative() -> None:
    assert spark_points((Decimal(0), Decimal(10))) == "0.0,18.5 100.0,1.5"
    assert spark_points((Decimal(-10), Decimal(10))) == "0.0,18.5 100.0,1.5"
    assert spark_points((Decimal(1),)) == ""


def test_swatches_have_the_colours_of_the_charts() -> None:
    text = STYLES.read_text(encoding="utf-8")
    found = dict(re.findall(r"\.shade-(\w+) \{ background-color: (#[0-9a-f]{6});", text))

    assert found == {
        **{str(number): colour for number, colour in enumerate(SHADES)},
        OTHER: OTHER_GREY,
    }
    assert len(set(SHADES)) == 12


@pytest.mark.parametrize("paper", ["#f8f6f1", "#121518"])
def test_chart_colours_stand_out_from_the_paper(paper: str) -> None:
    for colour in (*SHADES, GREY, OTHER_GREY):
        assert contrast(colour, paper) >= 3, colour


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two #rrggbb colours."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
