"""A chart on a page: the figure drawn later, and the table that says the same at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from portal.pages.frame.tables import Table


@dataclass(frozen=True)
class Chart:
    """`question` is what the chart answers. `height` is a class of the stylesheet: "", short or
    tall.
    """

    name: str
    question: str
    figure: dict[str, Any]
    table: Table
    height: str = ""

    @property
    def figure_id(self) -> str:
        return f"{self.name}-figure"


def drawn(figure: go.Figure) -> dict[str, Any]:
    """The figure as plain JSON values, without plotly's default template (colours come from the
    stylesheet).
    """
    plain: dict[str, Any] = figure.to_plotly_json()
    plain["layout"].pop("template", None)
    return plain
