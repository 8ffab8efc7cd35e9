"""The debug page: calls and traces, one by one."""

from __future__ import annotations

from django.urls import path, re_path

from portal.accounts.models import Role
from portal.pages.operate.debug.views import (
    download_prices,
    show_calls,
    show_debug,
    show_newest,
    show_prices,
    show_trace,
)
from portal.pages.registry import PageSpec

DEBUG = PageSpec(
    name="debug",
    label="Debug",
    position=40,
    group="see",
    roles=frozenset({Role.ON_CALL, Role.FINOPS_ADMIN}),
    urls=(
        path("debug/", show_debug, name="debug"),
        path("debug/newest/", show_newest, name="debug-newest"),
        path("debug/calls/", show_calls, name="debug-calls"),
        path("debug/prices/", show_prices, name="debug-prices"),
        path("debug/prices.csv", download_prices, name="debug-prices-csv"),
        re_path(r"^debug/trace/(?P<trace>[0-9a-fA-F]{32})/$", show_trace, name="debug-trace"),
    ),
    choices=("unit", "team", "environment"),
)
