"""What a page declares of itself, the pages there are, and what follows: rights and addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from django.http import HttpRequest
from django.urls import URLPattern, reverse

from portal.accounts.access import opened_to, roles_of
from portal.accounts.models import Role, User
from portal.registry import registered_below
from reports.queries.costs.trust import Trust

Choice = Literal[
    "period", "range", "compare", "metric", "currency", "report", "unit", "team", "environment"
]
Group = Literal["see", "close", "set_up"]
# The parts of the rail, in its order.
GROUPS: Mapping[Group, str] = {"see": "See", "close": "Close", "set_up": "Set up"}
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
class Badge:
    """What waits on a page, beside its name in the rail: "1.8%", and what that is."""

    text: str
    meaning: str


@dataclass(frozen=True)
class PageSpec:
    """One page and all that belongs to it.

    `name` is also the right to open it; the first of `urls` is its own address, which needs no
    arguments. A page without a `label` is not in the rail, where `group` and then `position` order
    the others; its `badge` says what of the trust line waits there.
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
    group: Group = "see"
    badge: Callable[[Trust], Badge | None] | None = None

    def all_rights(self) -> tuple[Right, ...]:
        """The right to open the page, then those that need more."""
        return (Right(self.name, self.roles, self.urls), *self.rights)


PAGES = "portal.pages"


@cache
def pages() -> dict[str, PageSpec]:
    """Every page by its name, in the order of the rail. Looked up once in a process: each request
    asks for them several times.
    """
    return registered_below(PAGES, PageSpec)


@cache
def rights() -> dict[str, frozenset[Role]]:
    """The roles that hold each right, to open a page or to do something on it; by its name."""
    return {right.name: right.roles for spec in pages().values() for right in spec.all_rights()}


def held_by(roles: frozenset[Role]) -> list[str]:
    """The names of the rights that these roles give, in the order of the rail."""
    return [name for name, holders in rights().items() if roles & holders]


def rights_of(user: User) -> list[str]:
    """The names of the rights that the user holds now."""
    return held_by(roles_of(user))


def holds(request: HttpRequest, right: str) -> bool:
    """Whether who asks holds the right now."""
    return right in rights_of(cast(User, request.user))


def page_urls() -> Iterator[URLPattern]:
    """The addresses of all pages, each guarded by the right it is declared with."""
    for spec in pages().values():
        for right in spec.all_rights():
            guard = opened_to(right.roles)
            for url in right.urls:
                yield URLPattern(url.pattern, guard(url.callback), url.default_args, url.name)


@cache
def page_address(name: str) -> str:
    """Where the page lives."""
    return reverse(pages()[name].urls[0].name)
