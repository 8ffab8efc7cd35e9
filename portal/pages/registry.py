"""The pages there are, and what follows from their declarations (spec.py): rights and addresses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import cast

from django.http import HttpRequest
from django.urls import URLPattern, reverse

from portal.accounts.access import opened_to, roles_of
from portal.accounts.models import Role, User
from portal.pages.spec import PageSpec
from portal.registry import registered_below

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
