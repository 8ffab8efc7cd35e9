"""Fault 113: one text that breaks out of every context it can, in every text column, walked by a
real browser.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from portal.accounts.keys import create_key
from portal.accounts.models import User
from tests.portal.browser import chromium, new_context, walk_every_link
from tests.portal.two_teams import one_person_per_role, seed_company

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Leaves attributes, comments, scripts, styles, titles, text areas, template strings, addresses and
# JSON.
POLYGLOT = (
    "javascript:/*--></title></style></textarea></script></xmp>"
    "<svg/onload='+/\"/+/onmouseover=1/+/[*/[]/+alert(1)//'>"
    '"><img src=x onerror=alert(2)><script>alert(3)</script>'
    "{{7*7}}{% debug %}${alert(4)}`';alert(5)//\\u003cimg>"
    "<a href=javascript:alert(6)>\u2028<iframe srcdoc='<script>parent.alert(7)</script>'>"
)


@pytest.fixture
def browser(chromium_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with chromium(chromium_path) as started:
        yield started


@pytest.mark.parametrize("role", ["finops_admin", "lead"])
def test_fault_113_stored_text_never_becomes_markup_or_script(
    browser: Browser, live_server: LiveServer, role: str
) -> None:
    seed_company(text=POLYGLOT)
    one_person_per_role()
    User.objects.update(first_name=POLYGLOT[:150], email="a@example.com")
    create_key(POLYGLOT, "ingest", None, POLYGLOT)
    context = new_context(browser)

    walk = walk_every_link(context, live_server.url, role)
    context.close()

    assert walk.problems == []
    assert len(walk.pages) > 10
    assert walk.saw(POLYGLOT[:40])
