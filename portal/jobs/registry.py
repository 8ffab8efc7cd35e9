"""The modules whose import registers handlers and periodic work. Each area adds its own."""

from __future__ import annotations

from importlib import import_module

MODULES = (
    "portal.ingest.bills.jobs",
    "portal.ingest.otlp.jobs",
    "portal.jobs.allocation_jobs",
    "portal.jobs.rule_jobs",
)


def load() -> None:
    """Import every module of handlers; cheap when done before."""
    for module in MODULES:
        import_module(module)
