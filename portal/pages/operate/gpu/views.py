"""/gpu/: capacity, booked, requested and active GPU-hours per cluster and day; what stood idle,
what was wasted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from django.http import HttpRequest, HttpResponseBase

from allocation.values.money import exact_sum
from portal.pages.frame.render import render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download
from portal.pages.registry import holds
from reports.queries.usage.gpu_days import GpuDay, gpu_days
from reports.readable import ratio

SECONDS = ("capacity", "booked", "requested", "active", "unreported", "idle", "waste")
COSTS = ("booked_cost", "idle_cost", "waste_cost")
LABELS = {
    "unreported": "Not reported",
    "booked_cost": "Booked cost",
    "idle_cost": "Idle cost",
    "waste_cost": "Waste cost, of booked",
}
HOUR = Decimal(3600)
MOST_DAYS = 62  # lines of the table before the rest is added up


def gpu(request: HttpRequest) -> HttpResponseBase:
    state = PageState.from_request(request)
    asked = state.billed_in(state.period)
    days = gpu_days(replace(asked, scope=state.reader_scope, period=state.period, filters=()))
    whole = {name: total(days, name) for name in (*SECONDS, *COSTS)}
    tables = {
        "clusters": _table(request, state, days, whole, by_cluster=True),
        "days": _table(request, state, days, whole, by_cluster=False),
    }
    download = asked_download(request, tables.values(), file_name=f"gpu-{state.period.start}")
    context = {
        **tables,
        "has_usage": bool(days),
        "may_load": holds(request, "drivers-change"),
        "whole": {name: hours(whole[name]) if name in SECONDS else whole[name] for name in whole},
        "idle_share": ratio(whole["idle"], whole["capacity"]),
        "unreported_share": ratio(whole["unreported"], whole["requested"]),
        "waste_share": ratio(whole["waste"], whole["requested"]),
        "has_costs": any(whole[name] is not None for name in COSTS),
    }
    return download or render_page(
        request, "operate/gpu/page.html", context, page="gpu", title="GPU", state=state
    )


def total(days: Sequence[GpuDay], name: str) -> Decimal | None:
    """The exact sum of what is known; None where nothing is."""
    known = [value for day in days if (value := getattr(day, name)) is not None]
    return exact_sum(known) if known else None


def hours(seconds: Decimal | None) -> Decimal | None:
    return None if seconds is None else seconds / HOUR


def _table(
    request: HttpRequest,
    state: PageState,
    days: Sequence[GpuDay],
    whole: dict[str, Decimal | None],
    *,
    by_cluster: bool,
) -> Table:
    """Per cluster, or per cluster and day; unknown stays empty."""
    key: Callable[[GpuDay], tuple[str, ...]]
    if by_cluster:
        name, caption, key = "clusters", "GPU-hours by cluster", lambda day: (day.cluster,)
    else:
        name, caption, key = (
            "days",
            "GPU-hours by cluster and day",
            lambda day: (day.day.isoformat(), day.cluster),
        )
    groups: dict[tuple[str, ...], list[GpuDay]] = {}
    for day in days:
        groups.setdefault(key(day), []).append(day)
    columns = (
        [Column("cluster", "Cluster")]
        if by_cluster
        else [Column("day", "Day"), Column("cluster", "Cluster")]
    )
    columns += [
        Column(part, LABELS.get(part, part.capitalize()), "count", is_key=part == "capacity")
        for part in SECONDS
    ]
    if any(whole[part] is not None for part in COSTS):
        columns += [
            Column(part, f"{LABELS[part]}, {state.currency}", "money", state.places)
            for part in COSTS
        ]
    rows: list[Row] = []
    for names, members in groups.items():
        row = {column.key: Cell(value=text) for column, text in zip(columns, names, strict=False)}
        rows.append({**row, **_cells({part: total(members, part) for part in (*SECONDS, *COSTS)})})
    first = {columns[0].key: Cell(value="Total")}
    sort = "-capacity" if by_cluster else "-day"
    table = Table(
        name,
        caption,
        columns,
        rows,
        total={**first, **_cells(whole)},
        limit=0 if by_cluster else MOST_DAYS,
        sort=sort,
        sums=by_cluster,
        lines=not by_cluster,
    )
    return arranged(table, request)


def _cells(values: dict[str, Decimal | None]) -> Row:
    return {
        part: Cell(value=hours(value) if part in SECONDS else value)
        for part, value in values.items()
    }
