"""How a page is declared: once, in the `__init__.py` of its folder.

    JOBS = PageSpec(
        name="jobs",
        label="Jobs",
        position=130,
        roles=frozenset({Role.FINANCE, Role.FINOPS_ADMIN}),
        urls=(path("jobs/", show_jobs, name="jobs"),),
    )

The folder holds the page's views and templates. It lies anywhere below portal/pages, where the
registry finds it; rail, access, top bar, addresses and the access matrix read the declaration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.urls import URLPattern

from portal.accounts.models import Role

Choice = Literal[
    "period", "range", "compare", "metric", "currency", "report", "unit", "team", "environment"
]
ALL_CHOICES: tuple[Choice, ...] = (
    "period",
    "range",
    "compare",
    "metric",
    "currency",
    "report",
    "unit",
    "team",
    "environment",
)


@dataclass(frozen=True)
class Right:
    """What only some readers of a page may do, and the addresses that do it."""

    name: str
    roles: frozenset[Role]
    urls: tuple[URLPattern, ...]


@dataclass(frozen=True)
class PageSpec:
    """One page and all that belongs to it.

    `name` is also the right to open it; the first of `urls` is its own address, which needs no
    arguments. A page without a `label` is not in the rail, where `position` orders the others.
    Every view is guarded by the registry: it answers 404 to whom its right is not given. Superusers
    are nobody special.

    `choices` are those of the top bar that the page heeds. One without an effect is not offered; it
    stays in the address all the same. `sums_money`: the page states sums in one currency, so it
    leads to the same view in the others.
    """

    name: str
    label: str | None
    position: int
    roles: frozenset[Role]
    urls: tuple[URLPattern, ...]
    choices: tuple[Choice, ...] = ()
    rights: tuple[Right, ...] = ()
    sums_money: bool = False

    def all_rights(self) -> tuple[Right, ...]:
        """The right to open the page, then those that need more."""
        return (Right(self.name, self.roles, self.urls), *self.rights)
