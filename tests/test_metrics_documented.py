"""docs/metrics.md defines every figure that a page shows: no entry, no number."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from django.test import Client

from tests.portal.canaries import ALPHA, BRAVO
from tests.portal.two_teams import one_person_per_role, seed_company

PAGES = [
    "/executive/",
    "/showback/",
    "/showback/alpha/",
    "/chargeback/",
    "/plan/",
    "/reconciliation/",
    "/on-call/",
    "/debug/",
    "/explain/?team=alpha&bill=0-0",
    "/explain/change/?team=alpha",
    "/rules/",
    "/rules/edit/",
    "/rules/previews/{preview}/",
    "/ownership/",
    "/ownership/unowned/",
    "/ownership/tags/",
    "/ownership/coverage/",
    "/jobs/",
    "/imports/",
    "/imports/{bill_import}/",
    "/drivers/",
    "/gpu/",
]
ROOT = Path(__file__).parents[1]
# Columns for each team or model, and readings that are no numbers.
NAMES_OF_THINGS = {ALPHA.word, BRAVO.word, "Outcome", "Source", "Delivered"}


def documented() -> tuple[set[str], set[str]]:
    """Names of figures and paths of modules in the tables of the page."""
    names, modules = set(), set()
    for line in (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 4 and cells[0] not in ("Figure", "---"):
            names |= {cells[0], *cells[0].split(", ")}
            modules.add(cells[3].strip(" |"))
    return names, modules


def figures_of(body: str) -> set[str]:
    """Heads of number columns and names of readings, without currency, unit, sort arrow and
    remark.
    """
    heads = re.findall(r'<th scope="col"[^>]*class="num[^>]*>(.*?)</th>', body, re.DOTALL)
    bare = re.sub(r"<details class=\"info\">.*?</details>", "", body, flags=re.DOTALL)
    readings = re.findall(r"<dt[^>]*>(.*?)</dt>", bare, re.DOTALL)
    texts = (html.unescape(re.sub(r"<[^>]+>", " ", found)) for found in [*heads, *readings])
    plain = (re.sub(r"\s+", " ", text).strip(" ↑↓") for text in texts)
    return {re.sub(r",? (USD|estimate)\b", "", name).strip() or name for name in plain if name}


@pytest.mark.django_db
def test_every_figure_of_every_page_is_defined(client: Client) -> None:
    company = seed_company()
    client.force_login(one_person_per_role()["finops_admin"])
    names, _ = documented()
    plain_names = {re.sub(r",? (USD|estimate)\b", "", name).strip() or name for name in names}

    missing = {
        page: sorted(figures - plain_names - NAMES_OF_THINGS)
        for page in PAGES
        if (figures := figures_of(client.get(page.format(**vars(company))).content.decode()))
    }

    assert {page: figures for page, figures in missing.items() if figures} == {}
    assert len(missing) > 7


def test_every_module_named_is_there() -> None:
    _, modules = documented()

    assert [module for module in sorted(modules) if not (ROOT / module).is_file()] == []
