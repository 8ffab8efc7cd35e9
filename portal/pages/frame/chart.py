"""A chart on a page: the figure drawn later, and the table that says the same at once."""

from __future__ import annotations

from dataclasses import dataclass

from portal.pages.frame.tables import Table
from reports.charts.style import Figure


@dataclass(frozen=True)
class Chart:
    """`question` is what the chart answers. `height` is a class of the stylesheet: "", short or
    tall.
    """

    name: str
    question: str
    figure: Figure
    table: Table
    height: str = ""

    @property
    def figure_id(self) -> str:
        return f"{self.name}-figure"
